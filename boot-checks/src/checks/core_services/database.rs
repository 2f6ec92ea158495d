//! Does the database take a write? One is made and rolled back: a lock alone proves nothing, since
//! `BEGIN IMMEDIATE` succeeds on a file that cannot be written.

use crate::checks::Check;
use crate::checks::support::{ask, database_name};
use crate::context::Context;
use crate::model::{CheckResult, Findings, Mode, SqlValue};
use crate::services::db::{Connection, DbError};

/// See the module.
pub struct Database;

impl Check for Database {
    fn title(&self) -> &'static str {
        "Database connection"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let name = database_name(cx);
        if cx.mode == Mode::Observe {
            return ask(cx, |connection| {
                connection.query("SELECT count(*) FROM sqlite_schema", &[])?;
                Ok(Findings::healthy(
                    "answers; the write probe is left out when observing",
                ))
            });
        }
        ask(cx, |connection| {
            probe(connection)?;
            Ok(Findings::healthy(format!(
                "{name} takes writes; probe rolled back"
            )))
        })
    }
}

/// Writes the file's own version number over itself, so that the probe needs no table and no name.
fn probe(connection: &mut Connection) -> Result<(), DbError> {
    let SqlValue::Integer(version) = connection.scalar("PRAGMA user_version")? else {
        return Err(DbError::other("the database has no user_version"));
    };
    let other = if version == 0 { 1 } else { 0 };
    let mut transaction = connection.begin_immediate()?;
    transaction
        .connection()
        .execute(&format!("PRAGMA user_version = {other}"))?;
    transaction.rollback()?;
    if connection.scalar("PRAGMA user_version")? != SqlValue::Integer(version) {
        return Err(DbError::other("the write probe was not rolled back"));
    }
    Ok(())
}
