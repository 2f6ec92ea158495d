//! The source checks beside ruff's: whole processes, on the same tree, in turn.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boot_checks::model::Verdict;

use super::process::{head, pairs_ending, release};
use crate::output;

/// How many times as long as ruff the checks may take: an operator waits for them before every start.
const GOAL: f64 = 1.0;

/// Endings that are an answer, of both programs: nothing found, something found.
const ANSWERS: [i32; 2] = [0, 1];

const EXAMPLES: &str = "Examples:
  cargo xtask bench python --root /srv/grace --package backend
  cargo xtask bench python --package backend --ruff .venv/bin/ruff --runs 50

Exit codes: 0 measured, 2 usage, or the tree or ruff is not there, 70 a run broke off";

/// The source checks beside `ruff check --select F,E9` on the same tree: whole processes, release build
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder that holds the package
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,

    /// The package that both read, by its dotted name
    #[arg(long, value_name = "NAME")]
    package: String,

    /// The ruff to compare with
    #[arg(long, value_name = "PROGRAM", default_value = "ruff")]
    ruff: PathBuf,

    /// Pairs of runs that count
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    if let Err(error) = quietly(Command::new(&args.ruff).arg("--version")) {
        output::complain(&format!(
            "error: cannot run {}: {error}",
            args.ruff.display()
        ));
        output::complain("  next: install ruff, or name the program with --ruff");
        return Ok(Verdict::Usage.exit_code());
    }
    let gate = release(&["--bin", "xtask"])?.join("xtask");
    // Once with its complaints on show: what cannot be checked cannot be measured.
    let status = check(&gate, args).stdout(Stdio::null()).status()?;
    if !status.code().is_some_and(|code| ANSWERS.contains(&code)) {
        return Ok(Verdict::Usage.exit_code());
    }
    let pairs = pairs_ending(
        &ANSWERS,
        args.runs.into(),
        || check(&gate, args),
        || ruff(args),
    )?;
    let row = pairs.row("check-source / ruff check --select F,E9", GOAL);
    output::data(&format!("{}\n{row}\n", head()))?;
    Ok(0)
}

fn check(gate: &Path, args: &Args) -> Command {
    let mut command = Command::new(gate);
    command
        .args(["check-source", "--format", "json", "--package"])
        .arg(&args.package)
        .arg("--root")
        .arg(&args.root);
    command
}

fn ruff(args: &Args) -> Command {
    let mut command = Command::new(&args.ruff);
    command
        .args(["check", "--no-cache", "--isolated", "--select", "F,E9"])
        .args(["--output-format", "json"])
        .arg(args.root.join(args.package.replace('.', "/")));
    command
}

fn quietly(command: &mut Command) -> std::io::Result<()> {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_| ())
}
