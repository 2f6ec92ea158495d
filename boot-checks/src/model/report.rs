use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Decision, Ending, Event, OnFailure, RepairResult, StageId, Start, StepId, StepOutcome,
    StepReport, StepStatus, Verdict,
};

/// A stage with how its steps ended.
#[derive(Clone, Debug, PartialEq)]
pub struct StageReport {
    /// Which stage.
    pub id: StageId,
    /// Its steps, in order.
    pub steps: Vec<StepReport>,
    /// Whether all of them had their turn.
    pub is_finished: bool,
}

impl StageReport {
    /// Whether one of its steps aborts the boot.
    pub fn is_critical(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.on_failure == OnFailure::Abort)
    }

    /// Whether the stage did what it is for: every step that was to run ended well or with a
    /// warning, and at least one did run.
    pub fn passed(&self) -> bool {
        self.is_finished
            && !self.failed()
            && self
                .steps
                .iter()
                .any(|step| !matches!(step.status(), StepStatus::Skip | StepStatus::NotRun))
    }

    /// The step that kept the whole stage from having its turn; none where one of its own steps ran.
    pub fn blocked_by(&self) -> Option<StepId> {
        let mut by = None;
        for step in &self.steps {
            match step.outcome {
                StepOutcome::NotRun { blocked_by } => by = by.or(Some(blocked_by)),
                StepOutcome::Skipped { .. } => {}
                _ => return None,
            }
        }
        by
    }

    /// Whether it had its turn and one of its steps failed, could not look, or could not run.
    pub fn failed(&self) -> bool {
        self.blocked_by().is_none()
            && self.steps.iter().any(|step| {
                matches!(
                    step.status(),
                    StepStatus::Fail | StepStatus::Error | StepStatus::NotRun
                )
            })
    }

    /// What was healed here, in words for people.
    pub fn fixes(&self) -> impl Iterator<Item = &str> {
        self.steps
            .iter()
            .flat_map(StepReport::repairs)
            .filter(|repair| repair.is_verified())
            .map(|repair| repair.summary.as_str())
    }
}

/// A whole boot: a fold over its events.
#[derive(Clone, Debug, PartialEq)]
pub struct BootReport {
    /// What was known when it began.
    pub start: Start,
    /// The stages that had their turn, in order.
    pub stages: Vec<StageReport>,
    /// How it ended; none while it runs.
    pub ending: Option<Ending>,
    /// From start to end.
    pub duration: Duration,
    /// Why the report or the record could not be written. A start without proof is none: an older
    /// report would go on speaking for this boot.
    pub unproven: Option<String>,
}

impl BootReport {
    /// A boot of which only the beginning is known.
    pub fn new(start: Start) -> BootReport {
        BootReport {
            start,
            stages: Vec::new(),
            ending: None,
            duration: Duration::ZERO,
            unproven: None,
        }
    }

