//! Does the database take a write? One is made and rolled back: a lock alone proves nothing, since
//! `BEGIN IMMEDIATE` succeeds on a file that cannot be written.

use crate::checks::Check;
use crate::checks::support::{ask, database_finding, database_name};
use crate::context::Context;
use crate::host;
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
        // That the probe would not even be let is seen without it, and it would be let in a copy.
        if let Some(path) = cx.database_path().filter(|path| path.exists())
            && host::can_write_file(path).is_err()
        {
            let error = DbError::ReadOnly { code: 8 };
            return Ok(Findings::problem(database_finding(cx, &error)));
        }
        // It would write.
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

/// Any number but the one that is there; this one spells `BOOT`.
const PROBE: i64 = 0x424f_4f54;

/// Writes the file's own version number, so that the probe needs no table and no name. Reading it
/// before, within and after shows that the write took place and that nothing of it is left.
fn probe(connection: &mut Connection) -> Result<(), DbError> {
    let seen = connection.rehearse(
        "PRAGMA user_version",
        &format!("PRAGMA user_version = {PROBE}"),
    )?;
    match seen {
        [before, within, after] if within != SqlValue::Integer(PROBE) || before != after => {
            Err(DbError::other(format!(
                "the write probe saw {before:?}, {within:?}, {after:?}"
            )))
        }
        _ => Ok(()),
    }
}
