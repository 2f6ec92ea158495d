//! What came of an attempt at healing, in words.

use crate::model::{Change, Decision, Repair, RepairResult, SalvageReport};

/// An attempt at healing, from a boot or from its record.
pub(super) struct Attempt<'a> {
    pub(super) playbook: &'a str,
    /// Names the plan.
    pub(super) fingerprint: &'a str,
    /// What governance answered; none where that is not known.
    pub(super) decision: Option<Decision>,
    /// What came of a copy, which whoever approves has to know.
    pub(super) on_a_copy: Option<&'a SalvageReport>,
    pub(super) result: AttemptResult<'a>,
}

/// How it ended.
pub(super) enum AttemptResult<'a> {
    Verified,
    Refused {
        error: &'a str,
    },
    Failed {
        error: &'a str,
        taken_back: bool,
        stays: Option<&'a str>,
    },
    NotVerified {
        /// What the check still finds.
        still: Vec<&'a str>,
        taken_back: bool,
        stays: Option<&'a str>,
    },
    Proposed,
    /// A record says so, and nobody knows what it means.
    Unknown {
        word: &'a str,
    },
}

/// What came of an attempt that did not heal. `again` as in [`crate::model::Start`].
pub(super) fn attempt(repair: &Repair, again: &str) -> String {
    Attempt::from(repair).words(again)
}

impl<'a> From<&'a Repair> for Attempt<'a> {
    fn from(repair: &'a Repair) -> Attempt<'a> {
        Attempt {
            playbook: repair.playbook,
            fingerprint: &repair.fingerprint,
            decision: Some(repair.decision),
            on_a_copy: repair.changes.iter().find_map(|change| match change {
                Change::RebuildDatabase { report, .. } => Some(report),
                _ => None,
            }),
            result: match &repair.result {
                RepairResult::Verified => AttemptResult::Verified,
                RepairResult::Refused { error } => AttemptResult::Refused { error },
                RepairResult::Failed {
                    error,
                    taken_back,
                    stays,
                } => AttemptResult::Failed {
                    error,
                    taken_back: *taken_back,
                    stays: stays.as_deref(),
                },
                RepairResult::NotVerified {
                    problems,
                    taken_back,
                    stays,
                } => AttemptResult::NotVerified {
                    still: problems.iter().map(|it| it.message.as_str()).collect(),
                    taken_back: *taken_back,
                    stays: stays.as_deref(),
                },
                RepairResult::Proposed => AttemptResult::Proposed,
            },
        }
    }
}

impl Attempt<'_> {
    /// The words. `again` as in [`crate::model::Start`].
    pub(super) fn words(&self, again: &str) -> String {
        let name = self.playbook;
        match &self.result {
            AttemptResult::Verified => format!("{name} healed it"),
            AttemptResult::Proposed => self.proposal(again),
            AttemptResult::Refused { error } => format!("{name} changed nothing: {error}"),
            AttemptResult::Failed {
                error,
                taken_back,
                stays,
            } => {
                let taken = taken_back_or_not(*taken_back, *stays);
                // What a command said may be long, and what became of its changes is the first question.
                match error.split_once('\n') {
                    Some((reason, more)) => format!("{name} failed: {reason}; {taken}\n{more}"),
                    None => format!("{name} failed: {error}; {taken}"),
                }
            }
            AttemptResult::NotVerified {
                still,
                taken_back,
                stays,
            } => {
                let taken = taken_back_or_not(*taken_back, *stays);
                let still = still.join("; ");
                format!("{name} ran, but the check still fails: {still}; {taken}")
            }
            AttemptResult::Unknown { word } => format!("{name} ended as `{word}`"),
        }
    }

    /// A plan that was not carried out. Its summary speaks of what is done, so it is left out here: at
    /// night, `created logs` is read as if it had been.
    fn proposal(&self, again: &str) -> String {
        let Attempt {
            playbook,
            fingerprint,
            ..
        } = self;
        match self.decision {
            Some(Decision::ObserveOnly) => format!("would run {playbook}"),
            Some(decision @ (Decision::NeedsApproval | Decision::NeedsQuorum)) => {
                let whom = match decision {
                    Decision::NeedsQuorum => "a quorum",
                    _ => "approval",
                };
                let outcome = self.on_a_copy.map_or_else(String::new, copied);
                let approve = format!("`cargo xtask approve {fingerprint}{again}`");
                format!("{playbook} waits for {whom} (plan {fingerprint}){outcome}: {approve}")
            }
            Some(Decision::Apply | Decision::ApplyAndNotify) | None => {
                format!("{playbook} did not run")
            }
        }
    }
}

/// What whoever approves has to know: what came of a copy.
fn copied(report: &SalvageReport) -> String {
    let mut words = format!("; on a copy: {}", report.summary());
    for note in &report.notes {
        words += &format!("; {note}");
    }
    words
}

fn taken_back_or_not(taken_back: bool, stays: Option<&str>) -> String {
    match (taken_back, stays) {
        (true, _) => "its changes were taken back".to_owned(),
        (false, None) => "its changes were NOT taken back".to_owned(),
        (false, Some(stays)) => format!("its changes were NOT taken back: {stays}"),
    }
}
