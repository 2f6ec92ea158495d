//! Saves what can be saved of a damaged database, or of a write-ahead log whose main file is gone:
//! what holds is copied into a new file, what is lost is counted where something knows it, and what a
//! copy of an earlier run still has is taken from there and said so. The damaged files are kept, byte
//! for byte, and come back with `undo`. A person approves it, with the counts before them.

use super::rebuild_database::{change, rehearsed};
use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Finding, Method, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "salvage_database",
    description: "Save what is left of a damaged database",
    risk: RiskLevel::High,
    tier: AutonomyTier::Approve,
    fixes: &[
        "database_corrupt",
        "not_a_database",
        "database_vanished",
        "database_empty",
        "database_log_unfinished",
    ],
    registered: false,
};

pub(super) struct SalvageDatabase;

impl Playbook for SalvageDatabase {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let (present, report) = rehearsed(cx)?;
        if report.method != Method::Salvage {
            let reason = "every row is there".to_owned();
            return Err(PlanError::NotApplicable(reason));
        }
        let summary = report.summary();
        change(cx, present, report, summary)
    }
}
