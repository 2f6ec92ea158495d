//! The last block on the console: whether the application may start, and why not. Whoever is paged
//! at night reads this first, so it says everything again.

use super::attempt::attempt;
use super::console::observed_line;
use super::headline::Headline;
use super::page::Page;
use super::words::{
    PARTIAL, Reason, is_observing, losses, not_reached, one_line, reasons, seconds, warnings,
};
use crate::model::{BootReport, StageId, StepReport, Verdict};

/// Reasons that are told in full; the others stand above.
const MAX_REASONS: usize = 3;

/// Columns for what was looked at; a longer name is wrapped together with what was seen.
const LONGEST_NAME: usize = 24;

/// Width of the column of labels.
const LABELS: usize = 11;

pub(super) fn show(page: &mut Page, report: &BootReport) {
    let verdict = report.verdict();
    let headline = Headline::from(report);
    let (tag, line) = headline.line();
    let meaning = headline.meaning();
    page.blank();
    page.rule();
    page.headline(tag, &line);
    if verdict != Verdict::MayStart {
        page.plain(&meaning);
    }
    why(page, report);
    counts(page, report);
    for lost in losses(report) {
        page.field(0, "Lost:", LABELS, &lost);
    }
    if is_observing(report) {
        page.field(0, "Mode:", LABELS, &observed_line(report));
    }
    if report.start.is_partial() {
        page.field(0, "Note:", LABELS, PARTIAL);
    }
    page.field(0, "Time:", LABELS, &seconds(report.duration));
    let (code, word) = (verdict.exit_code(), report.verdict_word());
    page.field(
        0,
        "Exit code:",
        LABELS,
        &format!("{code} ({word}): {meaning}"),
    );
    page.rule();
}

fn why(page: &mut Page, report: &BootReport) {
    let reasons = reasons(report);
    for reason in reasons.iter().take(MAX_REASONS) {
        page.blank();
        page.field(0, "Reason:", LABELS, &reason.what);
        reason_fields(page, 0, LABELS, &FINAL, reason);
    }
    let hidden = reasons.len().saturating_sub(MAX_REASONS);
    if hidden > 0 {
        page.blank();
        page.plain(&format!("... and {hidden} more, told above"));
    }
    let blocking = report.steps().filter(|step| step.blocks());
    for repair in blocking.flat_map(StepReport::repairs) {
        page.field(0, "Heal:", LABELS, &attempt(repair, &report.start.again));
    }
    let warnings = warnings(report);
    for reason in warnings.iter().take(MAX_REASONS) {
        let place = reason.place.as_deref().unwrap_or_default();
        page.field(0, "Warning:", LABELS, &format!("{place}: {}", reason.what));
    }
    let hidden = warnings.len().saturating_sub(MAX_REASONS);
    if hidden > 0 {
        page.plain(&format!("... and {hidden} more, told above"));
    }
    if !reasons.is_empty() || !warnings.is_empty() {
        page.blank();
    }
}

fn counts(page: &mut Page, report: &BootReport) {
    let passed = format!("Passed: {}/{}", report.stages_passed(), StageId::ALL.len());
    page.plain(&passed);
    page.plain(&format!("Failed: {}", report.stages_failed()));
    let not_reached = StageId::ALL.map(|id| not_reached(report, id));
    match not_reached.iter().flatten().collect::<Vec<_>>()[..] {
        [] => {}
        [why, ..] => {
            let number = not_reached.iter().flatten().count();
            page.plain(&format!("Not reached: {number} ({why})"));
        }
    }
    let fixes: usize = report.stages.iter().map(|it| it.fixes().count()).sum();
    if fixes > 0 {
        page.plain(&format!("Fixed: {fixes}"));
    }
}

/// Names of the parts of a reason.
struct Labels {
    place: &'static str,
    seen: &'static str,
    cause: &'static str,
    pattern: &'static str,
    next_step: &'static str,
}

const FINAL: Labels = Labels {
    place: "Where:",
    seen: "Seen:",
    cause: "Cause:",
    pattern: "Known as:",
    next_step: "Next step:",
};

const INLINE: Labels = Labels {
    place: "where:",
    seen: "seen:",
    cause: "cause:",
    pattern: "known:",
    next_step: "next:",
};

/// Below a finding's message: where, what was seen, why, what next.
pub(super) fn details(page: &mut Page, indent: usize, reason: &Reason<'_>) {
    reason_fields(page, indent, 8, &INLINE, reason);
}

fn reason_fields(
    page: &mut Page,
    indent: usize,
    width: usize,
    labels: &Labels,
    reason: &Reason<'_>,
) {
    if let Some(place) = &reason.place {
        page.field(indent, labels.place, width, place);
    }
    for (number, evidence) in reason.evidence.iter().enumerate() {
        let label = if number == 0 { labels.seen } else { "" };
        let name = one_line(&evidence.label);
        let name_width = name.chars().count() + 2;
        if name_width > LONGEST_NAME {
            let line = format!("{name}: {}", evidence.value);
            page.field(indent, label, width, &line);
        } else {
            // A value's lines stand below each other, so that its end is told from the next label.
            let head = format!("{label:width$}{name}: ");
            page.field(indent, &head, width + name_width, &evidence.value);
        }
    }
    if let Some(cause) = reason.cause {
        page.field(indent, labels.cause, width, cause);
    }
    if let Some(pattern) = reason.pattern {
        page.field(indent, labels.pattern, width, pattern);
    }
    if let Some(next_step) = reason.next_step {
        page.field(indent, labels.next_step, width, next_step);
    }
}
