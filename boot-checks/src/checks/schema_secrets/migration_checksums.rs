//! Are the applied migrations still the texts that were applied?
//!
//! Where an edit makes another structure, `preflight::schema_version` has aborted. What is left cannot
//! hurt this database, but an application that checks for itself may refuse to start: an edit that
//! makes the same structure is a warning, and other line endings or a byte order mark are healed by
//! `restamp_migrations`, which runs nothing again.

use crate::checks::Check;
use crate::checks::support::{cannot_look, healed_without_observe, unusable};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::migrations::{Drift, MigrationRecord};

/// See the module.
pub struct MigrationChecksums;

impl Check for MigrationChecksums {
    fn title(&self) -> &'static str {
        "Applied migrations are unedited"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let Some(set) = cx.migrations().map_err(unusable)? else {
            return Ok(Findings::not_applicable("the gate applies no migrations"));
        };
        if cx.database_path().is_none() {
            return Ok(Findings::not_applicable("the database is in memory"));
        }
        let status = cx.migration_status().map_err(cannot_look)?;
        if status.record != MigrationRecord::Sqlx {
            return Ok(Findings::not_applicable("sqlx keeps no record here"));
        }
        let problems = status.drift.iter().map(|drift| finding(cx, *drift));
        let count = set.versions().len() - status.pending.len();
        let observed = format!("{count} checksums fit");
        Ok(Findings::from_problems(problems.collect(), observed))
    }
}

fn finding(cx: &Context, drift: Drift) -> Finding {
    match drift {
        Drift::LineEndings(version) => {
            let message =
                format!("migration {version} has other line endings than when it was applied");
            let finding = Finding::new("migration_line_endings", message)
                .cause("it was saved or checked out with CRLF or a byte order mark, or without");
            healed_without_observe(cx, finding, "renews its checksum")
        }
        Drift::SameStructure(version) => edited(
            version,
            "its text of today makes the same tables, indexes, views and triggers; what it does to rows is not compared",
        ),
        Drift::OtherStructure(version) => edited(
            version,
            "the migrations' texts of today do not make the structure that is there",
        ),
    }
}

fn edited(version: i64, cause: &str) -> Finding {
    let message = format!("migration {version} was edited after it was applied");
    Finding::new("migration_edited", message)
        .cause(cause)
        .action("restore its text, and put the edit into a new migration")
}
