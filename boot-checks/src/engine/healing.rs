//! From a problem to a proven fix: decide, plan, apply through the door, and look again.

use std::io;

use super::session::look;
use super::{Approvals, Door, Recorder, notices};
use crate::context::Context;
use crate::model::{Change, Decision, Event, Finding, Findings, Repair, RepairResult, StepId};
use crate::plan::Step;
use crate::playbooks::{self, Plan, PlanError, Playbook};
use crate::services::governance::decide;
use crate::services::notices::Notice;

/// What stands in the place of what a playbook makes up, where its plan is named or shown.
pub(super) const MADE_UP: &str = "<random>";

/// What a run lets playbooks do, beside what governance decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// Only this playbook may act, or may plan; none: all of them.
    pub only: Option<&'static str>,
    /// Only exactly this plan may be carried out.
    pub plan: Option<String>,
    /// What fails in one stage keeps the next from its turn no longer: this is no boot.
    pub unblocked: bool,
}

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
    permit: &Permit,
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
    if permit.only.is_some_and(|only| only != meta.id) {
        return not(Vec::new(), Vec::new());
    }
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
    let mut repair = proposal(cx, playbook, plan, permit);
    let decision = repair.decision;
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

fn proposal(cx: &Context, playbook: &dyn Playbook, plan: Plan, permit: &Permit) -> Repair {
    let meta = playbook.meta();
    let masked = masked(&plan.changes, &playbook.made_up(&plan));
    let fingerprint = Door::fingerprint(meta.id, &masked);
    let approval = Approvals::new(&cx.state_folder()).of(&fingerprint);
    let risk = plan.changes.iter().map(Change::least_risk).max();
    let risk = risk.map_or(meta.risk, |risk| risk.max(meta.risk));
    let is_another = |wanted: &String| *wanted != fingerprint;
    let decision = match decide(risk, meta.tier, cx.mode, approval) {
        // Another plan than the one that was seen: a person has to look again.
        Decision::Apply | Decision::ApplyAndNotify
            if permit.plan.as_ref().is_some_and(is_another) =>
        {
            Decision::NeedsApproval
        }
        decision => decision,
    };
    let diffs: Vec<&str> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::EditFile { diff, .. } => Some(diff.as_str()),
            _ => None,
        })
        .collect();
    Repair {
        playbook: meta.id,
        fingerprint,
        summary: plan.summary,
        decision,
        proposal: (!diffs.is_empty()).then(|| diffs.concat()),
        changes: plan.changes,
        result: RepairResult::Proposed,
    }
}

/// The changes with a fixed text in the place of what was made up, so that the same plan has the same
/// name each time that it is made.
pub(super) fn masked(changes: &[Change], made_up: &[String]) -> Vec<Change> {
    let mask = |bytes: &mut Vec<u8>| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let masked = made_up.iter().fold(text.to_owned(), |text, made_up| {
            text.replace(made_up, MADE_UP)
        });
        *bytes = masked.into_bytes();
    };
    let mut changes = changes.to_vec();
    for change in &mut changes {
        match change {
            Change::CreateFile { contents, .. } => mask(contents),
            Change::AppendToFile { addition, .. } => mask(addition),
            _ => {}
        }
    }
    changes
}

/// An approval is for once, and is gone before anything is changed.
fn spend_approval(cx: &Context, repair: &mut Repair) -> Result<(), Vec<Finding>> {
    let approvals = Approvals::new(&cx.state_folder());
    approvals.spend(&repair.fingerprint).map_err(|error| {
        repair.result = RepairResult::Failed {
            error: format!("cannot write the approvals: {error}"),
            taken_back: true,
        };
        Vec::new()
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

/// Applies a plan between its notice's beginning and its end.
fn apply_and_verify(
    cx: &Context,
    door: &Door,
    id: StepId,
    step: &Step,
    repair: &mut Repair,
) -> Result<Findings, Vec<Finding>> {
    spend_approval(cx, repair)?;
    let notice = begin_notice(cx, door, repair).map_err(|error| {
        repair.result = RepairResult::Failed {
            error: format!("cannot leave a notice: {error}"),
            taken_back: true,
        };
        Vec::new()
    })?;
    let verified = change_and_look(cx, door, id, step, repair);
    let is_undone = matches!(
        repair.result,
        RepairResult::Failed {
            taken_back: true,
            ..
        } | RepairResult::NotVerified {
            taken_back: true,
            ..
        }
    );
    end_notice(cx, notice, !is_undone);
    verified
}

/// What the check sees afterwards where all is well; else what is wrong, with the changes taken back.
fn change_and_look(
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
