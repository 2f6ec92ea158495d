//! Reading a large log, beside ripgrep with the same patterns on the same file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use boot_checks::patterns;

const MIB: u64 = 1024 * 1024;
/// Between two looks at a process's memory.
const MEMORY_POLL: Duration = Duration::from_millis(5);
/// Healthy lines between two incidents.
const INCIDENT_EVERY_LINES: u64 = 997;

/// Read a large log, beside ripgrep with the same patterns
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Size of the log in MiB
    #[arg(long, default_value_t = 1024)]
    size_mib: u64,
    /// Rounds; the fastest of each counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// A program under measure, and its best round.
struct Row {
    name: &'static str,
    command: Vec<String>,
    best: Duration,
    memory_peak_kib: u64,
}

/// Generates the log, runs all programs in turn, and prints the table.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let log = folder.path().join("bench.log");
    generate(&log, args.size_mib * MIB).context("the log cannot be written")?;
    let mut rows = rows(&log, folder.path())?;
    for _ in 0..args.rounds.max(1) {
        for row in &mut rows {
            let (took, memory) = measure(&row.command)?;
            row.best = row.best.min(took);
            row.memory_peak_kib = row.memory_peak_kib.max(memory);
        }
    }
    let mut out = io::stdout().lock();
    write_table(&mut out, &rows, args)?;
    Ok(0)
}

fn rows(log: &Path, folder: &Path) -> anyhow::Result<Vec<Row>> {
    let me = std::env::current_exe().context("where is this program?")?;
    let me = me.to_string_lossy().into_owned();
    let log = log.to_string_lossy().into_owned();
    let row = |name, command: &[&str]| Row {
        name,
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        best: Duration::MAX,
        memory_peak_kib: 0,
    };
    let ours = ["diagnose", "--format", "json"];
    let mut rows = vec![
        row("diagnose", &[&me, ours[0], ours[1], ours[2], &log]),
        row(
            "diagnose, 1 thread",
            &[&me, ours[0], ours[1], ours[2], "--threads", "1", &log],
        ),
    ];
    let patterns = folder.join("patterns.txt");
    std::fs::write(&patterns, expressions().join("\n")).context("patterns cannot be written")?;
    let literals = folder.join("literals.txt");
    std::fs::write(&literals, anchors().join("\n")).context("literals cannot be written")?;
    let (patterns, literals) = (patterns.to_string_lossy(), literals.to_string_lossy());
    if Command::new("rg")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok()
    {
        let same = [
            "rg",
            "--no-config",
            "--text",
            "--count",
            "-f",
            &patterns,
            &log,
        ];
        rows.push(row("rg, same patterns", &same));
        let fixed = [
            "rg",
            "--no-config",
            "--text",
            "--count",
            "-F",
            "-f",
            &literals,
            &log,
        ];
        rows.push(row("rg, their literals only", &fixed));
    }
    Ok(rows)
}

/// The catalogue's expressions as ripgrep takes them: capture names may not repeat, and one that
/// reads several lines is replaced by its literals.
fn expressions() -> Vec<String> {
    let mut expressions = Vec::new();
    for signature in patterns::all()
        .iter()
        .flat_map(|pattern| pattern.signatures)
    {
        if signature.window {
            expressions.extend(signature.anchors.iter().map(|anchor| escaped(anchor)));
        } else {
            expressions.push(without_names(signature.regex));
        }
    }
    expressions.sort();
    expressions.dedup();
    expressions
}

fn anchors() -> Vec<&'static str> {
    let mut anchors: Vec<&str> = patterns::all()
        .iter()
        .flat_map(|pattern| pattern.signatures)
        .flat_map(|signature| signature.anchors.iter().copied())
        .collect();
    anchors.sort_unstable();
    anchors.dedup();
    anchors
}

fn escaped(literal: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    literal
        .chars()
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

fn without_names(regex: &str) -> String {
    let mut parts = regex.split("(?P<");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("(?:");
        out.push_str(part.split_once('>').map_or(part, |(_, rest)| rest));
    }
    out
}

