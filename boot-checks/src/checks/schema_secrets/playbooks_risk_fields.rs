//! Are the columns there that say how risky a playbook is and who decides?
//! `apply_pending_migrations` adds what is missing.

use super::required_columns::columns;
use crate::checks::Check;
use crate::config::RequiredTable;
use crate::context::Context;
use crate::model::{CheckResult, Findings};

/// See the module.
pub struct PlaybooksRiskFields;

const TABLE: &str = "playbooks";
const COLUMNS: &[&str] = &["risk_level", "autonomy_tier"];

impl Check for PlaybooksRiskFields {
    fn title(&self) -> &'static str {
        "playbooks.risk_level and autonomy_tier exist"
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
        columns(cx, &[wanted], Some("playbook_missing_risk_fields"))
    }
}
