//! The command line: a table of contents. Each command has a file of its own.

mod acknowledge;
mod application;
mod approve;
mod backups;
mod bench;
mod boot;
mod check_source;
mod ci;
mod diagnose;
mod duration;
mod file_report;
mod heal;
mod history;
mod launch;
mod output;
mod playbooks;
mod replay;
mod report;
mod undo;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use boot_checks::host;
use boot_checks::model::Verdict;
use clap::{Parser, Subcommand};

/// The boot gate: run before an application is launched, it finds what would crash it, heals what it
/// may, and proves what it says.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    propagate_version = true
)]
struct Cli<C: Subcommand> {
    #[command(subcommand)]
    command: C,
}

/// What stands between a person and the application: the description of all the other commands would take a
/// good part of its time.
#[derive(Subcommand)]
enum BootOnly {
    Boot(Box<boot::Args>),
}

#[derive(Subcommand)]
enum Command {
    Boot(Box<boot::Args>),
    Launch(Box<launch::Args>),
    History(history::Args),
    Report(report::Args),
    Diagnose(diagnose::Args),
    CheckSource(check_source::Args),
    Playbooks(playbooks::Args),
    Replay(replay::Args),
    #[command(name = replay::programs::COMMAND, hide = true)]
    ReplayProgram(replay::programs::Args),
    Heal(heal::Args),
    Approve(approve::Args),
    Acknowledge(acknowledge::Args),
    Undo(undo::Args),
    Backups(backups::Args),
    Ci(ci::Args),
    Bench(bench::Args),
}

/// The source checks make and drop millions of small things on every core.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    host::outlive_file_size_limit();
    let command = parse();
    let code = catch_unwind(AssertUnwindSafe(|| run(command))).unwrap_or_else(|_| {
        // What went wrong was printed as it did.
        Err(anyhow::anyhow!(
            "the gate itself failed, or the system gave it no thread or memory; nothing says that the application \
             may start (exit code {})",
            Verdict::Bug.exit_code()
        ))
    });
    ExitCode::from(code.unwrap_or_else(|error| {
        output::complain(&format!("error: {error:#}"));
        Verdict::Bug.exit_code()
    }))
}

fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Backups(args) => backups::run(&args),
        Command::Boot(args) => boot::run(&args),
        Command::Launch(args) => launch::run(&args),
        Command::History(args) => history::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Diagnose(args) => diagnose::run(args),
        Command::CheckSource(args) => check_source::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Playbooks(args) => playbooks::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::ReplayProgram(args) => replay::programs::run(&args),
        Command::Heal(args) => heal::run(&args),
        Command::Approve(args) => approve::run(&args),
        Command::Acknowledge(args) => acknowledge::run(&args),
        Command::Undo(args) => undo::run(&args),
    }
}

fn parse() -> Command {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "boot")
    {
        let BootOnly::Boot(args) = Cli::parse().command;
        return Command::Boot(args);
    }
    Cli::parse().command
}
