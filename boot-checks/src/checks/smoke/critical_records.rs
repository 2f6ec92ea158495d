//! Can the critical records be read, and are there as many as there must be?

use crate::checks::Check;
use crate::checks::support::ask;
use crate::config::RequiredRecords;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings, SqlValue};
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
            let found = connection.query(&counts(records), &[])?;
            let found = found.first().map_or(&[][..], Vec::as_slice);
            let problems = records
                .iter()
                .zip(found)
                .filter_map(|(wanted, found)| too_few(wanted, found))
                .collect();
            let names: Vec<&str> = records.iter().map(|wanted| wanted.table.as_str()).collect();
            Ok(Findings::from_problems(problems, names.join(", ")))
        })
    }
}

/// Only as many rows as must be there are read, however large the table is.
fn counts(records: &[RequiredRecords]) -> String {
    let counts: Vec<String> = records
        .iter()
        .map(|wanted| {
            let limit = wanted.at_least.max(1);
            let table = quoted(&wanted.table);
            format!("(SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {limit}))")
        })
        .collect();
    format!("SELECT {}", counts.join(", "))
}

fn too_few(wanted: &RequiredRecords, found: &SqlValue) -> Option<Finding> {
    let found = match found {
        SqlValue::Integer(found) => u64::try_from(*found).unwrap_or_default(),
        _ => 0,
    };
    (found < wanted.at_least).then(|| {
        let message = format!(
            "{} has {found} records, expected at least {}",
            wanted.table, wanted.at_least
        );
        Finding::new("records_missing", message)
    })
}
