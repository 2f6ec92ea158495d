//! How a stage ended, in one line.

use super::page::Tag;
use crate::model::{StageReport, StepReport, StepStatus};

/// A stage that had its turn, from a boot or from its record.
pub(super) struct StageEnd {
    /// Number and title.
    pub(super) title: String,
    /// How its steps ended.
    pub(super) statuses: Vec<StepStatus>,
    /// Whether one of them keeps the application from starting.
    pub(super) blocks: bool,
    /// Whether one of them failed, could not look, or could not run.
    pub(super) failed: bool,
}

impl From<&StageReport> for StageEnd {
    fn from(stage: &StageReport) -> StageEnd {
        StageEnd {
            title: stage.id.to_string(),
            statuses: stage.steps.iter().map(StepReport::status).collect(),
            blocks: stage.steps.iter().any(StepReport::blocks),
            failed: stage.failed(),
        }
    }
}

impl StageEnd {
    /// `1. Preflight Gate failed (1 fix, 2 failures)`.
    pub(super) fn line(&self) -> (Tag, String) {
        let mut parts = Vec::new();
        for (status, noun) in [
            (StepStatus::Fixed, "fix"),
            (StepStatus::Warn, "warning"),
            (StepStatus::Error, "error"),
            (StepStatus::Fail, "failure"),
        ] {
            match self.statuses.iter().filter(|it| **it == status).count() {
                0 => {}
                1 => parts.push(format!("1 {noun}")),
                many if noun == "fix" => parts.push(format!("{many} fixes")),
                many => parts.push(format!("{many} {noun}s")),
            }
        }
        let details = if parts.is_empty() {
            String::new()
        } else {
            format!(" ({})", parts.join(", "))
        };
        let title = &self.title;
        if self.blocks {
            (Tag::Fail, format!("{title} failed{details}"))
        } else if self.failed {
            (Tag::Error, format!("{title} is incomplete{details}"))
        } else {
            (Tag::Ok, format!("{title} complete{details}"))
        }
    }
}
