use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SalvageError;
use super::counters;
use super::image::Image;
use super::merge::{self, Source};
use super::own_key::OwnKey;
use super::settings;
use super::survey::{Survey, TableState};
use super::witness::compare;
use crate::model::{Lost, SqlValue, TableSalvage};
use crate::services::db::foreign_keys::count_broken;
use crate::services::db::{
    Access, Connection, DbError, Integrity, Structure, integrity_check, quoted,
};

/// What was built, and what came of each table.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) tables: Vec<TableSalvage>,
    pub(super) dangling: u64,
    /// Tables whose last number is lost.
    pub(super) counters: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Builds the indexes anew on a copy; none where more than indexes is damaged.
///
/// Safety: it counts only where every table was found whole before, and where SQLite finds nothing
/// wrong with any page afterwards. Pages that a damaged index or a damaged list of free pages wrongly
/// claims would be claimed twice then, which it finds.
pub(super) fn reindex(image: &Image, target: &Path) -> Result<bool, SalvageError> {
    is_sound_after("REINDEX", image, target)
}

/// Takes a copy as it is; none where anything is damaged.
pub(super) fn take(image: &Image, target: &Path) -> Result<bool, SalvageError> {
    is_sound_after("", image, target)
}

fn is_sound_after(statement: &str, image: &Image, target: &Path) -> Result<bool, SalvageError> {
    std::fs::copy(&image.path, target)?;
    let mut connection = Connection::open(target, Access::ReadWrite, Duration::ZERO)?;
    let done = connection
        .execute(statement)
        .and_then(|()| Ok(integrity_check(&mut connection)?.is_sound()));
    let is_done = matches!(done, Ok(true));
    if is_done {
        settings::keep_mode(&mut connection, image)?;
    }
    connection.close();
    if !is_done {
        std::fs::remove_file(target)?;
    }
    Ok(is_done)
}

/// Copies what is sound into a new database with the same structure, and fills what is lost from a
/// backup.
pub(super) fn build(
    image: &Image,
    survey: &Survey,
    backup: Option<&Source>,
    target: &Path,
) -> Result<Built, SalvageError> {
    let mut connection = Connection::open(target, Access::Create, Duration::ZERO)?;
    let built = fill(&mut connection, image, survey, backup);
    connection.close();
    built
}

fn fill(
    connection: &mut Connection,
    image: &Image,
    survey: &Survey,
    backup: Option<&Source>,
) -> Result<Built, SalvageError> {
    settings::prepare(connection, image)?;
    // No transaction around it: once a page could not be read within one, SQLite refuses to write.
    create_tables(connection)?;
    let mut notes = Vec::new();
    let mut tables = Vec::new();
    for table in &survey.tables {
        copy(connection, table)?;
        let saved = count(connection, &table.name)?;
        let lost = lost(connection, survey, table, saved, &mut notes);
        let mut outcome = TableSalvage {
            table: table.name.clone(),
            saved,
            lost,
            merged: 0,
            is_hurt: !table.is_reached() || table.may_lack.is_some(),
        };
        // What SQLite keeps for itself does not go by the numbers of rows.
        let is_sqlites = table.name.starts_with("sqlite_");
        let has_holes = !table.tree.holes.is_empty() && !outcome.lost.is_nothing();
        if let Some(backup) = backup.filter(|_| has_holes && !is_sqlites) {
            merge::table(connection, backup, table, &mut outcome, &mut notes)?;
        }
        if !table.has_rowid && !table.is_reached() {
            let name = &table.name;
            notes.push(format!(
                "{name} is a table without rowids: what lies between its readable ends is lost"
            ));
        }
        tables.push(outcome);
    }
    if let Some(backup) = backup.filter(|_| survey.schema_is_damaged) {
        tables.extend(merge::missing_tables(connection, backup)?);
    }
    let counters = counters::carry(connection, survey, backup, &mut notes)?;
    finish_schema(connection)?;
    settings::carry_statistics(connection, &mut notes)?;
    notes.extend(settings::not_carried(image)?);
    // What is checked is the new file alone.
    connection.execute("DETACH damaged")?;
    merge::detach(connection, backup)?;
    verify(connection, survey)?;
    let (dangling, unchecked) = count_broken(connection)?;
    notes.extend(unchecked.iter().map(|table| {
        format!(
            "what rows of {table} refer to cannot be checked: a reference of it names no unique key"
        )
    }));
    settings::keep_mode(connection, image)?;
    tables.retain(|table| !table.table.starts_with("sqlite_"));
    Ok(Built {
        tables,
        dangling,
        counters,
        notes,
    })
}

