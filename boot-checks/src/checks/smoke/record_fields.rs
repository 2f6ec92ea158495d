//! Do the critical records have the fields that the application's code names?

use crate::checks::Check;
use crate::checks::support::{ask, counted};
use crate::config::RequiredRecords;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::db::{Connection, DbError, quoted};

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
                if wanted.fields.is_empty() || read(connection, wanted, &wanted.fields)? {
                    continue;
                }
                for field in &wanted.fields {
                    if !read(connection, wanted, std::slice::from_ref(field))? {
                        let message = format!("{} has no field {field}", wanted.table);
                        problems.push(Finding::new("record_field_missing", message));
                    }
                }
            }
            Ok(Findings::from_problems(problems, counted(fields, "field")))
        })
    }
}

/// Whether one record can be read with these fields; false when the statement makes no sense there.
fn read(
    connection: &mut Connection,
    wanted: &RequiredRecords,
    fields: &[String],
) -> Result<bool, DbError> {
    let table = quoted(&wanted.table);
    // Qualified: SQLite takes a bare quoted name that is no column for a string.
    let fields: Vec<String> = fields
        .iter()
        .map(|field| format!("{table}.{}", quoted(field)))
        .collect();
    let sql = format!("SELECT {} FROM {table} LIMIT 1", fields.join(", "));
    match connection.query(&sql, &[]) {
        Ok(_) => Ok(true),
        Err(DbError::Other { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
