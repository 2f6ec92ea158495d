//! Does the database answer a question that needs its tables?

use crate::checks::Check;
use crate::checks::support::ask;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings, SqlValue};

/// See the module.
pub struct DatabaseQuery;

impl Check for DatabaseQuery {
    fn title(&self) -> &'static str {
        "Database query"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        ask(cx, |connection| {
            let sql = "SELECT count(*), sum(type = 'table') FROM sqlite_schema WHERE name <> ?1";
            let rows = connection.query(sql, &["".into()])?;
            let answer = rows.first().map(Vec::as_slice);
            Ok(match answer {
                Some([SqlValue::Integer(objects), SqlValue::Integer(tables)]) => {
                    Findings::healthy(format!("{objects} objects, {tables} of them tables"))
                }
                _ => Findings::problem(Finding::new(
                    "database_has_no_tables",
                    "the database answers and has no tables",
                )),
            })
        })
    }
}
