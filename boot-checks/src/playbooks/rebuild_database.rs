//! Makes a damaged database whole where it is proven that every row of every table is there: damaged
//! indexes are built anew, and what is wrong beside the rows is left behind by copying them into a new
//! file. The damaged files are kept.
//!
//! Safety: the proof is `salvage::Survey::is_whole`. A page that nothing accounts for, or an index that
//! knows of other rows, is a person's decision, whatever else is whole.

use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, Method, PlaybookMeta, RiskLevel, SalvageReport};

const META: PlaybookMeta = PlaybookMeta {
    id: "rebuild_database",
    description: "Rebuild what no row is lost by",
    risk: RiskLevel::Medium,
    tier: AutonomyTier::Notify,
    fixes: &["database_corrupt", "not_a_database"],
    registered: false,
};

pub(super) struct RebuildDatabase;

impl Playbook for RebuildDatabase {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let (present, report) = rehearsed(cx)?;
        let what = match report.method {
            Method::Reindex => "built the indexes anew",
            Method::Rebuild => "copied every row into a new file",
            Method::Salvage => {
                let reason = "rows are lost, or may be, and a person decides about that";
                return Err(PlanError::NotApplicable(reason.to_owned()));
            }
        };
        let summary = format!("{what}: {}", report.summary());
        change(cx, present, report, summary)
    }
}

/// What came of a copy; nothing of the application's was changed for it.
pub(super) fn rehearsed(cx: &Context) -> Result<(String, SalvageReport), PlanError> {
    let rehearsal = cx.rehearse_salvage().map_err(PlanError::NotApplicable)?;
    Ok((rehearsal.present.clone(), rehearsal.report.clone()))
}

pub(super) fn change(
    cx: &Context,
    present: String,
    report: SalvageReport,
    summary: String,
) -> Result<Plan, PlanError> {
    let path = cx
        .database_path()
        .ok_or_else(|| PlanError::NotApplicable("the database is in memory".to_owned()))?
        .to_owned();
    Ok(Plan {
        summary,
        changes: vec![Change::RebuildDatabase {
            path,
            present,
            report,
        }],
    })
}
