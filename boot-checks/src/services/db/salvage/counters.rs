//! The last numbers that AUTOINCREMENT gave, which it must not give again.
//!
//! Safety: a counter that could not be read is said to be lost, though no row is: it is all that knows of the
//! rows that were deleted, and what was told their numbers elsewhere would mean other rows. One of a copy is
//! taken where it is higher than what the rows say; what was deleted since is in neither.

use super::SalvageError;
use super::merge::{self, Source};
use super::survey::Survey;
use crate::model::SqlValue;
use crate::services::db::{Connection, DbError, Structure};

const COUNTERS: &str = "sqlite_sequence";

/// Gives each table the counter that it had, after all rows are there. The tables whose counter is lost.
pub(super) fn carry(
    connection: &mut Connection,
    survey: &Survey,
    backup: Option<&Source>,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, SalvageError> {
    let tables = counting_tables(connection)?;
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let kept = survey.tables.iter().find(|table| table.name == COUNTERS);
    if kept.is_some_and(|it| it.may_lack.is_some() || it.is_uncounted) {
        let words = "the counters of tables may be older than their rows: numbers of deleted rows may be given \
                     again";
        notes.push(words.to_owned());
    }
    let is_reached = kept.is_some_and(|table| table.is_reached());
    let mut lost = Vec::new();
    for table in tables {
        let here = counter(connection, "main", &table)?;
        if let Some(number) = counter(connection, "damaged", &table)? {
            if here.is_none() {
                set(connection, &table, number)?;
            }
            continue;
        }
        if is_reached {
            continue;
        }
        notes.push(from_copy(connection, &table, here, backup)?);
        lost.push(table);
    }
    Ok(lost)
}

/// What is to be said of a counter that is lost.
fn from_copy(
    connection: &mut Connection,
    table: &str,
    here: Option<i64>,
    backup: Option<&Source>,
) -> Result<String, SalvageError> {
    if let Some(backup) = backup {
        merge::ensure_attached(connection, backup)?;
        let there = counter(connection, "backup", table)?;
        if let Some(number) = there.filter(|number| *number > here.unwrap_or_default()) {
            set(connection, table, number)?;
            return Ok(format!(
                "the counter of table {table} is lost, and is the one of the copy of run {}: numbers of rows \
                 deleted since may be given again",
                backup.run
            ));
        }
    }
    Ok(format!(
        "the counter of table {table} is lost: numbers of deleted rows may be given again"
    ))
}

fn counting_tables(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    let sql =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name";
    let names = connection.query(sql, &[])?;
    let structure = Structure::read(connection, &[])?;
    let counts = |name: &String| {
        let table = structure.table(name);
        table.is_some_and(|table| table.options.autoincrement)
    };
    let names = names.into_iter().flatten().filter_map(|name| match name {
        SqlValue::Text(name) => Some(name),
        _ => None,
    });
    Ok(names.filter(counts).collect())
}

/// None where there is none, or none that can be read.
fn counter(connection: &mut Connection, schema: &str, table: &str) -> Result<Option<i64>, DbError> {
    let sql = format!("SELECT max(seq) FROM {schema}.{COUNTERS} WHERE name = ?1");
    match connection.query(&sql, &[table.into()]) {
        Ok(rows) => Ok(rows.into_iter().flatten().find_map(|value| match value {
            SqlValue::Integer(number) => Some(number),
            _ => None,
        })),
        Err(DbError::Corrupt { .. }) => Ok(None),
        Err(error) if error.is_mistake() => Ok(None),
        Err(error) => Err(error),
    }
}

fn set(connection: &mut Connection, table: &str, number: i64) -> Result<(), DbError> {
    let values = [table.into(), number.into()];
    connection.query(
        &format!("DELETE FROM main.{COUNTERS} WHERE name = ?1"),
        &values[..1],
    )?;
    connection.query(
        &format!("INSERT INTO main.{COUNTERS} (name, seq) VALUES (?1, ?2)"),
        &values,
    )?;
    Ok(())
}
