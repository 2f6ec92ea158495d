//! Words and small decisions that several renderers share.

use std::fmt::Write;
use std::time::Duration;

use crate::model::{
    BootReport, Change, Ending, Evidence, Finding, Mode, StageId, StepOutcome, StepReport,
    StepStatus, Verdict,
};

/// What a verdict means for the one who waits for the application, as half a sentence.
pub fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::MayStart => "the application may start",
        Verdict::Blocked => "the application must not start",
        Verdict::Usage => "the command line was not understood; nothing was checked",
        Verdict::HealFailed => "the application must not start; a heal failed",
        Verdict::NothingChecked => "nothing was checked, so nothing is known",
        Verdict::WarningsUnderStrict => "the application must not start; --strict forbids warnings",
        Verdict::LockHeld => "another boot of this application is running",
        Verdict::NeedsApproval => "the application must not start; a heal waits for approval",
        Verdict::Bug => "the gate itself broke; nothing is known of the application",
        Verdict::Config => "the configuration was not understood; nothing was checked",
    }
}

/// What is said of a run from which steps were left out.
pub(super) const PARTIAL: &str = "partial run: no verdict on the application";

/// What is said of a run that only looked.
pub(super) const OBSERVED: &str = "observe: nothing but this run's own report was written";

/// The same where that could not be written either.
pub(super) const UNPROVEN: &str =
    "observe: nothing of the application's was written, and this run's own report could not be";

/// What to do after a signal.
pub(super) const AFTER_SIGNAL: &str =
    "run the boot again; what was under way was finished or taken back";

pub(super) fn is_observing(report: &BootReport) -> bool {
    report.start.mode == Mode::Observe
}

/// Why the application must not start, or why nothing is known: the first thing to be told.
pub(super) struct Reason<'a> {
    /// What is wrong.
    pub(super) what: String,
    /// Where: a step.
    pub(super) place: Option<String>,
    pub(super) evidence: &'a [Evidence],
    pub(super) cause: Option<&'a str>,
    pub(super) next_step: Option<&'a str>,
    pub(super) pattern: Option<&'a str>,
}

impl<'a> Reason<'a> {
    fn bare(what: impl Into<String>) -> Reason<'a> {
        Reason {
            what: what.into(),
            place: None,
            evidence: &[],
            cause: None,
            next_step: None,
            pattern: None,
        }
    }

    pub(super) fn finding(step: &StepReport, finding: &'a Finding) -> Reason<'a> {
        Reason {
            what: finding.message.clone(),
            place: Some(step.id.to_string()),
            evidence: &finding.evidence,
            cause: finding.cause.as_deref(),
            next_step: finding.action.as_deref(),
            pattern: finding.pattern,
        }
    }

    /// Everything that is wrong in a step; for one that could not look, that it could not.
    pub(super) fn of_step(step: &'a StepReport) -> Vec<Reason<'a>> {
        if let StepOutcome::Errored { error } = &step.outcome {
            return vec![Reason {
                place: Some(step.id.to_string()),
                next_step: error.action.as_deref(),
                ..Reason::bare(format!("could not look: {}", error.message))
            }];
        }
        let findings = step.problems().iter();
        findings.map(|it| Reason::finding(step, it)).collect()
    }
}

/// Why this boot did not end in [`Verdict::MayStart`], the root cause first. Empty where it did.
pub(super) fn reasons(report: &BootReport) -> Vec<Reason<'_>> {
    let verdict = report.verdict();
    let mut reasons = match &report.ending {
        None => vec![Reason::bare("the boot did not come to its end")],
        Some(Ending::Refused { reason, .. }) => vec![Reason::bare(reason)],
        Some(Ending::Interrupted { signal }) => vec![Reason {
            next_step: Some(AFTER_SIGNAL),
            ..Reason::bare(format!("stopped by {signal} before the end"))
        }],
        Some(Ending::Panicked { message }) => vec![Reason {
            next_step: Some("keep this output and report it as a fault of the gate"),
            ..Reason::bare(format!("the gate broke: {message}"))
        }],
        Some(Ending::Completed | Ending::Aborted { .. }) => Vec::new(),
    };
    let first = match &report.ending {
        Some(Ending::Aborted { by }) => Some(*by),
        _ => None,
    };
    let is_wanted = |step: &&StepReport| match verdict {
        Verdict::MayStart => false,
        Verdict::WarningsUnderStrict => {
            matches!(step.status(), StepStatus::Warn | StepStatus::Error)
        }
        _ => step.blocks() || Some(step.id) == first,
    };
    let (root, others): (Vec<_>, Vec<_>) = report
        .steps()
        .filter(is_wanted)
        .partition(|step| Some(step.id) == first);
    reasons.extend(root.into_iter().chain(others).flat_map(Reason::of_step));
    if reasons.is_empty() && verdict == Verdict::NothingChecked {
        reasons.push(Reason {
            next_step: Some("look at the filter and at --list"),
            ..Reason::bare("no step was run")
        });
    }
    if let Some(why) = report.unproven.as_ref().filter(|_| reasons.is_empty()) {
        reasons.push(Reason {
            next_step: Some("let the gate write there, then boot again"),
            ..Reason::bare(format!("the report could not be written: {why}"))
        });
    }
    if reasons.is_empty() && verdict != Verdict::MayStart {
        reasons.push(Reason::bare(match first {
            Some(step) => format!("{step} did not hold"),
            None => "steps that had to run did not".to_owned(),
        }));
    }
    reasons
}

