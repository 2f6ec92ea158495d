//! A step that did not simply end well, with all that its record has of it.

use super::finding::PastFinding;
use super::repair::PastRepair;
use super::{SLOW_MS, known, seconds};
use crate::model::{RecordStep, StepStatus};
use crate::report::page::{Page, Tag};
use crate::report::summary::details;
use crate::report::words::Reason;

/// Problems of one step that are shown; the record has them all.
const MAX_PROBLEMS: usize = 40;

/// Indent of what is told of a step, and the width of its labels.
pub(super) const DETAILS: (usize, usize) = (9, 8);

pub(super) fn show(page: &mut Page, step: &RecordStep, again: &str) {
    let (indent, width) = DETAILS;
    match known(&step.status) {
        Some(StepStatus::Warn) => problems(page, Tag::Warn, step),
        Some(StepStatus::Fail) => problems(page, Tag::Fail, step),
        Some(StepStatus::Fixed) => {
            let line = format!("{} - healed and checked again{}", step.id, took(step));
            page.tagged(2, Tag::Fix, &line);
            if !step.observed.is_empty() {
                page.field(indent, "now:", width, &step.observed);
            }
            was(page, step);
        }
        Some(StepStatus::Error) => {
            let line = format!("could not look: {}{}", step.observed, took(step));
            page.tagged(2, Tag::Error, &line);
            page.field(indent, "where:", width, &step.id);
            if let Some(action) = &step.action {
                page.field(indent, "next:", width, action);
            }
            was(page, step);
        }
        Some(StepStatus::Pass) => plain(page, Tag::Ok, step, ""),
        Some(StepStatus::Skip) => plain(page, Tag::Skip, step, ""),
        Some(StepStatus::NotRun) => plain(page, Tag::NotRun, step, ""),
        None => {
            let ended = format!("; it ended as `{}`", step.status);
            plain(page, Tag::Error, step, &ended);
        }
    }
    for value in &step.repairs {
        repair(page, &PastRepair::from(value), again);
    }
    for note in &step.notes {
        page.field(indent, "note:", width, note);
    }
}

/// A step of which one line tells nearly all.
fn plain(page: &mut Page, tag: Tag, step: &RecordStep, behind: &str) {
    let (id, took) = (&step.id, took(step));
    let line = match step.observed.as_str() {
        "" => format!("{id}{took}{behind}"),
        observed => format!("{id} - {observed}{took}{behind}"),
    };
    page.tagged(2, tag, &line);
    was(page, step);
}

fn took(step: &RecordStep) -> String {
    match step.duration_ms {
        slow if slow > SLOW_MS => format!(" ({})", seconds(slow)),
        _ => String::new(),
    }
}

/// What is wrong.
fn problems(page: &mut Page, tag: Tag, step: &RecordStep) {
    if step.problems.is_empty() {
        plain(page, tag, step, "; the record does not say what is wrong");
    }
    for value in step.problems.iter().take(MAX_PROBLEMS) {
        let finding = PastFinding::from(value);
        page.tagged(2, tag, finding.message());
        let place = finding.place(&step.id);
        details(page, DETAILS.0, &finding.reason(Some(place)));
    }
    hidden(page, step);
}

/// What was wrong. A next step is owed to nobody any more.
fn was(page: &mut Page, step: &RecordStep) {
    let (indent, width) = DETAILS;
    for value in step.problems.iter().take(MAX_PROBLEMS) {
        let finding = PastFinding::from(value);
        page.field(indent, "was:", width, &finding.place(finding.message()));
        let reason = Reason {
            next_step: None,
            ..finding.reason(None)
        };
        details(page, indent, &reason);
    }
    hidden(page, step);
}

fn hidden(page: &mut Page, step: &RecordStep) {
    let (indent, width) = DETAILS;
    let hidden = step.problems.len().saturating_sub(MAX_PROBLEMS);
    if hidden > 0 {
        page.field(indent, "more:", width, &format!("{hidden}, in the record"));
    }
}

fn repair(page: &mut Page, repair: &PastRepair, again: &str) {
    let (indent, width) = DETAILS;
    page.field(indent, "fix:", width, &repair.words(again));
    for (number, line) in repair.plan().iter().enumerate() {
        let label = if number == 0 { "plan:" } else { "" };
        page.field(indent, label, width, line);
    }
    for line in repair.proposal.lines() {
        page.verbatim(indent + width, line);
    }
}
