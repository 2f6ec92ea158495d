//! From a problem to a proven fix: decide, plan, apply through the door, and look again.

use super::session::look;
use super::{Door, Recorder};
use crate::context::Context;
use crate::model::{Approval, Decision, Event, Finding, Findings, Repair, RepairResult, StepId};
use crate::plan::Step;
use crate::playbooks::{self, Plan, PlanError, Playbook};
use crate::services::governance::decide;

/// What came of it.
pub(super) enum Healed {
    /// The same check passes now.
    Verified {
        /// What was done.
        repairs: Vec<Repair>,
        /// What the check sees now.
        now: Findings,
    },
    /// The problem is still there.
    Not {
        /// What was tried or proposed.
        repairs: Vec<Repair>,
        /// What is wrong now.
        problems: Vec<Finding>,
        /// Why nothing was tried.
        notes: Vec<String>,
    },
}

/// Heals a problem, where the step has a playbook for it and governance lets it act. What counts as
/// healed is decided by the step's own check, on a fresh connection.
pub(super) fn heal(
    cx: &Context,
    door: &Door,
    recorder: &Recorder,
    id: StepId,
    step: &Step,
    first: &Findings,
) -> Healed {
    let not = |repairs, notes| Healed::Not {
        repairs,
        problems: first.problems.clone(),
        notes,
    };
    let Some(playbook) = step.playbook.and_then(playbooks::find) else {
        return not(Vec::new(), Vec::new());
    };
    let meta = playbook.meta();
    let is_for_it = |problem: &Finding| meta.fixes.contains(&problem.code);
    let healable = first.problems.iter().filter(|it| is_for_it(it)).count();
    if healable == 0 {
        return not(Vec::new(), Vec::new());
    }
    // The check would still fail afterwards, and what was done would be taken back.
    if healable < first.problems.len() {
        let note = format!("{} was not run: it cannot heal all of this", meta.id);
        return not(Vec::new(), vec![note]);
    }
    let plan = match playbook.plan(cx, &first.problems) {
        Ok(plan) => plan,
        Err(error @ PlanError::NotApplicable(_)) => {
            return not(
                Vec::new(),
                vec![format!("{} does nothing: {error}", meta.id)],
            );
        }
        Err(error) => return not(Vec::new(), vec![format!("{}: {error}", meta.id)]),
    };
    let decision = decide(meta.risk, meta.tier, cx.mode, Approval::None);
    let mut repair = proposal(playbook, plan, decision);
    if matches!(decision, Decision::Apply | Decision::ApplyAndNotify) {
        recorder.record(Event::RepairStarted {
            step: id,
            playbook: meta.id,
            summary: repair.summary.clone(),
        });
        let now = apply_and_verify(cx, door, id, step, &mut repair);
        recorder.record(Event::RepairFinished {
            step: id,
            repair: repair.clone(),
        });
        return match now {
            Ok(now) => Healed::Verified {
                repairs: vec![repair],
                now,
            },
            Err(problems) => {
                let problems = if problems.is_empty() {
                    first.problems.clone()
                } else {
                    problems
                };
                Healed::Not {
                    repairs: vec![repair],
                    problems,
                    notes: Vec::new(),
                }
            }
        };
    }
    recorder.record(Event::RepairFinished {
        step: id,
        repair: repair.clone(),
    });
    not(vec![repair], Vec::new())
}

fn proposal(playbook: &dyn Playbook, plan: Plan, decision: Decision) -> Repair {
    Repair {
        playbook: playbook.meta().id,
        fingerprint: Door::fingerprint(playbook.meta().id, &plan.changes),
        summary: plan.summary,
        decision,
        changes: plan.changes,
        result: RepairResult::Proposed,
    }
}

/// What the check sees afterwards where all is well; else what is wrong, with the changes taken back.
fn apply_and_verify(
    cx: &Context,
    door: &Door,
    id: StepId,
    step: &Step,
    repair: &mut Repair,
) -> Result<Findings, Vec<Finding>> {
    cx.refresh();
    let applied = door.apply(cx, id, repair);
    cx.refresh();
    let undo = match applied {
        Ok(undo) => undo,
        Err(failure) => {
            repair.result = RepairResult::Failed {
                error: failure.error.to_string(),
                taken_back: failure.taken_back,
            };
            return Err(Vec::new());
        }
    };
    let problems = match look(step, cx) {
        Ok(now) if now.is_healthy() => {
            repair.result = RepairResult::Verified;
            door.verified(id, repair);
            return Ok(now);
        }
        Ok(now) => now.problems,
        Err(error) => vec![Finding::new("verification_failed", error.to_string())],
    };
    cx.refresh();
    let taken_back = door.take_back(id, repair, undo);
    repair.result = RepairResult::NotVerified {
        problems: problems.clone(),
        taken_back,
    };
    Err(problems)
}