    /// The report of a stream that begins with [`Event::BootStarted`]; none for any other stream.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<BootReport> {
        let mut events = events.into_iter();
        let Some(Event::BootStarted(start)) = events.next() else {
            return None;
        };
        let mut report = BootReport::new(start.clone());
        events.for_each(|event| report.apply(event));
        Some(report)
    }

    /// Takes one more event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::StageStarted(id) => self.stages.push(StageReport {
                id: *id,
                steps: Vec::new(),
                is_finished: false,
            }),
            Event::StageFinished(_) => {
                if let Some(stage) = self.stages.last_mut() {
                    stage.is_finished = true;
                }
            }
            Event::StepFinished(step) => {
                if let Some(stage) = self.stages.last_mut() {
                    stage.steps.push(step.clone());
                }
            }
            Event::BootFinished { ending, duration } => {
                self.ending = Some(ending.clone());
                self.duration = *duration;
            }
            Event::BootStarted(_)
            | Event::StepStarted(_)
            | Event::RepairStarted { .. }
            | Event::RepairFinished { .. }
            | Event::Waiting { .. } => {}
        }
    }

    /// Every step that had its turn.
    pub fn steps(&self) -> impl Iterator<Item = &StepReport> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }

    /// Stages that did what they are for.
    pub fn stages_passed(&self) -> usize {
        self.stages.iter().filter(|stage| stage.passed()).count()
    }

    /// Stages that had their turn and of which a step failed, could not look or could not run.
    pub fn stages_failed(&self) -> usize {
        self.stages.iter().filter(|stage| stage.failed()).count()
    }

    /// Steps that ended with this status.
    pub fn count(&self, status: StepStatus) -> usize {
        self.steps().filter(|step| step.status() == status).count()
    }

    /// Whether the application may start.
    pub fn verdict(&self) -> Verdict {
        match &self.ending {
            Some(Ending::Refused { verdict, .. }) => return *verdict,
            Some(Ending::Panicked { .. }) => return Verdict::Bug,
            None | Some(Ending::Interrupted { .. }) => return Verdict::Blocked,
            Some(Ending::Completed | Ending::Aborted { .. }) => {}
        }
        let blocking: Vec<&StepReport> = self.steps().filter(|step| step.blocks()).collect();
        if blocking.iter().any(|step| step.has_failed_repair()) {
            return Verdict::HealFailed;
        }
        if blocking.iter().any(|step| awaits_approval(step)) {
            return Verdict::NeedsApproval;
        }
        if !blocking.is_empty() || self.count(StepStatus::NotRun) > 0 {
            return Verdict::Blocked;
        }
        if self.steps().all(|step| step.status() == StepStatus::Skip) {
            return Verdict::NothingChecked;
        }
        let warnings = self.count(StepStatus::Warn) + self.count(StepStatus::Error);
        if self.start.strict && warnings > 0 {
            return Verdict::WarningsUnderStrict;
        }
        if self.unproven.is_some() {
            return Verdict::Blocked;
        }
        Verdict::MayStart
    }

    /// Whether the application may start. A partial run that went well is no verdict on it.
    pub fn success(&self) -> bool {
        self.verdict() == Verdict::MayStart && !self.start.is_partial()
    }

    /// The verdict's word; `partial` where the steps that were run hold and others were left out.
    pub fn verdict_word(&self) -> &'static str {
        match self.verdict() {
            Verdict::MayStart if self.start.is_partial() => "partial",
            verdict => verdict.word(),
        }
    }

    /// The metrics that a boot publishes (SPEC.md, "Metrics Published").
    pub fn metrics(&self) -> BTreeMap<&'static str, Value> {
        let preflight = self
            .stages
            .iter()
            .find(|stage| stage.id == StageId::Preflight);
        let smoke_passed = self
            .steps()
            .filter(|step| step.id.stage == StageId::Smoke)
            .filter(|step| matches!(step.status(), StepStatus::Pass | StepStatus::Fixed))
            .count();
        let status = if preflight.is_some_and(StageReport::passed) {
            "pass"
        } else {
            "fail"
        };
        let mut metrics = BTreeMap::from([
            ("startup.preflight_status", json!(status)),
            (
                "startup.validation_errors",
                json!(preflight.map_or(0, errors)),
            ),
            ("startup.schema_mismatches", json!(self.schema_mismatches())),
            ("startup.boot_pipeline_stage", json!(self.last_reached())),
            ("startup.tests_passed", json!(smoke_passed)),
        ]);
        let encoding = self
            .steps()
            .find_map(|step| step.facts.get("console_encoding"));
        if let Some(encoding) = encoding {
            metrics.insert("startup.console_encoding", encoding.clone());
        }
        metrics
    }

    /// The number of the last stage that had its turn.
    fn last_reached(&self) -> usize {
        let mut stages = self.stages.iter().rev();
        stages
            .find(|stage| stage.blocked_by().is_none())
            .map_or(0, |stage| stage.id.number())
    }

    /// Differences between the database and the code that are still there.
    fn schema_mismatches(&self) -> u64 {
        self.steps()
            .filter_map(|step| step.facts.get("schema_mismatches"))
            .filter_map(Value::as_u64)
            .sum()
    }
}

fn errors(stage: &StageReport) -> usize {
    stage
        .steps
        .iter()
        .map(|step| match step.status() {
            StepStatus::Error => 1,
            _ => step.problems().len(),
        })
        .sum()
}

