//! Are the tables there that the application cannot do without? `apply_pending_migrations` makes
//! what was never there.

use crate::checks::Check;
use crate::checks::support::{ask_structure, healed_by_migrations, lost};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};

/// See the module.
pub struct RequiredTables;

impl Check for RequiredTables {
    fn title(&self) -> &'static str {
        "Required tables are present"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let names: Vec<&str> = cx
            .config
            .tables
            .iter()
            .map(|table| table.name.as_str())
            .collect();
        if names.is_empty() {
            return Ok(Findings::not_applicable(
                "boot.toml names no required table",
            ));
        }
        ask_structure(cx, |structure| {
            let missing: Vec<Finding> = names
                .iter()
                .filter(|name| structure.table(name).is_none())
                .map(|name| missing(cx, name))
                .collect();
            let mismatches = missing.len();
            Findings::from_problems(missing, names.join(", ")).fact("schema_mismatches", mismatches)
        })
    }
}

fn missing(cx: &Context, name: &str) -> Finding {
    let finding = Finding::new("table_missing", format!("table {name} is missing"));
    if was_made(cx, name) {
        return lost(finding);
    }
    let finding = finding
        .cause("the database is older than the code, or is another one")
        .pattern("schema_behind");
    healed_by_migrations(cx, finding)
}

/// Whether the migration record says that this table was there. Where the record cannot be read,
/// `schema_version` says so.
fn was_made(cx: &Context, name: &str) -> bool {
    let Ok(Some(set)) = cx.migrations() else {
        return false;
    };
    let is_expected = set.expected().table(name).is_some();
    is_expected
        && cx
            .migration_status()
            .is_ok_and(|status| status.has_lost_values())
}