/// What a whole index counts, where every row that was saved is one that it knows; else what the pages say.
fn lost(
    connection: &mut Connection,
    survey: &Survey,
    table: &TableState,
    saved: u64,
    notes: &mut Vec<String>,
) -> Lost {
    let name = &table.name;
    if table.tree.rows_in_doubt > 0 {
        let rows = table.tree.rows_in_doubt;
        notes.push(format!(
            "{rows} rows of {name} are from damaged pages: what stands in them may have been changed"
        ));
    }
    if let Some(why) = &table.may_lack {
        notes.push(format!("{name}: {why}"));
    }
    let lost = survey.lost(table, saved);
    let is_disputed = table.is_disputed && table.adopted == 0;
    // The write that went there may have been the index's.
    let is_disputed = is_disputed || table.tree.holes.iter().any(|hole| hole.is_foreign);
    let (Some(witness), false) = (&table.witness, lost == Lost::Exactly(0) || is_disputed) else {
        return lost;
    };
    let agreement = compare(connection, table, witness, "damaged", "main");
    // An index without an entry may be one that a page of zero entries came over.
    let counted = agreement.ok().filter(|it| it.entries > 0);
    match counted.and_then(|it| it.lost()) {
        // A table that has pages it should not have may have them in the places of others.
        Some(rows) if witness.columns.is_some() => Lost::Exactly(rows),
        _ => lost,
    }
}

pub(super) fn attach(connection: &mut Connection, path: &Path, name: &str) -> Result<(), DbError> {
    let path: PathBuf = path.to_owned();
    let text = path
        .to_str()
        .ok_or_else(|| DbError::other("the working folder's name is no UTF-8"))?;
    connection.query(&format!("ATTACH ?1 AS {name}"), &[text.into()])?;
    Ok(())
}

/// Tables only: indexes are quicker afterwards, and triggers must not see the copying.
fn create_tables(connection: &mut Connection) -> Result<(), SalvageError> {
    let sql = "SELECT sql, name FROM damaged.sqlite_schema WHERE type = 'table' AND rootpage > 0 \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
    for row in connection.query(sql, &[])? {
        if let Some(SqlValue::Text(sql)) = row.first() {
            connection.execute(sql)?;
        }
    }
    Ok(())
}

/// Indexes, views, triggers, and the names of virtual tables, whose rows are in tables of their own.
fn finish_schema(connection: &mut Connection) -> Result<(), SalvageError> {
    let sql = "SELECT sql FROM damaged.sqlite_schema WHERE type IN ('index', 'view', 'trigger') \
               AND sql IS NOT NULL ORDER BY type = 'trigger', type = 'view', rowid";
    for row in connection.query(sql, &[])? {
        if let Some(SqlValue::Text(sql)) = row.first() {
            connection.execute(sql)?;
        }
    }
    connection.execute(
        "PRAGMA writable_schema = ON;
         INSERT INTO main.sqlite_schema (type, name, tbl_name, rootpage, sql)
         SELECT type, name, tbl_name, 0, sql FROM damaged.sqlite_schema
         WHERE type = 'table' AND coalesce(rootpage, 0) = 0;
         PRAGMA writable_schema = OFF",
    )?;
    Ok(())
}

/// The name under which a rowid can be had; none where columns have taken all of them.
pub(super) fn rowid_name(table: &TableState) -> Option<&'static str> {
    ["rowid", "_rowid_", "oid"].into_iter().find(|name| {
        let taken = |column: &String| column.eq_ignore_ascii_case(name);
        table.has_rowid && !table.columns.iter().any(taken)
    })
}

/// The columns of a statement that copies whole rows.
pub(super) fn copied_columns(table: &TableState) -> String {
    let mut columns: Vec<String> = table.columns.iter().map(|name| quoted(name)).collect();
    if let Some(rowid) = rowid_name(table).filter(|_| table.shape.alias.is_none()) {
        columns.insert(0, rowid.to_owned());
    }
    columns.join(", ")
}

fn copy(connection: &mut Connection, table: &TableState) -> Result<(), SalvageError> {
    let (name, columns) = (quoted(&table.name), copied_columns(table));
    if table.name == "sqlite_sequence" {
        let exists = connection.query(
            "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'",
            &[],
        )?;
        if exists.is_empty() {
            return Ok(());
        }
        connection.execute("DELETE FROM main.sqlite_sequence")?;
    }
    if !table.has_rowid {
        return copy_from_both_ends(connection, table);
    }
    let insert = format!(
        "INSERT OR IGNORE INTO main.{name} ({columns}) SELECT {columns} FROM damaged.{name} NOT INDEXED"
    );
    match rowid_name(table) {
        Some(rowid) => copy_range(connection, &insert, rowid, i64::MIN, i64::MAX),
        None => connection.execute(&insert),
    }?;
    Ok(())
}

