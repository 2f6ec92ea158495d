//! `cargo xtask replay`: a known incident, reproduced in a sandbox, found, healed, verified, undone.

mod arrange;
mod control;
mod from;
mod gate;
mod heal;
mod isolated;
mod probe;
pub(crate) mod programs;
mod rebuild;
mod report;
mod sandbox;
mod steps;
mod tree;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use boot_checks::model::Verdict;
use boot_checks::patterns::{self, Embedded, Outcome};
use clap::ValueEnum;

use crate::output;
use gate::Gate;
use report::{Replay, Report, Status, Step};
use sandbox::Sandbox;
use steps::Incident;
use words::Words;

/// Reproduce known incidents in a sandbox, and show that each is found, healed, verified and undone
///
/// Every step is done for real: a process that holds the lock, a disk that is full, a column that is
/// missing. The gate that finds and heals it is the one that `boot` runs. Your application is never
/// touched. Exit code 0 means that every step held.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Patterns or controls, by id
    #[arg(value_name = "ID")]
    ids: Vec<String>,

    /// All patterns, and all controls: states in which nothing is to be healed
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// Reproduce the incident that a failed boot left: its bundle or its record, also of another machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ids", "all", "approve", "observe"])]
    from: Option<PathBuf>,

    /// Print the ids, one a line, and replay nothing
    #[arg(long)]
    list: bool,

    /// Only reproduce and find; heal nothing
    #[arg(long)]
    observe: bool,

    /// Give the approval that a heal of tier 3 asks for; without it, the proposal is the outcome
    #[arg(long)]
    approve: bool,

    /// Keep the sandboxes in this folder, which must be empty or missing
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    /// Also show what the gate printed in each boot
    #[arg(long)]
    boots: bool,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,

    /// How many are replayed at a time; the result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 1)]
    test_threads: usize,

    /// Keep the sandboxes below this folder, whatever is in it
    #[arg(long, hide = true)]
    keep_in: Option<PathBuf>,

    /// This process has a mount namespace of its own
    #[arg(long, hide = true)]
    in_namespace: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Pretty,
    /// One JSON object.
    Json,
}

const EXAMPLES: &str = "Examples:
  cargo xtask replay database_locked             one incident, step by step
  cargo xtask replay --all                       every pattern and every control, as a table
  cargo xtask replay --list                      their ids
  cargo xtask replay --observe port_in_use       reproduce and find only
  cargo xtask replay --boots disk_full           and show what the gate printed
  cargo xtask replay --keep /tmp/r disk_full     and leave the sandbox to look at
  cargo xtask replay --all --format json | jq .summary
  cargo xtask replay --from incident_20261123_203824.json
                                                 the incident of a failed boot, here

Steps: 1 reproduce, 2 find, 3 heal, 4 verify, 5 undo. What a machine cannot show (no python3, no
right to mount a small file system) is UNMET, and counts as not held.

With --from, a finding comes again or does not; a bundle holds the schema without rows and names without
values, so not every finding can.

Exit codes: 0 every step held (every blocking finding came again), 1 one did not, 2 usage";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    if args.list {
        let ids = states().map(|embedded| format!("{}\n", embedded.id));
        output::data(&ids.collect::<String>())?;
        return Ok(0);
    }
    if !args.all && args.ids.is_empty() && args.from.is_none() {
        output::complain("error: name a pattern, or take --all; --list prints their ids");
        return Ok(Verdict::Usage.exit_code());
    }
    for id in &args.ids {
        if !states().any(|embedded| embedded.id == id) {
            unknown(id);
            return Ok(Verdict::Usage.exit_code());
        }
    }
    if let Some(folder) = args.keep.as_deref().filter(|folder| !is_free(folder)) {
        output::complain(&format!(
            "error: {} is not empty; --keep takes an empty or a missing folder",
            folder.display()
        ));
        return Ok(Verdict::Usage.exit_code());
    }
    sandbox::stop_on_signals()?;
    match &args.from {
        Some(file) => from::run(args, file),
        None => run_ids(args, &args.ids),
    }
}

