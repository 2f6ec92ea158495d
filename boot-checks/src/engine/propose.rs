//! From a plan to a proposal: its name, what people said about it, and what governance answers.

use super::{Approvals, Door};
use crate::context::Context;
use crate::model::{Approval, Change, Decision, Repair, RepairResult};
use crate::playbooks::{Plan, Playbook};
use crate::services::governance::decide;

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

/// The repair that this plan would be.
pub(super) fn propose(
    cx: &Context,
    playbook: &dyn Playbook,
    plan: Plan,
    permit: &Permit,
) -> Repair {
    let meta = playbook.meta();
    let masked = masked(&plan.changes, &playbook.made_up(&plan));
    let fingerprint = Door::fingerprint(meta.id, &masked);
    let approval = match Approvals::new(&cx.state_folder()).of(&fingerprint) {
        Approval::None if cx.approved.contains(&fingerprint) => Approval::Person,
        approval => approval,
    };
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
