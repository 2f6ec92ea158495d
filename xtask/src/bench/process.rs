//! Whole processes, timed in turn, so that both feel the same machine.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

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
    mut a: impl FnMut() -> Command,
    mut b: impl FnMut() -> Command,
) -> anyhow::Result<Pairs> {
    let mut pairs = Pairs {
        a: Vec::new(),
        b: Vec::new(),
    };
    for run in 0..runs + WARM_UP {
        let (time_a, time_b) = (time(a())?, time(b())?);
        if run >= WARM_UP {
            pairs.a.push(time_a);
            pairs.b.push(time_b);
        }
    }
    Ok(pairs)
}

fn time(mut command: Command) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    let elapsed = started.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(elapsed)
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
