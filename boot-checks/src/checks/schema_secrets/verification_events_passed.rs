//! Is the column there whose absence stops Grace with `no such column: verification_events.passed`?
//! `apply_pending_migrations` adds what is missing.

use super::required_columns::columns;
use crate::checks::Check;
use crate::config::RequiredTable;
use crate::context::Context;
use crate::model::{CheckResult, Findings};

/// See the module.
pub struct VerificationEventsPassed;

const TABLE: &str = "verification_events";
const COLUMNS: &[&str] = &["passed"];

impl Check for VerificationEventsPassed {
    fn title(&self) -> &'static str {
        "verification_events.passed exists"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let Some(table) = cx.config.tables.iter().find(|table| table.name == TABLE) else {
            return Ok(Findings::not_applicable(format!(
                "{TABLE} is no table of this application"
            )));
        };
        let is_ours = |name: &str| COLUMNS.contains(&name);
        let columns_wanted: Vec<_> = table
            .columns
            .iter()
            .filter(|column| is_ours(&column.name))
            .cloned()
            .collect();
        let wanted = RequiredTable {
            name: table.name.clone(),
            columns: columns_wanted,
        };
        columns(cx, &[wanted], Some("verification_events_schema_mismatch"))
    }
}
