//! Does the database take a write? One is made and rolled back: a lock alone proves nothing, since
//! `BEGIN IMMEDIATE` succeeds on a file that cannot be written.

use std::time::Duration;

use crate::checks::Check;
use crate::checks::support::{ask, database_finding, database_name};
use crate::context::Context;
use crate::model::{CheckResult, Findings, Mode, SqlValue};
use crate::services::db::{Access, Connection, DbError};

/// See the module.
pub struct Database;

/// One try's patience; the boot's budget decides how many there are.
const WAIT: Duration = Duration::from_millis(100);

impl Check for Database {
    fn title(&self) -> &'static str {
        "Database connection"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let Some(path) = cx.database_path() else {
            return Ok(Findings::not_applicable("the database is in memory"));
        };
        if cx.mode == Mode::Observe {
            return ask(cx, |connection| {
                connection.query("SELECT count(*) FROM sqlite_schema", &[])?;
                Ok(Findings::healthy(
                    "answers; the write probe is left out when observing",
                ))
            });
        }
        cx.forget_connection();
        loop {
            match probe(path) {
                Ok(()) => {
                    let name = database_name(cx);
                    return Ok(Findings::healthy(format!(
                        "{name} takes writes; probe rolled back"
                    )));
                }
                Err(error) if error.is_locked() && cx.wait_for_lock(error.clone()).is_ok() => {}
                Err(error) => return Ok(Findings::problem(database_finding(cx, &error))),
            }
        }
    }
}

/// Writes the file's own version number over itself, so that the probe needs no table and no name.
fn probe(path: &std::path::Path) -> Result<(), DbError> {
    let mut connection = Connection::open(path, Access::ReadWrite, WAIT)?;
    let SqlValue::Integer(version) = connection.scalar("PRAGMA user_version")? else {
        return Err(DbError::other("the database has no user_version"));
    };
    let mut transaction = connection.begin_immediate()?;
    let other = if version == 0 { 1 } else { 0 };
    transaction
        .connection()
        .execute(&format!("PRAGMA user_version = {other}"))?;
    transaction.rollback()?;
    let after = connection.scalar("PRAGMA user_version")?;
    connection.close();
    if after != SqlValue::Integer(version) {
        return Err(DbError::other("the write probe was not rolled back"));
    }
    Ok(())
}