/// What was lost of a database that was healed, and how it comes back as it was.
pub(super) fn losses(report: &BootReport) -> Vec<String> {
    let repairs = report.steps().flat_map(StepReport::repairs);
    let done = repairs.filter(|repair| repair.is_verified());
    let lost = done
        .flat_map(|repair| &repair.changes)
        .filter_map(|change| match change {
            Change::RebuildDatabase { report, .. } if !report.lost().is_nothing() => Some(report),
            _ => None,
        });
    let (run_id, again) = (&report.start.run_id, &report.start.again);
    lost.map(|salvage| {
        format!(
            "{}; what was there is kept in the quarantine, and `cargo xtask undo {run_id}{again}` puts it back",
            salvage.summary()
        )
    })
    .collect()
}

/// What is wrong in a boot after which the application may start all the same.
pub(super) fn warnings(report: &BootReport) -> Vec<Reason<'_>> {
    let is_green = report.verdict() == Verdict::MayStart;
    let warned = report
        .steps()
        .filter(|step| is_green && matches!(step.status(), StepStatus::Warn | StepStatus::Error));
    warned.flat_map(Reason::of_step).collect()
}

/// Why a stage had no turn; none where it had.
pub(super) fn not_reached(report: &BootReport, id: StageId) -> Option<String> {
    match report.stages.iter().find(|stage| stage.id == id) {
        None => Some(why_not_reached(report)),
        Some(stage) => stage.blocked_by().map(|step| format!("blocked by {step}")),
    }
}

fn why_not_reached(report: &BootReport) -> String {
    match &report.ending {
        Some(Ending::Aborted { by }) => format!("blocked by {by}"),
        Some(Ending::Interrupted { signal }) => format!("stopped by {signal}"),
        Some(Ending::Panicked { .. }) => "the gate broke".to_owned(),
        Some(Ending::Refused { .. }) => "the boot never began".to_owned(),
        Some(Ending::Completed) | None => "the boot ended before".to_owned(),
    }
}

/// `1 warning`, `2 warnings`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Seconds to the millisecond: `0.012 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

/// The text on one line, without anything that could move a cursor, reverse the reading order or
/// forge a line of ours.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(str::trim_end).map(printable).collect();
    lines.join(" / ")
}

/// The text with each character that a terminal would obey instead of showing it spelled out.
pub fn printable(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => clean.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(clean, "\\u{{{:x}}}", u32::from(character));
            }
            other if other.is_control() => {
                let _ = write!(clean, "\\u{{{:x}}}", u32::from(other));
            }
            other => clean.push(other),
        }
    }
    clean
}
