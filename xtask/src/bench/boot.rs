//! A healthy boot against the least that a gate must do, and on a large database against a small one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use boot_checks::services::db::{Access, Connection};

use super::process::{Pairs, head, pairs, release};
use crate::output;

/// A healthy boot against a floor: whole processes, release build
#[derive(clap::Args)]
pub(super) struct Args {
    /// Pairs of runs that count
    #[arg(long, default_value_t = 30)]
    runs: usize,

    /// Size of the large database in MiB
    #[arg(long, default_value_t = 1024)]
    large_mib: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let programs = build()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let small = folder.path().join("small");
    let large = folder.path().join("large");
    for root in [&small, &large] {
        std::fs::create_dir_all(root)?;
        // Once to create everything; what is measured is a boot with nothing to heal.
        let status = boot(&programs, root)
            .stdout(std::process::Stdio::null())
            .status()?;
        ensure!(status.success(), "the first boot ended with {status}");
    }
    fill(&small.join("var/grace.db"), 1)?;
    output::complain(&format!(
        "bench: filling a database of {} MiB",
        args.large_mib
    ));
    fill(&large.join("var/grace.db"), args.large_mib)?;

    let against_floor = pairs(
        args.runs,
        || boot(&programs, &small),
        || {
            let mut floor = Command::new(&programs.floor);
            floor.arg(&small);
            floor
        },
    )?;
    let by_size = pairs(
        args.runs,
        || boot(&programs, &large),
        || boot(&programs, &small),
    )?;
    let large_row = format!("boot of {} MiB / boot of 1 MiB", args.large_mib);
    output::data(&table(&[
        ("healthy boot / floor", 2.0, against_floor),
        (&large_row, 1.2, by_size),
    ]))?;
    Ok(0)
}

fn table(rows: &[(&str, f64, Pairs)]) -> String {
    let rows = rows
        .iter()
        .map(|(what, goal, pairs)| pairs.row(what, *goal));
    std::iter::once(head())
        .chain(rows)
        .map(|row| row + "\n")
        .collect()
}

struct Programs {
    gate: PathBuf,
    floor: PathBuf,
}

fn build() -> anyhow::Result<Programs> {
    // One after the other: together, the gate too would get what only tests and examples depend on.
    let gate = release(&["--bin", "xtask"])?.join("xtask");
    let floor = release(&["--example", "floor"])?.join("examples/floor");
    Ok(Programs { gate, floor })
}

/// A boot of this root and no other: neither the caller's environment nor a busy port counts.
fn boot(programs: &Programs, root: &Path) -> Command {
    let mut command = Command::new(&programs.gate);
    command
        .args(["boot", "--root"])
        .arg(root)
        .env_remove("DATABASE_URL")
        .env("BOOT_PORT", "1");
    command
}

/// Fills a table of the application's own.
fn fill(database: &Path, mebibytes: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(database, Access::ReadWrite, Duration::ZERO)?;
    let rows = mebibytes * 1024;
    connection.execute("PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS filler (x BLOB)")?;
    connection.execute(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO filler SELECT randomblob(1000) FROM n"
    ))?;
    connection.close();
    Ok(())
}
