//! `cargo xtask undo`: takes back what a run changed.

use std::path::Path;

use anyhow::Context as _;
use boot_checks::engine::{self, UndoError, Undone};
use boot_checks::host::lock::LockError;
use boot_checks::host::{self, Host};
use boot_checks::model::Verdict;

use crate::application::ApplicationArgs;
use crate::duration;
use crate::output;

/// Take back what a run changed, byte for byte
///
/// Files, folders, permissions and the database are as they were before the run. Refused, with
/// nothing touched, where anything of it was changed since (exit code 8).
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run, as the boot's first lines and the name of its record give it
    run_id: String,

    #[command(flatten)]
    application: ApplicationArgs,

    /// How long to wait for a boot that is under way, such as 30s or 500ms
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    lock_timeout: std::time::Duration,
}

const EXAMPLES: &str = "Examples:
  cargo xtask undo 20261123_203824                    take this run back
  cargo xtask undo 20261123_203824 --root /srv/grace  of another application

Exit codes: 0 taken back, 1 stopped half-way (the same command goes on), 2 no such run, 7 a boot is
under way, 8 something was changed since and nothing was touched";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let Some(root) = args.application.root(&host) else {
        output::complain("error: there is no such application; name its folder with --root");
        return Ok(Verdict::Config.exit_code());
    };
    let undone = engine::undo(
        &root,
        &args.run_id,
        &host::self_description(&host),
        args.lock_timeout,
        |holder| output::complain(&format!("waiting for another boot: {holder}")),
    );
    match undone {
        Ok(undone) => {
            output::data(&words(&root, &args.run_id, &undone))?;
            Ok(Verdict::MayStart.exit_code())
        }
        Err(error) => {
            output::complain(&format!("error: {error}"));
            if let Some(left) = error.left_behind() {
                let (left, of) = (left.display(), args.application.again());
                output::complain(&format!(
                    "  next: `cargo xtask boot{of}` first: it lets SQLite settle what a program that is gone left \
                     in {left}; then undo again"
                ));
            }
            Ok(verdict(&error).exit_code())
        }
    }
}

fn words(root: &Path, run_id: &str, undone: &Undone) -> String {
    if undone.was_before {
        return format!("run {run_id} was taken back before; nothing was done\n");
    }
    let mut text = format!("run {run_id} is taken back\n");
    let below = |kept: &Path| {
        kept.strip_prefix(root)
            .unwrap_or(kept)
            .display()
            .to_string()
    };
    for (path, kept) in &undone.restored {
        text += &format!("  restored {}", path.display());
        if let Some(kept) = kept {
            text += &format!(
                "; what was there, rows of others included, is kept as {}",
                below(kept)
            );
        }
        text.push('\n');
    }
    for path in &undone.removed {
        text += &format!("  removed {}: it was not there before\n", path.display());
    }
    for (path, kept) in &undone.set_aside {
        let kept = kept.as_ref().map_or_else(String::new, |kept| {
            format!(", and is kept as {}", below(kept))
        });
        let place = format!("it was not there before{kept}");
        text += &format!("  set aside {}: {place}\n", path.display());
    }
    for path in &undone.stayed {
        text += &format!("  kept {}: something is in it\n", path.display());
    }
    text
}

fn verdict(error: &UndoError) -> Verdict {
    match error {
        UndoError::Lock(LockError::Held { .. }) => Verdict::LockHeld,
        UndoError::Lock(LockError::Unusable { .. })
        | UndoError::NotPossible(_)
        | UndoError::UnderWay(_)
        | UndoError::Journal(_)
        | UndoError::HalfWay(_)
        | UndoError::Stopped(_) => Verdict::Blocked,
        UndoError::NoChange(_) => Verdict::Usage,
        UndoError::Refused(_) => Verdict::NeedsApproval,
    }
}
