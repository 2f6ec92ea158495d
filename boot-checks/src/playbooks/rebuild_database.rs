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
    fixes: &[
        "database_corrupt",
        "not_a_database",
        "database_log_unfinished",
    ],
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
            Method::Log => "moved what was committed out of the log, into the database",
            Method::Reindex => "built the indexes anew",
            Method::Rebuild => "copied every row into a new file",
            Method::Salvage => {
                let reason = format!("{}, and a person decides about that", why_not(&report));
                return Err(PlanError::NotApplicable(reason));
            }
        };
        let summary = format!("{what}: {}", report.summary());
        change(cx, present, report, summary)
    }
}

/// Why it is more than a rebuild; never that rows are lost where the same report says that none is.
fn why_not(report: &SalvageReport) -> &'static str {
    let no_row_is_lost = report.lost().is_nothing() && report.unassigned == 0;
    match (no_row_is_lost, report.counters.is_empty()) {
        (false, _) => "rows are lost, or may be",
        (true, false) => "the last numbers that rows were given are lost",
        (true, true) => "no row is known to be lost, but not everything is certain",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Lost, TableSalvage};

    #[test]
    fn rows_are_not_said_to_be_lost_where_none_is() {
        let report = |lost, unassigned, counters: &[&str]| SalvageReport {
            method: Method::Salvage,
            tables: vec![TableSalvage {
                table: "t".to_owned(),
                saved: 2,
                lost,
                merged: 0,
                is_hurt: false,
            }],
            backup: None,
            backup_digest: None,
            unassigned,
            dangling: 0,
            counters: counters.iter().map(|it| (*it).to_owned()).collect(),
            notes: Vec::new(),
        };
        for (report, expect) in [
            (report(Lost::Exactly(1), 0, &["t"]), "rows are lost"),
            (report(Lost::NotKnown, 0, &[]), "rows are lost"),
            (report(Lost::Exactly(0), 3, &[]), "rows are lost"),
            (report(Lost::Exactly(0), 0, &["t"]), "the last numbers"),
            (report(Lost::Exactly(0), 0, &[]), "no row is known"),
        ] {
            assert!(why_not(&report).starts_with(expect), "{report:?}");
        }
        let summary = report(Lost::Exactly(0), 0, &["t"]).summary();
        assert_eq!(
            summary,
            "2 rows of 1 tables saved, 0 lost, the counter of t lost"
        );
    }
}
