//! The boot gate's command line.

mod bench;
mod python;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The boot gate's command line")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find what would crash a Python application's start, without running it.
    CheckSource(python::Args),
    /// Compare the source checks with `ruff check --select F,E9` on the same tree.
    BenchPython(bench::python::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    let code = match Cli::parse().command {
        Command::CheckSource(args) => python::run(args)?,
        Command::BenchPython(args) => bench::python::run(&args)?,
    };
    Ok(ExitCode::from(code))
}
