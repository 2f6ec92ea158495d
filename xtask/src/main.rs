//! The command line: a table of contents, one file per command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod diagnose;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The boot gate")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Diagnose(diagnose::Args),
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Diagnose(args) => diagnose::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            diagnose::complain(&format!("{error:#}"), None);
            ExitCode::from(70)
        }
    }
}
