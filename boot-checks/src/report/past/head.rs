//! What is told first of a boot that is over.

use super::repair::PastRepair;
use super::{known, seconds};
use crate::model::{BootRecord, EndingKind, RecordStep, Verdict};
use crate::report::headline::Headline;
use crate::report::page::Page;
use crate::report::words::{AFTER_SIGNAL, OBSERVED, PARTIAL, one_line};

/// Width of the column of labels.
const LABELS: usize = 13;

pub(super) fn show(page: &mut Page, record: &BootRecord, again: &str) {
    let summary = &record.summary;
    let application = one_line(&record.application);
    let ending = known::<EndingKind>(&summary.ending);
    let verdict = match summary.verdict.as_str() {
        "partial" => Some(Verdict::MayStart),
        word => known(word),
    };
    let steps = || record.stages.iter().flat_map(|stage| &stage.steps);
    let is_warning = |step: &&RecordStep| matches!(step.status.as_str(), "warn" | "error");
    let headline = Headline {
        application: &application,
        ending,
        verdict,
        is_partial: record.partial,
        warnings: steps().filter(is_warning).count(),
    };
    let (name, run_id) = (application.to_uppercase(), one_line(&record.run_id));
    page.header(&format!("{name} BOOT {run_id}"));
    let (tag, line) = headline.line();
    page.headline(tag, &line);
    if verdict != Some(Verdict::MayStart) {
        page.plain(&headline.meaning());
    }
    page.blank();
    reason(page, record, ending);
    page.field(0, "Run:", LABELS, &run_id);
    page.field(0, "When:", LABELS, &record.boot_timestamp);
    page.field(0, "Took:", LABELS, &seconds(summary.duration_ms));
    page.field(0, "Application:", LABELS, &application);
    let mode = match record.mode.as_str() {
        "observe" => OBSERVED,
        mode => mode,
    };
    page.field(0, "Mode:", LABELS, mode);
    if record.partial {
        page.field(0, "Note:", LABELS, PARTIAL);
    }
    page.field(0, "Stages:", LABELS, &stages(record));
    if summary.fixes_applied > 0 {
        page.field(0, "Fixed:", LABELS, &summary.fixes_applied.to_string());
    }
    let (code, word) = (summary.exit_code, &summary.verdict);
    let verdict = format!("{code} ({word}): {}", headline.meaning());
    page.field(0, "Exit code:", LABELS, &verdict);
    if steps()
        .flat_map(|step| &step.repairs)
        .any(|it| PastRepair::from(it).stayed())
    {
        let undo = format!("`cargo xtask undo {run_id}{again}`, where nothing changed since");
        page.field(0, "Undo:", LABELS, &undo);
    }
}

/// Why the boot did not come to its end, and what to do where no step says it.
fn reason(page: &mut Page, record: &BootRecord, ending: Option<EndingKind>) {
    if ending.is_none() {
        page.field(0, "Ended:", LABELS, &record.summary.ending);
    }
    let Some(reason) = &record.summary.reason else {
        return;
    };
    let (reason, next) = match ending {
        Some(EndingKind::Interrupted) if reason.starts_with("SIG") => (
            format!("stopped by {reason} before the end"),
            Some(AFTER_SIGNAL),
        ),
        Some(EndingKind::Panicked) => (
            format!("the gate broke: {reason}"),
            Some("keep this record and report it as a fault of the gate"),
        ),
        _ => (reason.clone(), None),
    };
    page.field(0, "Reason:", LABELS, &reason);
    if let Some(next) = next {
        page.field(0, "Next step:", LABELS, next);
    }
}

fn stages(record: &BootRecord) -> String {
    let summary = &record.summary;
    let (passed, all) = (summary.stages_passed, record.stages.len());
    let mut words = format!("{passed} of {all} passed, {} failed", summary.stages_failed);
    let not_reached = record.stages.iter().filter(|it| !it.reached).count();
    if not_reached > 0 {
        words += &format!(", {not_reached} not reached");
    }
    words
}
