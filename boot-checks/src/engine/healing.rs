//! From a problem to a proven fix: decide, plan, apply through the door, and look again.

use super::session::look;
use super::{Door, Recorder};
use crate::context::Context;
use crate::model::{Approval, Decision, Event, Finding, Findings, Repair, RepairResult, StepId};
use crate::plan::Step;
use crate::playbooks::{Plan, PlanError, Playbook};
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

/// A problem of one step, and all that healing it needs.
pub(super) struct Healing<'a> {
    pub(super) cx: &'a Context,
    pub(super) door: &'a Door,
    pub(super) recorder: &'a Recorder,
    pub(super) id: StepId,
    pub(super) step: &'a Step,
}

impl Healing<'_> {
    /// Heals a problem, where the step has a playbook for it and governance lets it act. What counts as
    /// healed is decided by the step's own check, on a fresh connection.
    pub(super) fn heal(&self, first: &Findings) -> Healed {
        let mut notes = Vec::new();
        for playbook in self.step.playbooks() {
            match plan(self.cx, playbook, &first.problems) {
                Ok(Some(plan)) => {
                    let repair = propose(self.cx, playbook, plan);
                    return self.carry_out(first, repair, notes);
                }
                Ok(None) => {}
                Err(note) => notes.push(note),
            }
        }
        Healed::Not {
            repairs: Vec::new(),
            problems: first.problems.clone(),
            notes,
        }
    }

    fn carry_out(&self, first: &Findings, mut repair: Repair, notes: Vec<String>) -> Healed {
        let may_act = matches!(repair.decision, Decision::Apply | Decision::ApplyAndNotify);
        let now = if may_act {
            self.recorder.record(Event::RepairStarted {
                step: self.id,
                playbook: repair.playbook,
                summary: repair.summary.clone(),
            });
            self.apply_and_verify(&mut repair)
        } else {
            Err(Vec::new())
        };
        self.recorder.record(Event::RepairFinished {
            step: self.id,
            repair: repair.clone(),
        });
        let repairs = vec![repair];
        match now {
            Ok(now) => Healed::Verified { repairs, now },
            Err(problems) => Healed::Not {
                repairs,
                problems: if problems.is_empty() {
                    first.problems.clone()
                } else {
                    problems
                },
                notes,
            },
        }
    }

    /// What the check sees afterwards where all is well; else what is wrong, with the changes taken
    /// back.
    fn apply_and_verify(&self, repair: &mut Repair) -> Result<Findings, Vec<Finding>> {
        let Healing {
            cx, door, id, step, ..
        } = *self;
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
}

/// What a playbook would do; none where these are not its problems, and in words why it does nothing.
fn plan(
    cx: &Context,
    playbook: &dyn Playbook,
    problems: &[Finding],
) -> Result<Option<Plan>, String> {
    let meta = playbook.meta();
    let is_for_it = |problem: &&Finding| meta.fixes.contains(&problem.code);
    let healable = problems.iter().filter(is_for_it).count();
    if healable == 0 {
        return Ok(None);
    }
    // The check would still fail afterwards, and what was done would be taken back.
    if healable < problems.len() {
        return Err(format!(
            "{} was not run: it cannot heal all of this",
            meta.id
        ));
    }
    match playbook.plan(cx, problems) {
        Ok(plan) => Ok(Some(plan)),
        Err(error @ PlanError::NotApplicable(_)) => {
            Err(format!("{} does nothing: {error}", meta.id))
        }
        Err(error) => Err(format!("{}: {error}", meta.id)),
    }
}

fn propose(cx: &Context, playbook: &dyn Playbook, plan: Plan) -> Repair {
    let meta = playbook.meta();
    let fingerprint = Door::fingerprint(meta.id, &plan.changes);
    let approval = match cx.approved.contains(&fingerprint) {
        true => Approval::Person,
        false => Approval::None,
    };
    Repair {
        playbook: meta.id,
        fingerprint,
        summary: plan.summary,
        decision: decide(meta.risk, meta.tier, cx.mode, approval),
        changes: plan.changes,
        result: RepairResult::Proposed,
    }
}
