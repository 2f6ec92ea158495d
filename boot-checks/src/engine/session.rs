use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::healing::{Healed, Healing};
use super::{Door, Permit, Recorder, Selection};
use crate::context::Context;
use crate::model::{
    CheckError, CheckResult, Ending, Event, Findings, OnFailure, StepId, StepOutcome, StepReport,
};
use crate::plan::{self, Step};

/// How often a step looks again because somebody else was faster.
const TIMES_OVERTAKEN: usize = 8;

/// One boot. Each stage is run once, when it is first asked for, after all stages before it; whoever
/// asks again gets what was seen then. So the outcome is the same for any order and any number of
/// threads.
pub struct Session {
    cx: Arc<Context>,
    door: Door,
    recorder: Arc<Recorder>,
    selection: Selection,
    fail_fast: bool,
    permit: Permit,
    stages: &'static [plan::Stage],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: BTreeMap<StepId, StepReport>,
    stages_run: usize,
    root_cause: Option<StepId>,
    stopped: bool,
    /// What a panic said that came from no check.
    broken: Option<String>,
}

impl Session {
    /// A session that has looked at nothing yet.
    pub fn new(
        cx: Arc<Context>,
        door: Door,
        recorder: Arc<Recorder>,
        selection: Selection,
        fail_fast: bool,
    ) -> Session {
        Session {
            cx,
            door,
            recorder,
            selection,
            fail_fast,
            permit: Permit::default(),
            stages: &plan::STAGES,
            state: Mutex::default(),
        }
    }

    /// Lets playbooks do no more than this.
    #[must_use]
    pub fn permitting(mut self, permit: Permit) -> Session {
        self.permit = permit;
        self
    }

    /// How this step ended; runs what has to be run first.
    pub fn outcome(&self, id: StepId) -> StepReport {
        let mut state = self.lock();
        while state.stages_run < id.stage.number()
            && let Some(stage) = self.stages.get(state.stages_run)
        {
            self.run_stage(stage, &mut state);
            state.stages_run += 1;
        }
        let known = state.steps.get(&id).cloned();
        known.unwrap_or_else(|| {
            let step = plan::step(id);
            let on_failure = step.map_or(OnFailure::Abort, |step| step.on_failure);
            let error = CheckError::new(format!("{id} is no step of the plan"));
            bare(id, on_failure, StepOutcome::Errored { error })
        })
    }

    /// How the session came to its end so far.
    pub fn ending(&self) -> Ending {
        let state = self.lock();
        match (&state.broken, state.root_cause) {
            (Some(message), _) => Ending::Panicked {
                message: message.clone(),
            },
            (None, Some(by)) => Ending::Aborted { by },
            (None, None) => Ending::Completed,
        }
    }

    fn run_stage(&self, stage: &plan::Stage, state: &mut State) {
        self.recorder.record(Event::StageStarted(stage.id));
        let blocked_before = state.root_cause;
        for step in stage.steps {
            let id = StepId {
                stage: stage.id,
                name: step.name,
            };
            let report = self.run_or_skip(id, step, state, blocked_before);
            if report.blocks() && state.root_cause.is_none() {
                state.root_cause = Some(id);
            }
            // Not at a warning: what was never looked at would then pass for sound.
            if self.fail_fast && report.blocks() {
                state.stopped = true;
            }
            self.recorder.record(Event::StepFinished(report.clone()));
            state.steps.insert(id, report);
        }
        self.recorder.record(Event::StageFinished(stage.id));
    }

    /// Within a stage the steps go on after a failure, so that a person sees all of what is wrong at
    /// once; but what needs the step that failed is not run.
    fn run_or_skip(
        &self,
        id: StepId,
        step: &Step,
        state: &mut State,
        blocked_before: Option<StepId>,
    ) -> StepReport {
        if let Some(reason) = self.selection.reason_to_skip(id) {
            return bare(id, step.on_failure, StepOutcome::Skipped { reason });
        }
        let blocked_before = blocked_before.filter(|_| !self.permit.unblocked);
        let blocked_by = blocked_before.or_else(|| blocked_within(id, step, state));
        if let Some(blocked_by) = blocked_by {
            return bare(id, step.on_failure, StepOutcome::NotRun { blocked_by });
        }
        if state.stopped {
            let reason = "stopped at the first problem by --fail-fast".to_owned();
            return bare(id, step.on_failure, StepOutcome::Skipped { reason });
        }
        self.recorder.record(Event::StepStarted(id));
        let started = Instant::now();
        let mut report = unless_broken(id, state, || self.run_step(id, step));
        report.duration = started.elapsed();
        report
    }

