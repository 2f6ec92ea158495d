//! What came of an attempt at healing, in words.

use crate::model::{Decision, Repair, RepairResult};

/// What came of an attempt that did not heal. `again` as in [`crate::model::Start`].
pub(super) fn attempt(repair: &Repair, again: &str) -> String {
    let name = repair.playbook;
    match &repair.result {
        RepairResult::Verified => format!("{name} healed it"),
        RepairResult::Proposed => proposal(repair, again),
        RepairResult::Refused { error } => format!("{name} changed nothing: {error}"),
        RepairResult::Failed {
            error,
            taken_back,
            stays,
        } => {
            let taken = taken_back_or_not(*taken_back, stays.as_deref());
            format!("{name} failed: {error}; {taken}")
        }
        RepairResult::NotVerified {
            problems,
            taken_back,
            stays,
        } => {
            let still: Vec<&str> = problems.iter().map(|it| it.message.as_str()).collect();
            let taken = taken_back_or_not(*taken_back, stays.as_deref());
            let still = still.join("; ");
            format!("{name} ran, but the check still fails: {still}; {taken}")
        }
    }
}

fn taken_back_or_not(taken_back: bool, stays: Option<&str>) -> String {
    match (taken_back, stays) {
        (true, _) => "its changes were taken back".to_owned(),
        (false, None) => "its changes were NOT taken back".to_owned(),
        (false, Some(stays)) => format!("its changes were NOT taken back: {stays}"),
    }
}

/// A plan that was not carried out. Its summary speaks of what is done, so it is left out here: at
/// night, `created logs` is read as if it had been.
fn proposal(repair: &Repair, again: &str) -> String {
    let Repair {
        playbook,
        fingerprint,
        ..
    } = repair;
    match repair.decision {
        Decision::ObserveOnly => format!("would run {playbook}"),
        Decision::NeedsApproval | Decision::NeedsQuorum => {
            let whom = match repair.decision {
                Decision::NeedsQuorum => "a quorum",
                _ => "approval",
            };
            let outcome = super::proposal::outcome(repair);
            let approve = format!("`cargo xtask approve {fingerprint}{again}`");
            format!("{playbook} waits for {whom} (plan {fingerprint}){outcome}: {approve}")
        }
        Decision::Apply | Decision::ApplyAndNotify => format!("{playbook} did not run"),
    }
}
