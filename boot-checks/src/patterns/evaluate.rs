//! Measures the catalogue against labelled lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::catalogue;
use super::diagnose::recognise;
use super::ownership::OwnPackages;

/// One labelled line.
#[derive(Deserialize)]
struct Labelled {
    text: String,
    label: String,
    #[serde(default)]
    kind: String,
}

/// How the catalogue did on a file of labelled lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Lines read.
    pub lines: u64,
    /// One row for each label that means a pattern.
    pub labels: Vec<LabelScore>,
    /// Lines whose label means a pattern.
    pub expected: u64,
    /// Those of them that were called by it.
    pub found: u64,
    /// Calls that the label does not bear out, on all lines.
    pub false_alarms: u64,
    /// Calls on lines labelled `benign`.
    pub benign_called: u64,
    /// Every line that went wrong.
    pub misses: Vec<Miss>,
}

/// How the catalogue did on one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// The pattern that it means.
    pub pattern: &'static str,
    /// Lines with this label.
    pub expected: u64,
    /// Lines with this label that were called by the pattern.
    pub found: u64,
    /// Lines that were called by the pattern though their label means another thing.
    pub false_alarms: u64,
}

/// A line that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Miss {
    /// Number of the line in the file of labelled lines.
    pub line: u64,
    /// Its label.
    pub label: String,
    /// Where it came from, as the file says.
    pub kind: String,
    /// The pattern that was expected, if any.
    pub expected: Option<&'static str>,
    /// The patterns that were called.
    pub called: Vec<&'static str>,
    /// The text.
    pub text: String,
}

/// A file of labelled lines that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// It could not be read.
    #[error("line {line} cannot be read")]
    Read {
        /// Number of the line.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no labelled text.
    #[error("line {line} is not {{\"text\": …, \"label\": …}}")]
    Parse {
        /// Number of the line.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// There is nothing to measure.
    #[error("no label in the file means a known pattern")]
    NothingToMeasure,
}

/// Reads `{"text", "label", "kind"}` lines and measures the catalogue against them.
///
/// A line counts as found when the pattern that its label means is among those called. Every other
/// call is a false alarm, whatever the line's label.
///
/// # Errors
/// When a line cannot be read or parsed, or no label means a pattern.
pub fn evaluate(
    lines: impl BufRead,
    own_packages: &OwnPackages,
) -> Result<Evaluation, EvaluateError> {
    let mut evaluation = Evaluation::default();
    let mut scores: BTreeMap<String, LabelScore> = BTreeMap::new();
    let mut alarms: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (line, text) in (1..).zip(lines.lines()) {
        let text = text.map_err(|source| EvaluateError::Read { line, source })?;
        if text.trim().is_empty() {
            continue;
        }
        let labelled: Labelled =
            serde_json::from_str(&text).map_err(|source| EvaluateError::Parse { line, source })?;
        evaluation.lines += 1;
        let expected = meaning(&labelled.label);
        let called = called(&labelled.text, own_packages);
        let found = expected.is_some_and(|expected| called.contains(&expected));
        let wrong = called.iter().filter(|id| Some(**id) != expected);
        for id in wrong.clone() {
            *alarms.entry(id).or_default() += 1;
        }
        evaluation.false_alarms += wrong.clone().count() as u64;
        evaluation.benign_called += u64::from(labelled.label == "benign" && !called.is_empty());
        if let Some(pattern) = expected {
            let score = scores
                .entry(labelled.label.clone())
                .or_insert_with(|| LabelScore {
                    label: labelled.label.clone(),
                    pattern,
                    expected: 0,
                    found: 0,
                    false_alarms: 0,
                });
            score.expected += 1;
            score.found += u64::from(found);
        }
        if wrong.count() > 0 || (expected.is_some() && !found) {
            evaluation.misses.push(Miss {
                line,
                label: labelled.label,
                kind: labelled.kind,
                expected,
                called,
                text: labelled.text,
            });
        }
    }
    if scores.is_empty() {
        return Err(EvaluateError::NothingToMeasure);
    }
    evaluation.labels = scores.into_values().collect();
    for score in &mut evaluation.labels {
        score.false_alarms = alarms.get(score.pattern).copied().unwrap_or(0);
    }
    evaluation.expected = evaluation.labels.iter().map(|score| score.expected).sum();
    evaluation.found = evaluation.labels.iter().map(|score| score.found).sum();
    Ok(evaluation)
}

fn meaning(label: &str) -> Option<&'static str> {
    catalogue::all()
        .iter()
        .find(|pattern| pattern.labels.contains(&label))
        .map(|pattern| pattern.id)
}

