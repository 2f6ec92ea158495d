use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::losses::rowids_left;
use super::rebuild::{attach, copied_columns, count, only_in_backup, rowid_name};
use super::survey::TableState;
use super::{SalvageError, digest_of_set};
use crate::model::{Lost, SqlValue, TableSalvage};
use crate::services::db::side_file;
use crate::services::db::{Access, Connection, DbError, integrity_check, quoted};

/// A copy of the damaged database that an earlier run kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCopy {
    /// The run.
    pub run_id: String,
    /// Its main file.
    pub path: PathBuf,
    /// Whether its contents are, by their digest, what was there before the run.
    pub is_whole: bool,
}

/// Asks for the copies of the damaged database and of no other, the newest first. They are asked for only where rows
/// are missing, and each is read when its turn comes.
pub type KeptCopies<'a> = dyn Fn() -> io::Result<Box<dyn Iterator<Item = KeptCopy>>> + 'a;

/// A verified copy of a [`KeptCopy`].
#[derive(Debug)]
pub(super) struct Source {
    /// The run.
    pub(super) run: String,
    /// Names exactly what rows are taken from: what was copied, and not what is kept under its name by now.
    pub(super) digest: String,
    path: PathBuf,
}

/// How many copies are tried, the newest first: each is read in full.
const TRIED_MAX: usize = 3;

/// The newest copy in which SQLite finds nothing wrong, as a copy of its own. One that is not what the run kept is
/// passed over, which is noted.
pub(super) fn newest(
    kept: &KeptCopies<'_>,
    folder: &Path,
    notes: &mut Vec<String>,
) -> Result<Option<Source>, SalvageError> {
    let copies = kept().map_err(SalvageError::Copies)?;
    for copy in copies.take(TRIED_MAX) {
        let run = copy.run_id;
        if !copy.is_whole {
            notes.push(format!(
                "the copy of run {run} is not what that run kept: nothing was taken from it"
            ));
            continue;
        }
        let path = folder.join("backup.db");
        for suffix in ["", "-wal", "-journal"] {
            let from = side_file(&copy.path, suffix);
            let to = side_file(&path, suffix);
            match std::fs::remove_file(&to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
            if from.exists() {
                std::fs::copy(from, to)?;
            }
        }
        // SQLite may move its log.
        let digest = digest_of_set(&path)?;
        if is_sound(&path) {
            return Ok(Some(Source { run, digest, path }));
        }
    }
    Ok(None)
}

fn is_sound(path: &Path) -> bool {
    let Ok(mut connection) = Connection::open(path, Access::ReadWrite, Duration::ZERO) else {
        return false;
    };
    let checked = integrity_check(&mut connection);
    connection.close();
    checked.is_ok_and(|seen| seen.is_sound())
}

pub(super) fn ensure_attached(connection: &mut Connection, backup: &Source) -> Result<(), DbError> {
    let sql = "SELECT 1 FROM pragma_database_list WHERE name = 'backup'";
    if connection.query(sql, &[])?.is_empty() {
        attach(connection, &backup.path, "backup")?;
    }
    Ok(())
}

pub(super) fn detach(connection: &mut Connection, backup: Option<&Source>) -> Result<(), DbError> {
    let sql = "SELECT 1 FROM pragma_database_list WHERE name = 'backup'";
    if backup.is_some() && !connection.query(sql, &[])?.is_empty() {
        connection.execute("DETACH backup")?;
    }
    Ok(())
}

/// Fills rowids that were lost, and no others: a row that is in the backup and not in a hole was
/// deleted since, and stays deleted. Where an index still knows which rows there were, only those.
pub(super) fn table(
    connection: &mut Connection,
    backup: &Source,
    table: &TableState,
    outcome: &mut TableSalvage,
    notes: &mut Vec<String>,
) -> Result<(), SalvageError> {
    let Some(rowid) = rowid_name(table) else {
        return Ok(());
    };
    ensure_attached(connection, backup)?;
    if let Some(why_not) = unlike(connection, table)? {
        let name = &table.name;
        notes.push(format!("{name} {why_not}: nothing was taken from it"));
        return Ok(());
    }
    let (name, columns) = (quoted(&table.name), copied_columns(table));
    let known = match &table.witness {
        Some(witness) => {
            let index = quoted(&witness.index);
            // With a plus: SQLite would otherwise look the rowids up in the table, where they are lost.
            format!(" AND {rowid} IN (SELECT +{rowid} FROM damaged.{name} INDEXED BY {index})")
        }
        None => String::new(),
    };
    for hole in &table.tree.holes {
        let low = i64::try_from(hole.low + 1).unwrap_or(i64::MIN);
        let high = i64::try_from(hole.high).unwrap_or(i64::MAX);
        connection.execute(&format!(
            "INSERT OR IGNORE INTO main.{name} ({columns}) SELECT {columns} FROM backup.{name} \
             WHERE {rowid} BETWEEN {low} AND {high}{known}"
        ))?;
    }
    outcome.merged = count(connection, &table.name)?.saturating_sub(outcome.saved);
    if outcome.merged > 0 && table.witness.is_none() {
        let (rows, name) = (outcome.merged, &table.name);
        notes.push(format!(
            "nothing says which of the {rows} rows of {name} from the copy were deleted or changed since"
        ));
    }
    outcome.lost = match outcome.lost {
        Lost::Exactly(rows) => Lost::Exactly(rows.saturating_sub(outcome.merged)),
        // Some of these rows may have been deleted since, in places where others were lost.
        Lost::AtMost(rows) => {
            Lost::AtMost(rows.min(rowids_left(table).saturating_sub(outcome.merged)))
        }
        Lost::NotKnown => Lost::NotKnown,
    };
    Ok(())
}

/// Tables whose names were lost, as the backup has them.
pub(super) fn missing_tables(
    connection: &mut Connection,
    backup: &Source,
) -> Result<Vec<TableSalvage>, SalvageError> {
    ensure_attached(connection, backup)?;
    let sql = "SELECT name, sql FROM backup.sqlite_schema WHERE type = 'table' AND rootpage > 0 \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND name NOT IN (SELECT name FROM main.sqlite_schema) ORDER BY name";
    let mut tables = Vec::new();
    for row in connection.query(sql, &[])? {
        let [SqlValue::Text(name), SqlValue::Text(sql)] = row.as_slice() else {
            continue;
        };
        connection.execute(sql)?;
        let quoted = quoted(name);
        connection.execute(&format!(
            "INSERT INTO main.{quoted} SELECT * FROM backup.{quoted}"
        ))?;
        let merged = count(connection, name)?;
        tables.push(only_in_backup(name.clone(), merged));
    }
    Ok(tables)
}

/// Why no row of the copy fits this table; none where they do.
fn unlike(
    connection: &mut Connection,
    table: &TableState,
) -> Result<Option<&'static str>, DbError> {
    let sql = "SELECT name FROM pragma_table_xinfo(?1, 'backup')";
    let rows = connection.query(sql, &[table.name.as_str().into()])?;
    let there = |column: &String| {
        let value = SqlValue::Text(column.clone());
        rows.iter().any(|row| row.first() == Some(&value))
    };
    Ok(match (rows.is_empty(), table.columns.iter().all(there)) {
        (true, _) => Some("is not in the copy"),
        (false, false) => Some("has other columns in the copy"),
        (false, true) => None,
    })
}
