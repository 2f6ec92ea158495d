//! A stage: one line, and below it the steps that did not simply end well.

use super::{SLOW_MS, known, seconds, step};
use crate::model::{BootRecord, EndingKind, OnFailure, RecordStage, RecordStep, StepStatus};
use crate::report::page::{Page, Tag};
use crate::report::stage_end::StageEnd;
use crate::report::words::{count, one_line};

/// Whether there is more to tell than one line.
pub(super) fn is_told(stage: &RecordStage) -> bool {
    stage.steps.iter().any(|step| is_shown(stage, step)) || is_unexplained(stage)
}

/// Why it had no turn; none where it had.
pub(super) fn why_not_reached(record: &BootRecord, stage: &RecordStage) -> Option<String> {
    if stage.reached {
        return None;
    }
    let blocked = |step: &&RecordStep| known(&step.status) == Some(StepStatus::NotRun);
    if let Some(step) = stage.steps.iter().find(blocked) {
        return Some(step.observed.clone());
    }
    let why = match known(&record.summary.ending) {
        Some(EndingKind::Aborted) => "the boot was aborted before",
        Some(EndingKind::Panicked) => "the gate broke before",
        Some(EndingKind::Refused) => "the boot never began",
        Some(EndingKind::Interrupted | EndingKind::Completed) | None => "the boot ended before",
    };
    Some(why.to_owned())
}

/// Shows it. `is_news`: the stage before it was not kept from its turn by the same.
pub(super) fn show(
    page: &mut Page,
    stage: &RecordStage,
    why_not: Option<&str>,
    is_news: bool,
    again: &str,
) {
    let title = one_line(&stage.stage);
    let (tag, line) = match why_not {
        Some(why) if is_news => (Tag::NotRun, format!("{title} - not reached: {why}")),
        Some(_) => (Tag::NotRun, format!("{title} - not reached")),
        None => line(stage, title),
    };
    page.tagged(0, tag, &line);
    if is_unexplained(stage) {
        let (indent, width) = step::DETAILS;
        for issue in &stage.issues {
            page.field(indent, "issue:", width, issue);
        }
    }
    for step in stage.steps.iter().filter(|it| is_shown(stage, it)) {
        step::show(page, step, again);
    }
}

/// How a stage ended that had its turn.
fn line(stage: &RecordStage, title: String) -> (Tag, String) {
    let steps = &stage.steps;
    let statuses: Vec<StepStatus> = steps.iter().filter_map(|it| known(&it.status)).collect();
    let number = |status| statuses.iter().filter(|it| **it == status).count();
    let (skipped, not_run) = (number(StepStatus::Skip), number(StepStatus::NotRun));
    if let Some(first) = steps.first().filter(|_| skipped == steps.len()) {
        return (Tag::Skip, format!("{title} - {}", first.observed));
    }
    let end = StageEnd {
        title,
        blocks: steps.iter().any(blocks),
        // Never greener than the record, whatever it says of the steps.
        failed: !stage.success,
        statuses,
    };
    let (tag, mut line) = end.line();
    line += &format!(" - {}", count(steps.len() - skipped - not_run, "check"));
    for (number, word) in [(not_run, "not run"), (skipped, "skipped")] {
        if number > 0 {
            line += &format!(", {number} {word}");
        }
    }
    let took: f64 = steps.iter().map(|step| step.duration_ms).sum();
    if took > SLOW_MS {
        line += &format!(", {}", seconds(took));
    }
    (tag, line)
}

/// As [`crate::model::StepReport::blocks`].
fn blocks(step: &RecordStep) -> bool {
    match known(&step.status) {
        Some(StepStatus::Fail) => true,
        Some(StepStatus::Error) => known(&step.on_failure) == Some(OnFailure::Abort),
        _ => false,
    }
}

/// Whether a step is told of on its own.
fn is_shown(stage: &RecordStage, step: &RecordStep) -> bool {
    let is_plain = match known(&step.status) {
        Some(StepStatus::Pass | StepStatus::Skip) => true,
        // The stage's line says so of all of them.
        Some(StepStatus::NotRun) => !stage.reached,
        _ => false,
    };
    let tells = [
        !step.notes.is_empty(),
        !step.problems.is_empty(),
        !step.repairs.is_empty(),
    ];
    !is_plain || tells.contains(&true)
}

/// Whether the record says that something is wrong, and not in which step.
fn is_unexplained(stage: &RecordStage) -> bool {
    !stage.issues.is_empty() && stage.steps.is_empty()
}
