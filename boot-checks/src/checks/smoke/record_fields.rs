//! Do the critical records have the fields that the application's code names?

use crate::checks::Check;
use crate::checks::support::{ask, counted};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::db::{DbError, quoted};

/// See the module.
pub struct RecordFields;

impl Check for RecordFields {
    fn title(&self) -> &'static str {
        "Record fields"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let records = &cx.config.records;
        let fields: usize = records.iter().map(|wanted| wanted.fields.len()).sum();
        if fields == 0 {
            return Ok(Findings::not_applicable(
                "boot.toml names no fields of records",
            ));
        }
        ask(cx, |connection| {
            let mut problems = Vec::new();
            for wanted in records {
                for field in &wanted.fields {
                    // Qualified: SQLite takes a bare quoted name that is no column for a string.
                    let table = quoted(&wanted.table);
                    let sql = format!("SELECT {table}.{} FROM {table} LIMIT 1", quoted(field));
                    match connection.query(&sql, &[]) {
                        Ok(_) => {}
                        Err(DbError::Other { .. }) => {
                            let message = format!("{} has no field {field}", wanted.table);
                            problems.push(Finding::new("record_field_missing", message));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(Findings::from_problems(problems, counted(fields, "field")))
        })
    }
}
