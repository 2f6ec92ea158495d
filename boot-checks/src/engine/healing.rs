//! From a problem to a proven fix: decide, plan, apply through the door, and look again.

use std::io;

use super::propose::{Permit, propose};
use super::session::look;
use super::{Approvals, Door, Recorder, notices};
use crate::context::Context;
use crate::model::{Change, Decision, Event, Finding, Findings, Repair, RepairResult, StepId};
use crate::plan::Step;
use crate::playbooks::{Plan, PlanError, Playbook};
use crate::services::notices::Notice;

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
        /// In words, where somebody else changed what the plan was made for, and nothing was done: all may be well.
        overtaken: Option<String>,
    },
}

/// Why an attempt came to nothing.
#[derive(Default)]
struct NotHealed {
    /// What is wrong now; empty where that is what was.
    problems: Vec<Finding>,
    /// As in [`Healed::Not`].
    overtaken: Option<String>,
}

/// A problem of one step, and all that healing it needs.
pub(super) struct Healing<'a> {
    pub(super) cx: &'a Context,
    pub(super) door: &'a Door,
    pub(super) recorder: &'a Recorder,
    pub(super) id: StepId,
    pub(super) step: &'a Step,
    pub(super) permit: &'a Permit,
}

impl Healing<'_> {
    /// Heals a problem, where the step has a playbook for it and governance lets it act. What counts as
    /// healed is decided by the step's own check, on a fresh connection.
    pub(super) fn heal(&self, first: &Findings) -> Healed {
        let mut notes = Vec::new();
        let is_permitted = |id: &str| self.permit.only.is_none_or(|only| only == id);
        let playbooks = self.step.playbooks();
        for playbook in playbooks.filter(|playbook| is_permitted(playbook.meta().id)) {
            match plan(self.cx, playbook, &first.problems) {
                Ok(Some(plan)) => {
                    let repair = propose(self.cx, playbook, plan, self.permit);
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
            overtaken: None,
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
            Err(NotHealed::default())
        };
        self.recorder.record(Event::RepairFinished {
            step: self.id,
            repair: repair.clone(),
        });
        let playbook = repair.playbook;
        let repairs = vec![repair];
        match now {
            Ok(now) => Healed::Verified { repairs, now },
            Err(not) => Healed::Not {
                repairs,
                problems: if not.problems.is_empty() {
                    first.problems.clone()
                } else {
                    not.problems
                },
                notes,
                overtaken: not
                    .overtaken
                    .map(|why| format!("{playbook} did nothing: {why}")),
            },
        }
    }

    /// Applies a plan between its notice's beginning and its end.
    fn apply_and_verify(&self, repair: &mut Repair) -> Result<Findings, NotHealed> {
        spend_approval(self.cx, repair)?;
        let notice = begin_notice(self.cx, self.door, repair).map_err(|error| {
            let error = format!("cannot leave a notice: {error}");
            repair.result = RepairResult::Refused { error };
            NotHealed::default()
        })?;
        let verified = self.change_and_look(repair);
        let is_undone = matches!(
            repair.result,
            RepairResult::Refused { .. }
                | RepairResult::Failed {
                    taken_back: true,
                    ..
                }
                | RepairResult::NotVerified {
                    taken_back: true,
                    ..
                }
        );
        end_notice(self.cx, notice, !is_undone);
        verified
    }

    /// What the check sees afterwards where all is well; else what is wrong, with the changes taken
    /// back.
    fn change_and_look(&self, repair: &mut Repair) -> Result<Findings, NotHealed> {
        let Healing {
            cx, door, id, step, ..
        } = *self;
        refresh(cx, repair);
        let applied = door.apply(cx, id, repair);
        refresh(cx, repair);
        let undo = match applied {
            Ok(undo) => undo,
            Err(failure) => {
                let is_well = || look(step, cx).is_ok_and(|now| now.is_healthy());
                let by_others = || failure.may_be_overtaken().filter(|_| is_well());
                let not = NotHealed {
                    overtaken: failure.overtaken().or_else(by_others),
                    ..NotHealed::default()
                };
                repair.result = failure.into();
                return Err(not);
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
        refresh(cx, repair);
        let left = door.take_back(id, repair, undo);
        repair.result = RepairResult::NotVerified {
            problems: problems.clone(),
            taken_back: left.is_nothing(),
            stays: left.stays(),
        };
        Err(NotHealed {
            problems,
            overtaken: None,
        })
    }
}

/// So that the next look is a fresh one. Sources are read again only where they were edited.
fn refresh(cx: &Context, repair: &Repair) {
    cx.refresh();
    let is_edit = |change: &Change| matches!(change, Change::EditFile { .. });
    if repair.changes.iter().any(is_edit) {
        cx.forget_sources();
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

/// An approval is for once, and is gone before anything is changed.
fn spend_approval(cx: &Context, repair: &mut Repair) -> Result<(), NotHealed> {
    let approvals = Approvals::new(&cx.state_folder());
    approvals.spend(&repair.fingerprint).map_err(|error| {
        let error = format!("cannot write the approvals: {error}");
        repair.result = RepairResult::Refused { error };
        NotHealed::default()
    })
}

/// Says what is done without asking: before it is done, so that a kill leaves no act unsaid. None where
/// governance asks for no notice.
fn begin_notice(cx: &Context, door: &Door, repair: &Repair) -> io::Result<Option<Notice>> {
    if repair.decision != Decision::ApplyAndNotify {
        return Ok(None);
    }
    let notice = Notice {
        run_id: door.run_id().to_owned(),
        playbook: repair.playbook.to_owned(),
        summary: repair.summary.clone(),
        is_done: false,
    };
    notices::leave(&cx.state_folder(), notice.clone())?;
    Ok(Some(notice))
}

/// What was done stays said; what was not is taken away. Where this cannot be written, the report and
/// the record still say how it ended.
fn end_notice(cx: &Context, notice: Option<Notice>, is_done: bool) {
    let Some(notice) = notice else { return };
    let folder = cx.state_folder();
    let _ = if is_done {
        let is_done = true;
        notices::leave(&folder, Notice { is_done, ..notice })
    } else {
        notices::withdraw(&folder, &notice)
    };
}
