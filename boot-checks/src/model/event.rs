use std::time::Duration;

use super::{Ending, Mode, OnFailure, PlaybookMeta, Repair, StageId, StepId, StepReport};

/// One step as the plan has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStep {
    /// Which step.
    pub id: StepId,
    /// What a problem in it means.
    pub on_failure: OnFailure,
    /// What it asks, in a few words.
    pub title: &'static str,
    /// The playbooks that may heal it, in the order in which they are asked.
    pub playbooks: Vec<PlaybookMeta>,
    /// Why it will not be run, where that is known beforehand.
    pub skip_reason: Option<String>,
}

/// One stage as the plan has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStage {
    /// Which stage.
    pub id: StageId,
    /// Its steps, in order.
    pub steps: Vec<PlannedStep>,
}

/// What is known when a boot begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Names this run: `20251109_183000`, with a suffix where two share a second.
    pub run_id: String,
    /// Local time, ISO 8601 without zone, microseconds.
    pub timestamp: String,
    /// The application's name.
    pub application: String,
    /// The application's root, as text.
    pub root: String,
    /// Whether this run may change anything.
    pub mode: Mode,
    /// Whether warnings block.
    pub strict: bool,
    /// All eight stages.
    pub plan: Vec<PlannedStage>,
    /// What chose the application on the command line, to be given again with a command that is printed: with a
    /// space before each option, or empty.
    pub again: String,
}

impl Start {
    /// Whether some steps were left out on request, so that this run is no verdict on the whole.
    pub fn is_partial(&self) -> bool {
        self.plan
            .iter()
            .flat_map(|stage| &stage.steps)
            .any(|step| step.skip_reason.is_some())
    }
}

/// Everything that happens in a boot. A closed set: console, record and report are folds over it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The plan is made; nothing was looked at yet.
    BootStarted(Start),
    /// A stage begins.
    StageStarted(StageId),
    /// A step begins.
    StepStarted(StepId),
    /// A playbook is about to act.
    RepairStarted {
        /// For this step.
        step: StepId,
        /// Which one.
        playbook: &'static str,
        /// What it sets out to do.
        summary: String,
    },
    /// A playbook has acted, or was not let.
    RepairFinished {
        /// For this step.
        step: StepId,
        /// How it ended.
        repair: Repair,
    },
    /// Something takes long: what is waited for.
    Waiting {
        /// In this step.
        step: StepId,
        /// For this.
        reason: String,
    },
    /// A step has ended.
    StepFinished(StepReport),
    /// A stage has ended.
    StageFinished(StageId),
    /// The boot has ended. Always the last event, on every ending.
    BootFinished {
        /// How.
        ending: Ending,
        /// Since the start.
        duration: Duration,
    },
}
