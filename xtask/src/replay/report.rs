//! What a replay says: as data, and for people.

use std::fmt::Write as _;

use boot_checks::patterns::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::tree::NOT_COMPARED;

/// Version of the form.
const FORMAT_VERSION: u32 = 1;

/// What may differ between two runs of the same build: everything else is the same.
const DECLARED_FIELDS: [&str; 6] = [
    "patterns[].duration_ms",
    "patterns[].kept_in",
    "patterns[].boots",
    "controls[].duration_ms",
    "controls[].kept_in",
    "controls[].boots",
];

/// What stands for what differs from run to run within a text.
const NORMALISED: [&str; 5] = ["<app>", "<port>", "<pid>", "<run>", "<plan>"];

/// Everything that was replayed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    format_version: u32,
    /// Fields that may differ from run to run.
    declared_fields: Vec<String>,
    /// Marks within texts that stand for what differs from run to run.
    normalised: Vec<String>,
    /// What every boot writes, and is compared with nothing.
    not_compared: Vec<String>,
    pub(super) patterns: Vec<Replay>,
    pub(super) controls: Vec<Replay>,
    summary: Summary,
}

#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    patterns: usize,
    patterns_held: usize,
    controls: usize,
    controls_held: usize,
    exit_code: u8,
}

/// One state that was replayed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Replay {
    pub(super) id: String,
    pub(super) title: String,
    /// Whether every step held.
    pub(super) held: bool,
    /// How it is meant to end.
    pub(super) outcome: Outcome,
    pub(super) steps: Vec<Step>,
    pub(super) duration_ms: f64,
    /// Where the sandbox was kept.
    pub(super) kept_in: Option<String>,
    /// What the gate showed in each boot, where that was asked for.
    pub(super) boots: Vec<String>,
}

/// One step of a replay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) status: Status,
    /// Why it did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// What was seen, in order.
    pub(super) seen: Map<String, Value>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// What was expected was seen.
    Held,
    /// Something else was seen.
    NotHeld,
    /// This machine cannot show it. It counts as not held.
    Unmet,
    /// A step before it did not hold, or it was not asked for.
    NotRun,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Held => "held",
            Status::NotHeld => "NOT HELD",
            Status::Unmet => "UNMET",
            Status::NotRun => "not run",
        }
    }
}

impl Report {
    pub(super) fn new(patterns: Vec<Replay>, controls: Vec<Replay>) -> Report {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        let held = |all: &[Replay]| all.iter().filter(|replay| replay.held).count();
        let all_held = patterns.iter().chain(&controls).all(|replay| replay.held);
        Report {
            format_version: FORMAT_VERSION,
            declared_fields: texts(&DECLARED_FIELDS),
            normalised: texts(&NORMALISED),
            not_compared: texts(&NOT_COMPARED),
            summary: Summary {
                patterns: patterns.len(),
                patterns_held: held(&patterns),
                controls: controls.len(),
                controls_held: held(&controls),
                exit_code: u8::from(!all_held),
            },
            patterns,
            controls,
        }
    }

    /// The process's exit code.
    pub(super) fn exit_code(&self) -> u8 {
        self.summary.exit_code
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Each replay with its steps, and the table where there is more than one.
    pub(super) fn pretty(&self) -> String {
        let mut text = String::new();
        let is_one = self.patterns.len() + self.controls.len() == 1;
        // Of many, only those that did not hold are told in full.
        for replay in self.patterns.iter().chain(&self.controls) {
            if is_one || !replay.held || !replay.boots.is_empty() {
                text += &replay.pretty();
                text.push('\n');
            }
        }
        if !is_one {
            table(&mut text, "pattern", &self.patterns);
            table(&mut text, "control", &self.controls);
        }
        let sum = &self.summary;
        if sum.patterns > 0 {
            let _ = writeln!(
                text,
                "Patterns held: {}/{}",
                sum.patterns_held, sum.patterns
            );
        }
        if sum.controls > 0 {
            let _ = writeln!(
                text,
                "Controls held: {}/{}",
                sum.controls_held, sum.controls
            );
        }
        let _ = writeln!(text, "Exit code: {}", sum.exit_code);
        text
    }
}

impl Replay {
    fn pretty(&self) -> String {
        let mut text = format!("{}: {}\n", self.id, self.title);
        for (number, step) in self.steps.iter().enumerate() {
            let _ = writeln!(
                text,
                "  {}. {}: {}",
                number + 1,
                step.name,
                step.status.word()
            );
            if let Some(why) = &step.why {
                let _ = writeln!(text, "       why: {why}");
            }
            for (label, value) in &step.seen {
                for value in lines(value) {
                    let _ = writeln!(text, "       {label}: {value}");
                }
            }
        }
        for (number, console) in self.boots.iter().enumerate() {
            let _ = writeln!(text, "  boot {}", number + 1);
            for line in console.lines() {
                let _ = writeln!(text, "{}", format!("    | {line}").trim_end());
            }
        }
        if let Some(folder) = &self.kept_in {
            let _ = writeln!(text, "  kept in {folder}");
        }
        text
    }
}

fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(lines).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

fn table(text: &mut String, noun: &str, replays: &[Replay]) {
    let Some(first) = replays.first() else {
        return;
    };
    let ids = replays.iter().map(|replay| replay.id.len());
    let width = ids.chain([noun.len()]).max().unwrap_or_default();
    let _ = write!(text, "{noun:width$}");
    for (number, step) in first.steps.iter().enumerate() {
        let _ = write!(text, "  {:11}", format!("{} {}", number + 1, step.name));
    }
    text.push_str("  outcome\n");
    for replay in replays {
        let _ = write!(text, "{:width$}", replay.id);
        for step in &replay.steps {
            let _ = write!(text, "  {:11}", step.status.word());
        }
        let _ = writeln!(text, "  {}", replay.outcome.word());
    }
    text.push('\n');
}