/// Replays these, or all where that was asked for.
fn run_ids(args: &Args, ids: &[String]) -> anyhow::Result<u8> {
    let chosen: Vec<&'static Embedded> = states()
        .filter(|embedded| args.all || ids.iter().any(|id| id == embedded.id))
        .collect();
    let replays = in_parallel(&chosen, args.test_threads, |embedded| {
        replay(args, embedded)
    });
    let (controls, patterns) = replays
        .into_iter()
        .partition(|replay| replay.outcome == Outcome::NoHeal);
    let report = Report::new(patterns, controls);
    output::data(&match args.format {
        Format::Pretty => report.pretty(),
        Format::Json => report.json()?,
    })?;
    Ok(report.exit_code())
}

/// Every state that can be replayed: patterns first, then controls, each in the order of their ids.
fn states() -> impl Iterator<Item = &'static Embedded> {
    patterns::replays().iter().chain(patterns::controls())
}

fn unknown(id: &str) {
    output::complain(&format!("error: there is no pattern or control `{id}`"));
    let nearest = states()
        .map(|embedded| (strsim::damerau_levenshtein(embedded.id, id), embedded.id))
        .min()
        .filter(|(edits, known)| *edits <= known.len() / 3);
    if let Some((_, known)) = nearest {
        output::complain(&format!("  did you mean `{known}`?"));
    }
    output::complain("  `cargo xtask replay --list` prints all ids");
}

fn is_free(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// One state, from its making to its end.
fn replay(args: &Args, embedded: &'static Embedded) -> Replay {
    let started = Instant::now();
    let keep = args.keep.as_ref().or(args.keep_in.as_ref());
    let keep = keep.map(|folder| folder.join(embedded.id));
    let mut replay = if embedded.fixture().needs_mount() && !args.in_namespace {
        isolated::replay(args, embedded, keep.as_deref())
    } else {
        in_sandbox(args, embedded, keep.as_deref())
    };
    replay.kept_in = keep.map(|folder| folder.display().to_string());
    replay.duration_ms = started.elapsed().as_secs_f64() * 1000.0;
    replay
}

fn in_sandbox(args: &Args, embedded: &'static Embedded, keep: Option<&Path>) -> Replay {
    let fixture = embedded.fixture();
    let pattern = patterns::find(embedded.id);
    let title = pattern.map_or(fixture.title.as_str(), |pattern| pattern.title);
    let mut sandbox = match Sandbox::healthy(keep) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let steps = failed(&steps::NAMES, Status::NotHeld, &error);
            return told(embedded, title, fixture.expect.outcome, steps, false);
        }
    };
    let (outcome, steps) = match pattern {
        None => (Outcome::NoHeal, control::run(embedded, &mut sandbox)),
        Some(pattern) => {
            let incident = Incident::new(pattern, embedded, &mut sandbox, args.approve);
            (incident.outcome(), incident.run(args.observe))
        }
    };
    let mut replay = told(embedded, title, outcome, steps, args.observe);
    if args.boots {
        let words = Words::of(&sandbox);
        let consoles = Gate::of(&sandbox).consoles();
        replay.boots = consoles.iter().map(|text| words.text(text)).collect();
    }
    replay
}

/// The first of these steps did not hold, for this reason.
fn failed(names: &[&str], status: Status, error: &anyhow::Error) -> Vec<Step> {
    let mut status = Some(status);
    let mut why = Some(format!("{error:#}"));
    names
        .iter()
        .map(|name| Step {
            name: (*name).to_owned(),
            status: status.take().unwrap_or(Status::NotRun),
            why: why.take(),
            seen: serde_json::Map::new(),
        })
        .collect()
}

fn told(
    embedded: &Embedded,
    title: &str,
    outcome: Outcome,
    steps: Vec<Step>,
    only_observed: bool,
) -> Replay {
    let is_well = |step: &Step| {
        step.status == Status::Held || (only_observed && step.status == Status::NotRun)
    };
    let is_shown = steps
        .first()
        .is_some_and(|step| step.status == Status::Held);
    Replay {
        id: embedded.id.to_owned(),
        title: title.to_owned(),
        held: is_shown && steps.iter().all(is_well),
        outcome,
        steps,
        duration_ms: 0.0,
        kept_in: None,
        boots: Vec::new(),
    }
}

/// Answers in the order of what was given, however many are worked at a time.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((at, item)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).map(|item| (at, item))
                } {
                    let answer = work(item);
                    let mut answers = answers.lock().unwrap_or_else(|it| it.into_inner());
                    answers.push((at, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(|it| it.into_inner());
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