fn called(text: &str, own_packages: &OwnPackages) -> Vec<&'static str> {
    let mut ids: Vec<&'static str> = recognise(text, own_packages)
        .iter()
        .map(|incident| incident.pattern)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Evaluation {
    /// Share of the lines that mean a pattern and were called by it.
    pub fn recall(&self) -> f64 {
        share(self.found, self.expected)
    }

    /// Share of the calls that the labels bear out.
    pub fn precision(&self) -> f64 {
        share(self.found, self.found + self.false_alarms)
    }

    /// The table for people.
    pub fn table(&self, verbose: bool) -> String {
        let mut out = String::new();
        let width = self
            .labels
            .iter()
            .map(|score| score.label.len())
            .max()
            .unwrap_or(0)
            .max(5);
        let mut row = |label: &str, expected: u64, found: u64, alarms: u64| {
            let _ = writeln!(
                out,
                "{label:width$}  {expected:>6}  {found:>6}  {alarms:>6}  {:>6.4}  {:>9.4}",
                share(found, expected),
                share(found, found + alarms),
            );
        };
        for score in &self.labels {
            row(
                &score.label,
                score.expected,
                score.found,
                score.false_alarms,
            );
        }
        row("all", self.expected, self.found, self.false_alarms);
        let head = format!(
            "{:width$}  {:>6}  {:>6}  {:>6}  {:>6}  {:>9}\n",
            "label", "lines", "found", "false", "recall", "precision"
        );
        out.insert_str(0, &head);
        let _ = writeln!(
            out,
            "\n{} lines; {} labelled benign were called an incident",
            self.lines, self.benign_called
        );
        if verbose {
            for miss in &self.misses {
                let _ = writeln!(
                    out,
                    "\nline {}, {} {}: expected {}, called {}\n  {}",
                    miss.line,
                    miss.label,
                    miss.kind,
                    miss.expected.unwrap_or("nothing"),
                    if miss.called.is_empty() {
                        "nothing".into()
                    } else {
                        miss.called.join(", ")
                    },
                    miss.text.trim(),
                );
            }
        }
        out
    }
}

/// Nothing of nothing counts as all.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_misses_and_alarms_are_told_apart() {
        let lines = r#"
{"text": "sqlite3.OperationalError: database is locked", "label": "database_locked", "kind": "log"}
{"text": "the lock is held", "label": "database_locked", "kind": "log"}
{"text": "OSError: [Errno 28] No space left on device", "label": "benign", "kind": "doc"}
{"text": "all is well", "label": "benign", "kind": "log"}
"#;
        let evaluation = evaluate(lines.as_bytes(), &OwnPackages::default()).unwrap();
        insta::assert_snapshot!(evaluation.table(true), @r###"
        label             lines   found   false  recall  precision
        database_locked       2       1       0  0.5000     1.0000
        all                   2       1       1  0.5000     0.5000

        4 lines; 1 labelled benign were called an incident

        line 3, database_locked log: expected database_locked, called nothing
          the lock is held

        line 4, benign doc: expected nothing, called disk_full
          OSError: [Errno 28] No space left on device
        "###);
    }

    #[test]
    fn a_file_without_known_labels_is_no_success() {
        let line = br#"{"text": "a", "label": "benign"}"#;
        let error = evaluate(line.as_slice(), &OwnPackages::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no label in the file means a known pattern"
        );
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = evaluate(b"\n{".as_slice(), &OwnPackages::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2 is not {\"text\": …, \"label\": …}"
        );
    }
}
