use std::fmt::Write;
use std::time::Duration;

use super::attempt::attempt;
use super::words::{Reason, meaning, not_reached, one_line, reasons};
use crate::model::{BootReport, PlannedStage, StepOutcome, StepReport, Verdict};

/// JUnit's XML: stages are suites, steps are cases. A warning is no failure, except where it blocks
/// (`--strict`). When nothing that is a case explains why the application must not start, one more
/// suite does, so that the file is never greener than the exit code.
pub fn junit(report: &BootReport) -> String {
    let is_strict = report.verdict() == Verdict::WarningsUnderStrict;
    let mut suites: Vec<Suite> = report
        .start
        .plan
        .iter()
        .map(|planned| suite(report, planned, is_strict))
        .collect();
    let failed = |suite: &Suite| suite.failures + suite.errors > 0;
    if report.verdict() != Verdict::MayStart && !suites.iter().any(failed) {
        suites.push(verdict_suite(report));
    }
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites name=\"{} boot\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\">",
        escape(&report.start.application),
        sum(|it| it.tests),
        sum(|it| it.failures),
        sum(|it| it.errors),
        sum(|it| it.skipped),
        seconds(report.duration),
    );
    for suite in &suites {
        suite.write(&mut xml, &report.start.timestamp);
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// A suite whose cases are written already.
struct Suite {
    name: String,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    duration: Duration,
    cases: String,
}

/// What stands inside a case, and as what it counts.
enum Inside {
    Passed(String),
    Failure(String),
    Error(String),
    Skipped(String),
}

impl Suite {
    fn new(name: String) -> Suite {
        Suite {
            name,
            tests: 0,
            failures: 0,
            errors: 0,
            skipped: 0,
            duration: Duration::ZERO,
            cases: String::new(),
        }
    }

    fn case(&mut self, class: &str, name: &str, duration: Duration, inside: Inside) {
        self.tests += 1;
        self.duration += duration;
        let _ = write!(
            self.cases,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
            escape(class),
            escape(name),
            seconds(duration)
        );
        let element = match inside {
            Inside::Passed(output) if output.is_empty() => {
                self.cases.push_str("/>\n");
                return;
            }
            Inside::Passed(output) => format!("<system-out>{}</system-out>", escape(&output)),
            Inside::Failure(text) => {
                self.failures += 1;
                element("failure", &text)
            }
            Inside::Error(text) => {
                self.errors += 1;
                element("error", &text)
            }
            Inside::Skipped(reason) => {
                self.skipped += 1;
                format!("<skipped message=\"{}\"/>", escape(&reason))
            }
        };
        let _ = write!(self.cases, ">\n      {element}\n    </testcase>\n");
    }

    fn write(&self, xml: &mut String, timestamp: &str) {
        let _ = write!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\" timestamp=\"{}\">\n{}  </testsuite>\n",
            escape(&self.name),
            self.tests,
            self.failures,
            self.errors,
            self.skipped,
            seconds(self.duration),
            escape(timestamp),
            self.cases,
        );
    }
}

fn suite(report: &BootReport, planned: &PlannedStage, is_strict: bool) -> Suite {
    let mut suite = Suite::new(planned.id.to_string());
    let class = planned.id.slug();
    let why_not = not_reached(report, planned.id);
    for step in &planned.steps {
        let done = report.steps().find(|done| done.id == step.id);
        let (duration, inside) = match done {
            Some(done) => (done.duration, inside(done, is_strict, &report.start.again)),
            None => {
                let why = why_not.as_deref().unwrap_or("the stage ended before");
                let reason = format!("not run: {why}");
                (Duration::ZERO, Inside::Skipped(reason))
            }
        };
        suite.case(class, step.id.name, duration, inside);
    }
    suite
}

fn inside(step: &StepReport, is_strict: bool, again: &str) -> Inside {
    let told = || {
        let reasons = Reason::of_step(step);
        let tried = step.repairs().iter().map(|it| attempt(it, again));
        let all = reasons.iter().map(tell).chain(tried);
        all.collect::<Vec<_>>().join("\n\n")
    };
    match &step.outcome {
        StepOutcome::Passed => Inside::Passed(step.observed.clone()),
        StepOutcome::Fixed { repairs, .. } => {
            let done = repairs
                .iter()
                .map(|it| format!("fixed by {}: {}", it.playbook, it.summary));
            Inside::Passed(done.collect::<Vec<_>>().join("\n"))
        }
        StepOutcome::Warned { .. } if is_strict => Inside::Failure(told()),
        StepOutcome::Warned { .. } => Inside::Passed(format!("warning: {}", told())),
        StepOutcome::Failed { .. } => Inside::Failure(told()),
        StepOutcome::Errored { .. } => Inside::Error(told()),
        StepOutcome::Skipped { reason } => Inside::Skipped(reason.clone()),
        StepOutcome::NotRun { blocked_by } => {
            Inside::Skipped(format!("not run: blocked by {blocked_by}"))
        }
    }
}

fn verdict_suite(report: &BootReport) -> Suite {
    let mut suite = Suite::new("verdict".to_owned());
    let mut told: Vec<String> = reasons(report).iter().map(tell).collect();
    told.push(meaning(report.verdict()).to_owned());
    let inside = Inside::Error(told.join("\n\n"));
    suite.case("verdict", "may_start", Duration::ZERO, inside);
    suite
}

/// A reason in lines, the first of which says what is wrong.
fn tell(reason: &Reason<'_>) -> String {
    let mut told = one_line(&reason.what);
    for evidence in reason.evidence {
        let _ = write!(told, "\n{}: {}", evidence.label, evidence.value);
    }
    if let Some(cause) = reason.cause {
        let _ = write!(told, "\ncause: {cause}");
    }
    if let Some(next_step) = reason.next_step {
        let _ = write!(told, "\nnext step: {next_step}");
    }
    told
}

/// An element whose message is the first line of its text.
fn element(name: &str, text: &str) -> String {
    let message = text.lines().next().unwrap_or("");
    format!(
        "<{name} message=\"{}\">{}</{name}>",
        escape(message),
        escape(text)
    )
}

fn seconds(duration: Duration) -> String {
    format!("{:.6}", duration.as_secs_f64())
}

/// For content and for attributes. What XML 1.0 cannot hold in any spelling becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
