//! `cargo xtask backups`: what has been kept of what runs replaced.

mod restore;

use anyhow::Context as _;
use boot_checks::engine;
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
    /// Compare each copy with what was there before the run (exit code 1 where one is damaged)
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
    let kept = engine::kept(&root).context("cannot read the journal")?;
    let mut text = String::new();
    for one in &kept {
        let word = match (is_verified, one.is_whole) {
            (false, _) => "",
            (true, true) => "[OK] ",
            (true, false) => "[FAIL] ",
        };
        let (original, copy) = (one.original.display(), one.copy.display());
        text += &format!("{word}{} {original} -> {copy}\n", one.run_id);
    }
    output::data(&text)?;
    let all_whole = kept.iter().all(|one| one.is_whole);
    Ok(match is_verified && !all_whole {
        true => Verdict::Blocked.exit_code(),
        false => Verdict::MayStart.exit_code(),
    })
}