/// Bisects around rows that cannot be read. The image was freed of pages that do not hold, so that it
/// seldom comes to that.
fn copy_range(
    connection: &mut Connection,
    insert: &str,
    rowid: &str,
    low: i64,
    high: i64,
) -> Result<(), DbError> {
    let sql = format!("{insert} WHERE {rowid} BETWEEN {low} AND {high}");
    match connection.execute(&sql) {
        Err(DbError::Corrupt { .. }) if low < high => {
            let middle = ((i128::from(low) + i128::from(high)).div_euclid(2)) as i64;
            copy_range(connection, insert, rowid, low, middle)?;
            copy_range(connection, insert, rowid, middle + 1, high)
        }
        Err(DbError::Corrupt { .. }) => Ok(()),
        other => other,
    }
}

/// A table without rowids cannot be entered in its middle: it is read from its first row up to the
/// damage, and from its last row down to it.
fn copy_from_both_ends(
    connection: &mut Connection,
    table: &TableState,
) -> Result<(), SalvageError> {
    let (name, columns) = (quoted(&table.name), copied_columns(table));
    let own = OwnKey::read(connection, &table.name, "damaged")?;
    for is_backwards in [false, true] {
        let (by_key, order) = (&own.indexed_by, own.order(is_backwards));
        let rows = format!("FROM damaged.{name} {by_key} ORDER BY {order}");
        let mut reads = |limit: i64| {
            let sql = format!("SELECT count(*) FROM (SELECT {columns} {rows} LIMIT {limit})");
            connection.scalar(&sql).is_ok()
        };
        if reads(-1) {
            let sql =
                format!("INSERT OR IGNORE INTO main.{name} ({columns}) SELECT {columns} {rows}");
            connection.execute(&sql)?;
            return Ok(());
        }
        // As many rows as can be read: doubled, then bisected.
        let mut good = 0;
        let mut bad = 1;
        while reads(bad) {
            good = bad;
            bad *= 2;
        }
        while good + 1 < bad {
            let middle = good + (bad - good) / 2;
            if reads(middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        if good == 0 {
            continue;
        }
        connection.execute(&format!(
            "INSERT OR IGNORE INTO main.{name} ({columns}) SELECT {columns} {rows} LIMIT {good}"
        ))?;
    }
    Ok(())
}

pub(super) fn count(connection: &mut Connection, table: &str) -> Result<u64, DbError> {
    let sql = format!("SELECT count(*) FROM main.{}", quoted(table));
    let count = connection.scalar(&sql);
    Ok(integer(&count.unwrap_or(SqlValue::Integer(0))).unsigned_abs())
}

/// Before it is used: SQLite finds nothing wrong, and the structure is the one that was there.
fn verify(connection: &mut Connection, survey: &Survey) -> Result<(), SalvageError> {
    match integrity_check(connection)? {
        Integrity::Damaged(words) => {
            let word = words.into_iter().next().unwrap_or_default();
            return Err(SalvageError::NotSound(word));
        }
        Integrity::Partly { lacks, .. } => return Err(SalvageError::NotSound(lacks)),
        Integrity::Intact | Integrity::Contents(_) | Integrity::Unfinished => {}
    }
    let there = Structure::read(connection, &[])?;
    let names: Vec<&String> = survey.tables.iter().map(|table| &table.name).collect();
    let lacks = |name: &&&String| !name.starts_with("sqlite_") && there.table(name).is_none();
    if let Some(missing) = names
        .iter()
        .find(lacks)
        .filter(|name| **name != "_sqlx_migrations")
    {
        return Err(SalvageError::NotSound(format!(
            "table {missing} is missing"
        )));
    }
    Ok(())
}

pub(super) fn integer(value: &SqlValue) -> i64 {
    match value {
        SqlValue::Integer(number) => *number,
        _ => 0,
    }
}

/// What a table that is only in the backup comes to: what was written since the backup is lost.
pub(super) fn only_in_backup(table: String, merged: u64) -> TableSalvage {
    TableSalvage {
        table,
        saved: 0,
        lost: Lost::NotKnown,
        merged,
        is_hurt: true,
    }
}
