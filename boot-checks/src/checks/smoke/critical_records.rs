//! Can the critical records be read, and are there as many as there must be?

use crate::checks::Check;
use crate::checks::support::ask;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::db::quoted;

/// See the module.
pub struct CriticalRecords;

impl Check for CriticalRecords {
    fn title(&self) -> &'static str {
        "Critical records"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let records = &cx.config.records;
        if records.is_empty() {
            return Ok(Findings::not_applicable("boot.toml names no records"));
        }
        ask(cx, |connection| {
            let mut problems = Vec::new();
            for wanted in records {
                // Only as many as must be there are read, however large the table is.
                let limit = wanted.at_least.max(1);
                let sql = format!("SELECT 1 FROM {} LIMIT {limit}", quoted(&wanted.table));
                let found = connection.query(&sql, &[])?.len() as u64;
                if found < wanted.at_least {
                    let message = format!(
                        "{} has {found} records, expected at least {}",
                        wanted.table, wanted.at_least
                    );
                    problems.push(Finding::new("records_missing", message));
                }
            }
            let names: Vec<&str> = records.iter().map(|wanted| wanted.table.as_str()).collect();
            Ok(Findings::from_problems(problems, names.join(", ")))
        })
    }
}