fn awaits_approval(step: &StepReport) -> bool {
    step.repairs().iter().any(|repair| {
        repair.result == RepairResult::Proposed
            && matches!(
                repair.decision,
                Decision::NeedsApproval | Decision::NeedsQuorum
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CheckError, Finding, Mode, PlannedStage, PlannedStep, Repair, StepId};

    fn step(name: &'static str, on_failure: OnFailure, outcome: StepOutcome) -> StepReport {
        StepReport {
            id: StepId {
                stage: StageId::Preflight,
                name,
            },
            on_failure,
            outcome,
            observed: String::new(),
            notes: Vec::new(),
            facts: BTreeMap::new(),
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn a_stage_that_was_interrupted_has_not_passed() {
        let passed = step("a", OnFailure::Abort, StepOutcome::Passed);
        let mut report = report(vec![passed], false);
        assert_eq!(report.stages_passed(), 1);
        report.stages[0].is_finished = false;
        assert_eq!((report.stages_passed(), report.stages_failed()), (0, 0));
    }

    #[test]
    fn a_start_without_proof_is_none() {
        let passed = step("a", OnFailure::Abort, StepOutcome::Passed);
        let mut report = report(vec![passed], false);
        assert_eq!(report.verdict(), Verdict::MayStart);
        report.unproven = Some("no room".to_owned());
        assert_eq!(report.verdict(), Verdict::Blocked);
    }

    fn report(steps: Vec<StepReport>, strict: bool) -> BootReport {
        BootReport {
            start: Start {
                run_id: String::new(),
                timestamp: String::new(),
                application: String::new(),
                root: String::new(),
                mode: Mode::Heal,
                strict,
                plan: Vec::new(),
                again: String::new(),
            },
            stages: vec![StageReport {
                id: StageId::Preflight,
                steps,
                is_finished: true,
            }],
            ending: Some(Ending::Completed),
            duration: Duration::ZERO,
            unproven: None,
        }
    }

    fn failed(result: RepairResult, decision: Decision) -> StepOutcome {
        StepOutcome::Failed {
            problems: vec![Finding::new("x", "x")],
            repairs: vec![Repair {
                playbook: "p",
                summary: String::new(),
                decision,
                changes: Vec::new(),
                fingerprint: String::new(),
                proposal: None,
                result,
            }],
        }
    }

    fn errored() -> StepOutcome {
        StepOutcome::Errored {
            error: CheckError::new("could not look"),
        }
    }

    fn verdict(outcome: StepOutcome, on_failure: OnFailure) -> Verdict {
        report(vec![step("a", on_failure, outcome)], false).verdict()
    }

    #[test]
    fn could_not_look_blocks_where_a_failure_would() {
        assert_eq!(verdict(errored(), OnFailure::Abort), Verdict::Blocked);
        assert_eq!(verdict(errored(), OnFailure::Warn), Verdict::MayStart);
        let report = report(vec![step("a", OnFailure::Warn, errored())], false);
        assert!(
            !report.stages[0].passed(),
            "a stage that could not look is not green"
        );
    }

    #[test]
    fn nothing_checked_is_no_pass() {
        let skipped = StepOutcome::Skipped {
            reason: String::new(),
        };
        assert_eq!(verdict(skipped, OnFailure::Abort), Verdict::NothingChecked);
        assert_eq!(report(Vec::new(), false).verdict(), Verdict::NothingChecked);
    }

    #[test]
    fn a_failed_heal_and_a_missing_approval_have_verdicts_of_their_own() {
        let broken = RepairResult::Failed {
            error: String::new(),
            taken_back: true,
            stays: None,
        };
        assert_eq!(
            verdict(failed(broken, Decision::Apply), OnFailure::Abort),
            Verdict::HealFailed
        );
        let refused = RepairResult::Refused {
            error: String::new(),
        };
        assert_eq!(
            verdict(failed(refused, Decision::Apply), OnFailure::Abort),
            Verdict::Blocked,
            "nothing was changed"
        );
        assert_eq!(
            verdict(
                failed(RepairResult::Proposed, Decision::NeedsApproval),
                OnFailure::Abort
            ),
            Verdict::NeedsApproval
        );
        assert_eq!(
            verdict(
                failed(RepairResult::Proposed, Decision::ObserveOnly),
                OnFailure::Abort
            ),
            Verdict::Blocked
        );
    }

    #[test]
    fn warnings_block_only_under_strict() {
        let warned = || StepOutcome::Warned {
            problems: Vec::new(),
            repairs: Vec::new(),
        };
        let steps = || vec![step("a", OnFailure::Warn, warned())];
        assert_eq!(report(steps(), false).verdict(), Verdict::MayStart);
        assert_eq!(
            report(steps(), true).verdict(),
            Verdict::WarningsUnderStrict
        );
    }

    #[test]
    fn a_stage_without_its_turn_neither_passed_nor_failed() {
        let by = StepId {
            stage: StageId::Preflight,
            name: "a",
        };
        let blocked = || {
            step(
                "b",
                OnFailure::Abort,
                StepOutcome::NotRun { blocked_by: by },
            )
        };
        let failed = || step("a", OnFailure::Abort, errored());
        let mut report = report(vec![failed(), blocked()], false);
        report.stages.push(StageReport {
            id: StageId::Codec,
            steps: vec![blocked(), blocked()],
            is_finished: true,
        });
        assert_eq!((report.stages_passed(), report.stages_failed()), (0, 1));
        assert_eq!(report.stages[1].blocked_by(), Some(by));
        assert_eq!(report.metrics()["startup.boot_pipeline_stage"], 1);
        assert_eq!(report.verdict(), Verdict::Blocked);
    }

    #[test]
    fn a_partial_run_is_no_verdict_on_the_application() {
        let mut partial = report(vec![step("a", OnFailure::Warn, StepOutcome::Passed)], false);
        assert_eq!(
            (partial.success(), partial.verdict_word()),
            (true, "may-start")
        );
        partial.start.plan = vec![PlannedStage {
            id: StageId::Codec,
            steps: vec![PlannedStep {
                id: StepId {
                    stage: StageId::Codec,
                    name: "ascii",
                },
                on_failure: OnFailure::Abort,
                title: "",
                playbooks: Vec::new(),
                skip_reason: Some("not asked for".to_owned()),
            }],
        }];
        assert_eq!(
            (partial.success(), partial.verdict_word()),
            (false, "partial")
        );
    }

    #[test]
    fn a_boot_without_an_ending_is_no_success() {
        let mut unfinished = report(vec![step("a", OnFailure::Warn, StepOutcome::Passed)], false);
        assert!(unfinished.success());
        unfinished.ending = None;
        assert!(!unfinished.success());
    }
}
