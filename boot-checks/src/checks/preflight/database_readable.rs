//! Can the database be read?
//!
//! `SELECT 1` answers on random bytes and under an exclusive lock, so it proves nothing. This reads
//! the header, compares the page count with the file's length, and reads the schema and one row of
//! each required table: what a boot can read without its cost growing with the database.

use std::io;

use crate::checks::Check;
use crate::checks::support::{WRONG_FILE, ask, counted, database_finding, database_name};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings, SqlValue};
use crate::services::db::{Connection, DbError, Header, MainFile, StrayLog, quoted, stray_log};

/// See the module.
pub struct DatabaseReadable;

/// The newest file format that this SQLite writes and reads.
const FORMAT_VERSION_MAX: u8 = 2;

impl Check for DatabaseReadable {
    fn title(&self) -> &'static str {
        "Database is readable"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let Some(files) = cx.files() else {
            return Ok(Findings::not_applicable("the database is in memory"));
        };
        let name = database_name(cx);
        let header = match &files.main {
            MainFile::Database(header) => header,
            MainFile::NotADatabase { bytes } => {
                return Ok(Findings::problem(not_a_database(&name, *bytes)));
            }
            _ => {
                return Ok(Findings::problem(Finding::new(
                    "database_missing",
                    format!("{name} is not there to be read"),
                )));
            }
        };
        let is_interrupted = files.journal_bytes.is_some_and(|bytes| bytes > 0);
        if let Some(finding) = judge_header(header, &name, is_interrupted) {
            return Ok(Findings::problem(finding));
        }
        if let Some(finding) = judge_log(stray_log(&files.path), &name) {
            return Ok(Findings::problem(finding));
        }
        let structure = match cx.structure() {
            Ok(structure) => structure,
            Err(error) => return Ok(Findings::problem(database_finding(cx, &error))),
        };
        let required: Vec<&str> = cx
            .config
            .tables
            .iter()
            .map(|table| table.name.as_str())
            .filter(|name| structure.table(name).is_some())
            .collect();
        ask(cx, |connection| read(connection, &required, header))
    }
}

fn judge_header(header: &Header, name: &str, is_interrupted: bool) -> Option<Finding> {
    // SQLite reads what only newer programs write, and refuses to write it.
    let version = header.read_version.max(header.write_version);
    if version > FORMAT_VERSION_MAX {
        let message = format!("{name} has file format {version}, which is newer than the gate");
        return Some(
            Finding::new("database_newer", message).action("use a newer version of the gate"),
        );
    }
    // In write-ahead log mode pages may still be in the log, and beside a journal the header belongs
    // to a transaction that SQLite rolls back with the first read; it compares the two itself then.
    let cut_short = header.is_cut_short() && !header.is_wal() && !is_interrupted;
    cut_short.then(|| {
        let pages = header.pages.unwrap_or_default();
        Finding::new(
            "database_corrupt",
            format!("{name} ends before its last page"),
        )
        .evidence("bytes in the file", header.bytes)
        .evidence("bytes by its header", pages * header.page_size)
        .cause("a copy was cut short, or the disk was full")
        .action("keep every file of it and restore a backup beside it")
        .pattern("database_corrupt")
    })
}

/// Before SQLite opens it: that would empty the log.
fn judge_log(log: io::Result<Option<StrayLog>>, name: &str) -> Option<Finding> {
    let finding = match log {
        Ok(None) => return None,
        Ok(Some(stray)) => Finding::new(
            "database_log_stray",
            format!("{name}-wal does not belong to {name}: SQLite would throw it away"),
        )
        .evidence("pages in the log", stray.pages)
        .evidence("not in the database", stray.missing_pages)
        .cause("one of the two was put back or replaced without the other")
        .action("copy all of its files away, then put back the two that belong together"),
        Err(error) => Finding::new(
            "database_unreadable",
            format!("{name}-wal cannot be read: {error}"),
        )
        .action("check the owner and the permissions of the file; do not delete it"),
    };
    Some(finding)
}

fn not_a_database(name: &str, bytes: u64) -> Finding {
    Finding::new(
        "not_a_database",
        format!("{name} is not an SQLite database"),
    )
    .evidence("bytes", bytes)
    .cause("the file does not begin with SQLite's header")
    .action(WRONG_FILE)
    .pattern("database_corrupt")
}

/// One question reads the whole schema and touches every required table.
fn read(
    connection: &mut Connection,
    required: &[&str],
    header: &Header,
) -> Result<Findings, DbError> {
    let touched = required
        .iter()
        .map(|table| format!(", EXISTS (SELECT * FROM {} LIMIT 1)", quoted(table)));
    let sql = format!(
        "SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'table'){}",
        touched.collect::<String>()
    );
    let SqlValue::Integer(tables) = connection.scalar(&sql)? else {
        return Err(DbError::other("the schema cannot be counted"));
    };
    let mode = if header.is_wal() {
        "write-ahead log"
    } else {
        "rollback journal"
    };
    let tables = counted(usize::try_from(tables).unwrap_or_default(), "table");
    Ok(Findings::healthy(format!("{tables}, {mode}")))
}
