//! Are the columns there that the application reads? `apply_pending_migrations` adds them.

use crate::checks::Check;
use crate::checks::support::{ask_structure, counted, healed_by_migrations};
use crate::config::{RequiredColumn, RequiredTable};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::db::{Affinity, Table};

/// See the module.
pub struct RequiredColumns;

impl Check for RequiredColumns {
    fn title(&self) -> &'static str {
        "Required columns are present"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        columns(cx, &cx.config.tables, None)
    }
}

/// Looks for the columns of these tables.
pub(super) fn columns(
    cx: &Context,
    tables: &[RequiredTable],
    pattern: Option<&'static str>,
) -> CheckResult {
    let count: usize = tables.iter().map(|table| table.columns.len()).sum();
    if count == 0 {
        return Ok(Findings::not_applicable(
            "boot.toml names no required column",
        ));
    }
    ask_structure(cx, |structure| {
        let mut problems = Vec::new();
        for table in tables {
            let Some(there) = structure.table(&table.name) else {
                problems.push(missing_table(&table.name));
                continue;
            };
            problems.extend(judge_table(cx, table, there).into_iter().map(
                |finding| match pattern {
                    Some(pattern) => finding.pattern(pattern),
                    None => finding,
                },
            ));
        }
        let mismatches = problems.len();
        Findings::from_problems(problems, counted(count, "column"))
            .fact("schema_mismatches", mismatches)
    })
}

fn missing_table(name: &str) -> Finding {
    Finding::new("table_missing", format!("table {name} is missing"))
}

fn judge_table(cx: &Context, wanted: &RequiredTable, there: &Table) -> Vec<Finding> {
    wanted
        .columns
        .iter()
        .filter_map(|column| judge(cx, &wanted.name, column, there))
        .collect()
}

/// As [`columns`], for these columns of one of Grace's tables.
pub(super) fn columns_of(
    cx: &Context,
    table: &str,
    names: &[&str],
    pattern: &'static str,
) -> CheckResult {
    let Some(wanted) = cx.config.tables.iter().find(|wanted| wanted.name == table) else {
        return Ok(Findings::not_applicable(format!(
            "{table} is no table of this application"
        )));
    };
    let mut wanted = wanted.clone();
    wanted
        .columns
        .retain(|column| names.contains(&column.name.as_str()));
    columns(cx, &[wanted], Some(pattern))
}

fn judge(cx: &Context, table: &str, wanted: &RequiredColumn, there: &Table) -> Option<Finding> {
    let Some(found) = there.column(&wanted.name) else {
        let message = format!("column {table}.{} is missing", wanted.name);
        let finding = Finding::new("column_missing", message)
            .cause("the database is older than the code")
            .pattern("schema_behind");
        return Some(healed_by_migrations(cx, finding));
    };
    let declared = wanted.declared_type.as_ref()?;
    (Affinity::of(declared) != Affinity::of(&found.declared_type)).then(|| {
        let message = format!(
            "column {table}.{} is {}, expected {declared}",
            wanted.name, found.declared_type
        );
        Finding::new("column_type", message)
            .cause("the type has another affinity: values are stored differently")
            .action("write a migration that carries the values over")
    })
}
