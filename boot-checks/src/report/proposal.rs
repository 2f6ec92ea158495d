//! What stands beside a plan that waits for a person.

use crate::model::{Change, Repair};

/// What whoever approves has to know: what came of a copy.
pub(super) fn outcome(repair: &Repair) -> String {
    let report = repair.changes.iter().find_map(|change| match change {
        Change::RebuildDatabase { report, .. } => Some(report),
        _ => None,
    });
    let Some(report) = report else {
        return String::new();
    };
    let mut words = format!("; on a copy: {}", report.summary());
    for note in &report.notes {
        words += &format!("; {note}");
    }
    words
}