fn measure(command: &[String]) -> anyhow::Result<(Duration, u64)> {
    let (program, args) = command.split_first().context("an empty command")?;
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    let mut memory = 0;
    let status = loop {
        memory = memory.max(memory_peak_kib(&child));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(MEMORY_POLL),
        }
    };
    let took = start.elapsed();
    ensure!(status.success(), "{program} ended with {status}");
    Ok((took, memory))
}

/// The largest resident size so far, as Linux tells it; elsewhere 0.
fn memory_peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn write_table(out: &mut impl Write, rows: &[Row], args: &Args) -> io::Result<()> {
    let ours = rows[0].best.as_secs_f64();
    writeln!(
        out,
        "{} MiB, best of {} rounds in turn; ratio: its time / ours\n",
        args.size_mib,
        args.rounds.max(1)
    )?;
    writeln!(
        out,
        "{:<24} {:>9} {:>9} {:>10} {:>7}",
        "", "seconds", "MiB/s", "peak MiB", "ratio"
    )?;
    for row in rows {
        let seconds = row.best.as_secs_f64();
        writeln!(
            out,
            "{:<24} {:>9.3} {:>9.0} {:>10.1} {:>7.2}",
            row.name,
            seconds,
            args.size_mib as f64 / seconds,
            row.memory_peak_kib as f64 / 1024.0,
            seconds / ours,
        )?;
    }
    if rows.len() == 2 {
        writeln!(
            out,
            "\nripgrep (rg) is not installed: nothing to compare with"
        )?;
    }
    if cfg!(debug_assertions) {
        writeln!(
            out,
            "\nnot optimised: use cargo run --release --package xtask -- bench diagnose"
        )?;
    }
    Ok(())
}

/// Writes a log of about this size: what such an application prints, with an incident now and then.
/// The same size gives the same bytes.
fn generate(path: &Path, bytes: u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let samples: Vec<&str> = patterns::all()
        .iter()
        .flat_map(|pattern| pattern.samples)
        .map(|sample| sample.text.trim())
        .collect();
    let mut random = Random(0x5eed);
    let mut written = 0;
    let mut number = 0;
    while written < bytes {
        let mut line = healthy(&mut random, number);
        if number % INCIDENT_EVERY_LINES == 0 {
            let sample = samples[random.below(samples.len())];
            line = format!(
                "2025-11-09 18:30:15,123 ERROR backend.core: stage failed\nTraceback (most recent \
                 call last):\n  File \"/srv/app/backend/core/boot.py\", line {}, in start\n    await \
                 self.run()\n{sample}\n",
                random.below(900),
            );
        }
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        number += 1;
    }
    out.flush()
}

fn healthy(random: &mut Random, number: u64) -> String {
    let (second, milli) = (number % 60, random.below(1000));
    let at = format!(
        "2025-11-09 18:{:02}:{second:02},{milli:03}",
        number / 60 % 60
    );
    let value = random.below(100_000);
    match random.below(7) {
        0 => format!(
            "INFO:     127.0.0.1:{value} - \"GET /api/playbooks/{value} HTTP/1.1\" 200 OK\n"
        ),
        1 => format!(
            "{at} INFO sqlalchemy.engine.Engine SELECT playbooks.id, playbooks.name FROM playbooks WHERE playbooks.id = {value}\n"
        ),
        2 => format!(
            "{{\"level\": \"info\", \"time\": \"{at}\", \"event\": \"metrics.snapshot\", \"cpu_percent\": {milli}, \"trace\": \"{value:x}\"}}\n"
        ),
        3 => format!(
            "{at} DEBUG backend.mesh: delivered event {value} to 14 subscribers in {milli} ms\n"
        ),
        4 => format!(
            "{at} WARNING backend.health: check took {milli} ms (limit 500 ms), attempt {value}\n"
        ),
        5 => format!(
            "[OK] heartbeat {value}: database is healthy, module cache has {milli} entries\n"
        ),
        _ => format!(
            "{at} INFO backend.ingest: table events has {value} rows, no error, is not a replay\n"
        ),
    }
}

/// A small generator of repeatable numbers (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
