//! `cargo xtask bench`: speed, measured beside a peer or a floor in the same run, as ratios.

mod boot;
mod diagnose;
mod process;
mod python;

use clap::Subcommand;

/// Measure speed beside a peer or a floor, as ratios
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Boot(boot::Args),
    Diagnose(diagnose::Args),
    Python(python::Args),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match &args.what {
        What::Boot(args) => boot::run(args),
        What::Diagnose(args) => diagnose::run(args),
        What::Python(args) => python::run(args),
    }
}