    /// Looks again where somebody else was faster: what is there now may be well, or need something else.
    fn run_step(&self, id: StepId, step: &Step) -> StepReport {
        let mut notes = Vec::new();
        loop {
            let (mut report, overtaken) = self.look_and_heal(id, step);
            match overtaken {
                Some(note) if notes.len() < TIMES_OVERTAKEN => notes.push(note),
                _ => {
                    notes.dedup();
                    report.notes.splice(..0, notes);
                    return report;
                }
            }
        }
    }

    /// With how a playbook was overtaken, in words.
    fn look_and_heal(&self, id: StepId, step: &Step) -> (StepReport, Option<String>) {
        let bare = |outcome| (bare(id, step.on_failure, outcome), None);
        let first = match look(step, &self.cx) {
            Ok(findings) => findings,
            Err(error) => return bare(StepOutcome::Errored { error }),
        };
        if let Some(reason) = first.not_applicable {
            return bare(StepOutcome::Skipped { reason });
        }
        let finished = |outcome, findings| finished(id, step.on_failure, outcome, findings);
        if first.is_healthy() {
            return (finished(StepOutcome::Passed, first), None);
        }
        let healing = Healing {
            cx: &self.cx,
            door: &self.door,
            recorder: &self.recorder,
            id,
            step,
            permit: &self.permit,
        };
        let healed = healing.heal(&first);
        let problems = first.problems.clone();
        match healed {
            Healed::Verified { repairs, now } => (
                finished(StepOutcome::Fixed { problems, repairs }, now),
                None,
            ),
            Healed::Not {
                repairs,
                problems,
                notes,
                overtaken,
            } => {
                let mut findings = first;
                findings.notes.extend(notes);
                let outcome = match step.on_failure {
                    OnFailure::Abort => StepOutcome::Failed { problems, repairs },
                    OnFailure::Warn | OnFailure::Continue => {
                        StepOutcome::Warned { problems, repairs }
                    }
                };
                (finished(outcome, findings), overtaken)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic that comes from no check is a fault of the gate: whatever was begun, nothing may start on it.
fn unless_broken(id: StepId, state: &mut State, run: impl FnOnce() -> StepReport) -> StepReport {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = words(&*panic).to_owned();
        let error = CheckError::new(format!("the gate broke: {message}"));
        state.broken.get_or_insert(message);
        bare(id, OnFailure::Abort, StepOutcome::Errored { error })
    })
}

/// Looks once. A check that panics could not look.
pub(super) fn look(step: &Step, cx: &Context) -> CheckResult {
    catch_unwind(AssertUnwindSafe(|| step.check.run(cx))).unwrap_or_else(|panic| {
        Err(CheckError::new(format!(
            "the check panicked: {}",
            words(&*panic)
        )))
    })
}

/// What a panic said.
pub(super) fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// The root cause, where a step that this one needs does not hold.
fn blocked_within(id: StepId, step: &Step, state: &State) -> Option<StepId> {
    step.needs.iter().find_map(|name| {
        let need = StepId {
            stage: id.stage,
            name,
        };
        match state.steps.get(&need)? {
            report if report.blocks() => Some(need),
            StepReport {
                outcome: StepOutcome::NotRun { blocked_by },
                ..
            } => Some(*blocked_by),
            _ => None,
        }
    })
}

fn bare(id: StepId, on_failure: OnFailure, outcome: StepOutcome) -> StepReport {
    finished(id, on_failure, outcome, Findings::default())
}

fn finished(
    id: StepId,
    on_failure: OnFailure,
    outcome: StepOutcome,
    findings: Findings,
) -> StepReport {
    StepReport {
        id,
        on_failure,
        outcome,
        observed: findings.observed,
        notes: findings.notes,
        facts: findings.facts,
        duration: std::time::Duration::ZERO,
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
