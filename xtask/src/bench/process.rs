//! Whole processes, timed in turn, so that both feel the same machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use xshell::{Shell, cmd};

/// Wall times of two commands, run in turn: A B A B …
pub(crate) struct Pairs {
    a: Vec<Duration>,
    b: Vec<Duration>,
}

/// Runs before those that count: files and code are in the page cache then.
const WARM_UP: usize = 3;

/// Times two commands. Both must succeed.
pub(crate) fn pairs(
    runs: usize,
    a: impl FnMut() -> Command,
    b: impl FnMut() -> Command,
) -> anyhow::Result<Pairs> {
    pairs_ending(&[0], runs, a, b)
}

/// Times two commands that must end with one of these codes.
pub(crate) fn pairs_ending(
    codes: &[i32],
    runs: usize,
    mut a: impl FnMut() -> Command,
    mut b: impl FnMut() -> Command,
) -> anyhow::Result<Pairs> {
    ensure!(runs > 0, "no runs, no times");
    let mut pairs = Pairs {
        a: Vec::new(),
        b: Vec::new(),
    };
    for run in 0..runs + WARM_UP {
        let (time_a, time_b) = (time(a(), codes)?, time(b(), codes)?);
        if run >= WARM_UP {
            pairs.a.push(time_a);
            pairs.b.push(time_b);
        }
    }
    Ok(pairs)
}

fn time(mut command: Command, codes: &[i32]) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    let elapsed = started.elapsed();
    let is_expected = status.code().is_some_and(|code| codes.contains(&code));
    ensure!(is_expected, "{command:?} ended with {status}");
    Ok(elapsed)
}

/// Builds these targets of this program for release, and gives the folder that they are in.
pub(crate) fn release(targets: &[&str]) -> anyhow::Result<PathBuf> {
    let shell = Shell::new()?;
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    shell.change_dir(workspace);
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    cmd!(
        shell,
        "{cargo} build --release --package xtask {targets...}"
    )
    .run()?;
    Ok(std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from)
        .join("release"))
}

impl Pairs {
    /// One row: medians of both in milliseconds, and the median of the ratios A/B pair by pair.
    pub(crate) fn row(&self, what: &str, limit: f64) -> String {
        let ratios: Vec<f64> = self
            .a
            .iter()
            .zip(&self.b)
            .map(|(a, b)| a.as_secs_f64() / b.as_secs_f64())
            .collect();
        let milliseconds = |times: &[Duration]| {
            median(
                times
                    .iter()
                    .map(|time| time.as_secs_f64() * 1_000.0)
                    .collect(),
            )
        };
        format!(
            "{what:<44} {:>8.2} {:>8.2} {:>6.2} {limit:>6.1}",
            milliseconds(&self.a),
            milliseconds(&self.b),
            median(ratios)
        )
    }
}

/// The head of a table of such rows.
pub(crate) fn head() -> String {
    format!(
        "{:<44} {:>8} {:>8} {:>6} {:>6}",
        "A / B", "A ms", "B ms", "ratio", "goal"
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
