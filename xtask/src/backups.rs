//! `cargo xtask backups`: what has been kept of what runs replaced.

mod restore;

use std::path::PathBuf;

use anyhow::Context as _;
use boot_checks::engine::{self, Kept, Kind};
use boot_checks::host::Host;
use boot_checks::model::Verdict;

use crate::application::ApplicationArgs;
use crate::output;

/// List, verify or put back the copies of what runs replaced
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    application: ApplicationArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print each copy with its run
    List,
    /// Compare each copy with what was there before the run (exit code 1 where one is damaged, or where
    /// nothing says what it is to be)
    Verify,
    Restore(restore::Args),
}

const EXAMPLES: &str = "Examples:
  cargo xtask backups list
  cargo xtask backups verify --root /srv/grace
  cargo xtask backups restore 20261123_203824

`cargo xtask undo RUN` takes a run back, where nothing was changed since; `restore` puts a copy in the
place of a database that is lost, vanished or bad";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match &args.command {
        Command::Restore(restore) => restore::run(restore, &args.application),
        Command::List => show(args, false),
        Command::Verify => show(args, true),
    }
}

fn show(args: &Args, is_verified: bool) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let Some(root) = args.application.root(&host) else {
        output::complain("error: there is no such application; name its folder with --root");
        return Ok(Verdict::Config.exit_code());
    };
    let known = engine::kept(&root).and_then(|kept| Ok((kept, engine::unnamed(&root)?)));
    let (kept, unnamed) = match known {
        Ok(known) => known,
        Err(error) => {
            output::complain(&format!("error: cannot read the journal: {error}"));
            return Ok(Verdict::Blocked.exit_code());
        }
    };
    if kept.is_empty() && unnamed.is_empty() {
        output::data("no copies are kept\n")?;
        return Ok(Verdict::MayStart.exit_code());
    }
    output::data(&(lines(&kept, is_verified) + &lines_of_unnamed(&unnamed, is_verified)))?;
    if !unnamed.is_empty() {
        output::complain(
            "next: put var/boot/journal.jsonl back from a backup of your own: without its lines `undo` and `restore` \
             take nothing from there; or move what a killed run left there away",
        );
    }
    let all_whole = kept.iter().all(|one| one.is_whole);
    if is_verified && !all_whole {
        output::complain(
            "next: `undo` and `restore` refuse what is not whole; take the copy of another run, or a backup of your own",
        );
    }
    Ok(match is_verified && !(all_whole && unnamed.is_empty()) {
        true => Verdict::Blocked.exit_code(),
        false => Verdict::MayStart.exit_code(),
    })
}

fn lines_of_unnamed(folders: &[PathBuf], is_verified: bool) -> String {
    let word = if is_verified { "[FAIL] " } else { "" };
    let line = |folder: &PathBuf| {
        let folder = folder.display();
        format!(
            "{word}{folder}: no journal names the copies in it, and what they are is not known\n"
        )
    };
    folders.iter().map(line).collect()
}

/// One line for each copy; those of one thing in one run are told apart by their order.
fn lines(kept: &[Kept], is_verified: bool) -> String {
    let mut text = String::new();
    for (at, one) in kept.iter().enumerate() {
        let word = match (is_verified, one.is_whole) {
            (false, _) => "",
            (true, true) => "[OK] ",
            (true, false) => "[FAIL] ",
        };
        let is_of_same =
            |other: &&Kept| (&other.run_id, &other.original) == (&one.run_id, &one.original);
        let all = kept.iter().filter(is_of_same).count();
        let order = match all {
            1 => String::new(),
            _ => {
                let number = kept[..=at].iter().filter(is_of_same).count();
                format!(", copy {number} of {all} in the order in which they were made")
            }
        };
        let size = match one.bytes {
            Some(bytes) => format!("{bytes} bytes"),
            None => "missing".to_owned(),
        };
        let (original, copy) = (one.original.display(), one.copy.display());
        text += &format!("{word}{} {original} -> {copy} ({size}{order})", one.run_id);
        text += match (is_verified, one.is_whole, one.bytes) {
            (true, false, Some(_)) => ": damaged: it is not what was there before the run\n",
            (true, false, None) => ": missing: somebody moved or deleted it\n",
            (true, true, _) if one.kind == Kind::DatabaseSet => {
                ": as it was set aside, sound or not\n"
            }
            _ => "\n",
        };
    }
    text
}
