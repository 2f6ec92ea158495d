use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CheckError, Finding, OnFailure, Repair, RepairResult, StepId};

/// How a step ended.
#[derive(Clone, Debug, PartialEq)]
pub enum StepOutcome {
    /// Nothing was wrong.
    Passed,
    /// Something was wrong, was healed, and the same check passes now.
    Fixed {
        /// What had been wrong.
        problems: Vec<Finding>,
        /// The verified attempts.
        repairs: Vec<Repair>,
    },
    /// Something is wrong that does not keep the application from starting.
    Warned {
        /// What.
        problems: Vec<Finding>,
        /// Attempts that did not help.
        repairs: Vec<Repair>,
    },
    /// Something is wrong and the application must not start.
    Failed {
        /// What.
        problems: Vec<Finding>,
        /// Attempts that did not help.
        repairs: Vec<Repair>,
    },
    /// The check could not look.
    Errored {
        /// Why.
        error: CheckError,
    },
    /// The step was not asked for, or does not apply.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Something that this step needs failed.
    NotRun {
        /// The root cause, not the next link of the chain.
        blocked_by: StepId,
    },
}

/// The word for an outcome, as it stands in every artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// Nothing was wrong.
    Pass,
    /// Healed and proven.
    Fixed,
    /// Wrong, but not blocking.
    Warn,
    /// Wrong and blocking.
    Fail,
    /// Could not look.
    Error,
    /// Not asked for, or not applicable.
    Skip,
    /// Blocked by another step.
    NotRun,
}

impl StepStatus {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            StepStatus::Pass => "pass",
            StepStatus::Fixed => "fixed",
            StepStatus::Warn => "warn",
            StepStatus::Fail => "fail",
            StepStatus::Error => "error",
            StepStatus::Skip => "skip",
            StepStatus::NotRun => "not-run",
        }
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A step with how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Which step.
    pub id: StepId,
    /// What a problem in it means.
    pub on_failure: OnFailure,
    /// How it ended.
    pub outcome: StepOutcome,
    /// One line on what was seen, where it ended well.
    pub observed: String,
    /// Worth knowing, but nothing to act on.
    pub notes: Vec<String>,
    /// Figures for the stage's metrics.
    pub facts: BTreeMap<&'static str, serde_json::Value>,
    /// How long it took.
    pub duration: Duration,
}

impl StepReport {
    /// The word for how it ended.
    pub fn status(&self) -> StepStatus {
        match self.outcome {
            StepOutcome::Passed => StepStatus::Pass,
            StepOutcome::Fixed { .. } => StepStatus::Fixed,
            StepOutcome::Warned { .. } => StepStatus::Warn,
            StepOutcome::Failed { .. } => StepStatus::Fail,
            StepOutcome::Errored { .. } => StepStatus::Error,
            StepOutcome::Skipped { .. } => StepStatus::Skip,
            StepOutcome::NotRun { .. } => StepStatus::NotRun,
        }
    }

    /// Whether it keeps the application from starting and was itself looked at.
    pub fn blocks(&self) -> bool {
        match self.outcome {
            StepOutcome::Failed { .. } => true,
            StepOutcome::Errored { .. } => self.on_failure == OnFailure::Abort,
            _ => false,
        }
    }

    /// Whether the check could not look.
    pub fn is_errored(&self) -> bool {
        matches!(self.outcome, StepOutcome::Errored { .. })
    }

    /// The problems that are still there.
    pub fn problems(&self) -> &[Finding] {
        match &self.outcome {
            StepOutcome::Warned { problems, .. } | StepOutcome::Failed { problems, .. } => problems,
            _ => &[],
        }
    }

    /// Every attempt at healing in this step.
    pub fn repairs(&self) -> &[Repair] {
        match &self.outcome {
            StepOutcome::Fixed { repairs, .. }
            | StepOutcome::Warned { repairs, .. }
            | StepOutcome::Failed { repairs, .. } => repairs,
            _ => &[],
        }
    }

    /// Whether a heal was begun here and did not help. One that was refused has changed nothing.
    pub fn has_failed_repair(&self) -> bool {
        self.repairs().iter().any(|repair| {
            matches!(
                repair.result,
                RepairResult::Failed { .. } | RepairResult::NotVerified { .. }
            )
        })
    }
}
