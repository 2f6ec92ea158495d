//! An attempt at healing as a record has it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::finding::PastFinding;
use super::loose::{as_flag, as_list, as_option, as_text, text};
use super::{change, known};
use crate::model::{Decision, SalvageReport};
use crate::report::attempt::{Attempt, AttemptResult};

/// As [`crate::model::Repair`] was written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PastRepair {
    #[serde(deserialize_with = "as_text")]
    playbook: String,
    #[serde(deserialize_with = "as_text")]
    summary: String,
    #[serde(deserialize_with = "as_text")]
    decision: String,
    #[serde(deserialize_with = "as_list")]
    changes: Vec<Value>,
    #[serde(deserialize_with = "as_text")]
    fingerprint: String,
    /// A unified diff.
    #[serde(deserialize_with = "as_text")]
    pub(super) proposal: String,
    #[serde(deserialize_with = "as_text")]
    result: String,
    #[serde(deserialize_with = "as_text")]
    error: String,
    #[serde(deserialize_with = "as_flag")]
    taken_back: bool,
    #[serde(deserialize_with = "as_option")]
    stays: Option<String>,
    #[serde(deserialize_with = "as_list")]
    problems: Vec<Value>,
    /// What another version wrote.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl From<&Value> for PastRepair {
    /// A value that is no repair is the name of one.
    fn from(value: &Value) -> PastRepair {
        let mut repair = PastRepair::deserialize(value).unwrap_or_else(|_| PastRepair {
            playbook: text(value),
            ..PastRepair::default()
        });
        if repair.playbook.is_empty() {
            repair.playbook = "a playbook without a name".to_owned();
        }
        repair
    }
}

impl PastRepair {
    /// What came of it. `again` as in [`crate::model::Start`].
    pub(super) fn words(&self, again: &str) -> String {
        let report = self.salvage();
        let still: Vec<PastFinding> = self.problems.iter().map(PastFinding::from).collect();
        let (taken_back, stays) = (self.taken_back, self.stays.as_deref());
        let attempt = Attempt {
            playbook: &self.playbook,
            fingerprint: &self.fingerprint,
            decision: known::<Decision>(&self.decision),
            on_a_copy: report.as_ref(),
            result: match self.result.as_str() {
                "verified" => AttemptResult::Verified,
                "proposed" => AttemptResult::Proposed,
                "refused" => AttemptResult::Refused { error: &self.error },
                "failed" => AttemptResult::Failed {
                    error: &self.error,
                    taken_back,
                    stays,
                },
                "not-verified" => AttemptResult::NotVerified {
                    still: still.iter().map(PastFinding::message).collect(),
                    taken_back,
                    stays,
                },
                word => AttemptResult::Unknown { word },
            },
        };
        let words = attempt.words(again);
        match self.result.as_str() {
            // Of what was not done, the summary would be read as if it had been.
            "verified" if !self.summary.is_empty() => format!("{words}: {}", self.summary),
            "verified" | "proposed" | "refused" | "failed" | "not-verified" => words,
            _ if self.error.is_empty() => words,
            _ => format!("{words}: {}", self.error),
        }
    }

    /// Its plan: the name of it, who decided, and what it wanted changed; then what another version wrote.
    pub(super) fn plan(&self) -> Vec<String> {
        let decided = match known::<Decision>(&self.decision) {
            Some(Decision::Apply) => "allowed",
            Some(Decision::ApplyAndNotify) => "allowed, and leaves a notice",
            Some(Decision::NeedsApproval) => "a person decides",
            Some(Decision::NeedsQuorum) => "a quorum decides",
            Some(Decision::ObserveOnly) => "the boot only looks",
            None => &self.decision,
        };
        let named = [self.fingerprint.as_str(), decided];
        let named: Vec<&str> = named.into_iter().filter(|it| !it.is_empty()).collect();
        let mut lines = Vec::new();
        if !named.is_empty() {
            lines.push(named.join(", "));
        }
        lines.extend(self.changes.iter().flat_map(change::lines));
        let others = self.others.iter();
        lines.extend(others.map(|(name, value)| format!("{name}: {}", text(value))));
        lines
    }

    /// Whether something of it stayed, so that there is something to take back.
    pub(super) fn stayed(&self) -> bool {
        let is_begun = matches!(self.result.as_str(), "failed" | "not-verified");
        self.result == "verified" || is_begun && !self.taken_back
    }

    fn salvage(&self) -> Option<SalvageReport> {
        let mut reports = self.changes.iter().filter_map(|it| it.get("report"));
        reports.find_map(|it| SalvageReport::deserialize(it).ok())
    }
}
