//! `cargo xtask bench`: speed beside a peer or a floor in the same run, as ratios; faults beside tools
//! that migrate.

mod boot;
mod diagnose;
mod process;
mod python;
mod reliability;

use clap::Subcommand;

/// Measure speed, and what faults cost, beside others
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
    Reliability(reliability::Args),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match &args.what {
        What::Boot(args) => boot::run(args),
        What::Diagnose(args) => diagnose::run(args),
        What::Python(args) => python::run(args),
        What::Reliability(args) => reliability::run(args),
    }
}
