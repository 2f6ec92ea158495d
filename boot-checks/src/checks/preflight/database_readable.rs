//! Can the database be read?
//!
//! `SELECT 1` answers on random bytes and under an exclusive lock, so it proves nothing. This reads
//! the header, compares the page count with the file's length, and reads the schema and one row of
//! each required table: what a boot can read without its cost growing with the database.

use crate::checks::Check;
use crate::checks::support::{WRONG_FILE, ask, counted, database_name};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings, SqlValue};
use crate::services::db::{Connection, DbError, Header, MainFile, quoted};

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
        if let Some(finding) = judge_header(header, &name) {
            return Ok(Findings::problem(finding));
        }
        ask(cx, |connection| read(cx, connection, header))
    }
}

fn judge_header(header: &Header, name: &str) -> Option<Finding> {
    if header.read_version > FORMAT_VERSION_MAX {
        let message = format!(
            "{name} has file format {}, which is newer than the gate",
            header.read_version
        );
        return Some(
            Finding::new("database_newer", message).action("use a newer version of the gate"),
        );
    }
    // In write-ahead log mode pages may still be in the log, so only the other mode can be judged.
    let cut_short = header.is_cut_short() && !header.is_wal();
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

fn read(cx: &Context, connection: &mut Connection, header: &Header) -> Result<Findings, DbError> {
    let rows = connection.query("SELECT name FROM sqlite_schema WHERE type = 'table'", &[])?;
    let has = |table: &str| {
        rows.iter().any(|row| {
            matches!(row.as_slice(), [SqlValue::Text(name)] if name.eq_ignore_ascii_case(table))
        })
    };
    for table in cx.config.tables.iter().filter(|table| has(&table.name)) {
        connection.query(
            &format!("SELECT * FROM {} LIMIT 1", quoted(&table.name)),
            &[],
        )?;
    }
    let mode = if header.is_wal() {
        "write-ahead log"
    } else {
        "rollback journal"
    };
    let tables = rows.len();
    Ok(Findings::healthy(format!(
        "{}, {mode}",
        counted(tables, "table")
    )))
}
