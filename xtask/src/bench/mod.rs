//! `cargo xtask bench`: how fast the gate is, as ratios taken in one run on one machine.

use clap::Subcommand;

mod diagnose;

/// Measure, as ratios in one run
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    Diagnose(diagnose::Args),
}

/// Runs the bench and answers its exit code.
pub(crate) fn run(args: Args) -> anyhow::Result<u8> {
    match args.bench {
        Bench::Diagnose(args) => diagnose::run(&args),
    }
}
