//! Virtual tables of SQLite's own: indexes of text and of places, kept in tables beside them. What does not fit
//! after a salvage is made anew from the rows that are left.

use std::path::Path;
use std::time::Duration;

use super::SalvageError;
use super::rebuild::integer;
use crate::model::{Lost, Method, SalvageReport, SqlValue, TableSalvage};
use crate::services::db::integrity::could_not_look;
use crate::services::db::virtual_table::{Kind, VirtualTable};
use crate::services::db::{Access, Connection, DbError, Integrity, integrity_check, quoted};

/// The ends of the names of tables that such an index is in; the rows themselves are in none of them
/// (<https://www.sqlite.org/fts5.html>, <https://www.sqlite.org/fts3.html>).
const OF_THE_INDEX: [&str; 7] = [
    "_data",
    "_idx",
    "_docsize",
    "_segments",
    "_segdir",
    "_stat",
    "_config",
];

/// The same of an index of places, which keeps no rows beside itself (<https://www.sqlite.org/rtree.html>).
const OF_PLACES: [&str; 3] = ["_node", "_rowid", "_parent"];

/// The version of its tables that a full-text index of this SQLite writes into its settings.
const FTS5_VERSION: i64 = 4;

/// Looks at a new database as a boot will, and makes those virtual tables anew that lost some of their own
/// tables' rows or do not fit the rows which were saved.
///
/// Safety: an index that does not fit knows of other rows. So this is a person's decision, and the number
/// of rows that were lost is only believed where the index names the same.
pub(super) fn settle(file: &Path, report: &mut SalvageReport) -> Result<(), SalvageError> {
    let word = complaint(file, report)?;
    let mut connection = Connection::open(file, Access::ReadWrite, Duration::ZERO)?;
    let settled = VirtualTable::all(&mut connection).and_then(|tables| {
        let hurt = |table: &VirtualTable| {
            let mut own = report.tables.iter().filter(|it| is_own(table, &it.table));
            word.is_some() || own.any(|it| !it.lost.is_nothing())
        };
        let tables: Vec<_> = tables.into_iter().filter(hurt).collect();
        for table in &tables {
            settle_one(&mut connection, table, report)?;
        }
        Ok(tables.len())
    });
    connection.close();
    let Some(word) = word else {
        settled?;
        return match complaint(file, report)? {
            Some(word) => Err(SalvageError::NotSound(word)),
            None => Ok(()),
        };
    };
    report.method = Method::Salvage;
    match (settled?, complaint(file, report)?) {
        (0, _) => Err(SalvageError::NotSound(word)),
        (_, Some(word)) => Err(SalvageError::NotSound(word)),
        (_, None) => Ok(()),
    }
}

/// What SQLite says where it knows of every table.
fn complaint(file: &Path, report: &mut SalvageReport) -> Result<Option<String>, DbError> {
    let mut connection = Connection::open(file, Access::ReadWrite, Duration::ZERO)?;
    let seen = integrity_check(&mut connection);
    connection.close();
    match seen? {
        Integrity::Damaged(words) => Ok(Some(words.into_iter().next().unwrap_or_default())),
        Integrity::Partly { lacks, .. } => {
            note(report, format!("not all of it could be looked at: {lacks}"));
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn note(report: &mut SalvageReport, words: String) {
    if !report.notes.contains(&words) {
        report.notes.push(words);
    }
}

/// The ends of the names of the tables that it is made of, without rows of the application's.
fn parts(table: &VirtualTable) -> &'static [&'static str] {
    match table.kind {
        Kind::RTree => &OF_PLACES,
        Kind::Fts3 | Kind::Fts5 => &OF_THE_INDEX,
    }
}

fn is_own(table: &VirtualTable, name: &str) -> bool {
    let end = name.strip_prefix(&table.name);
    end.is_some_and(|end| parts(table).contains(&end) || end == "_content")
}

fn settle_one(
    connection: &mut Connection,
    table: &VirtualTable,
    report: &mut SalvageReport,
) -> Result<(), DbError> {
    let name = &table.name;
    let knows_the_same = knows_the_same(connection, name, report);
    let lost = |end: &str| {
        let part = format!("{name}{end}");
        let mut parts = report.tables.iter().filter(|it| it.table == part);
        parts.any(|it| !it.lost.is_nothing())
    };
    let (settings_are_lost, some_is_lost) =
        (lost("_config"), parts(table).iter().any(|it| lost(it)));
    let is_healthy = !some_is_lost && is_sound(connection, table)?;
    if is_healthy {
        return Ok(());
    }
    if settings_are_lost {
        let words =
            format!("the settings of the full-text index {name} are lost: it has SQLite's own");
        note(report, words);
    }
    let has_version = table.kind != Kind::Fts5 || give_it_a_version(connection, table)?;
    let is_built = has_version && rebuild(connection, table) && is_sound(connection, table)?;
    let is_left = !is_built && !some_is_lost && has_version && is_sound(connection, table)?;
    let how = match is_built || is_left {
        true => Ok(()),
        false => make_anew(connection, table),
    };
    if let Err(error) = how {
        note(
            report,
            format!("the virtual table {name} cannot be used: {error}"),
        );
        return Ok(());
    }
    let is_rebuilt = is_built || rebuild(connection, table);
    let content = format!("{name}_content");
    if table.has_content() && !report.tables.iter().any(|it| it.table == content) {
        report.tables.push(nothing_of(content.clone()));
    }
    report.tables.retain(|it| {
        let end = it.table.strip_prefix(name.as_str());
        !end.is_some_and(|end| parts(table).contains(&end))
    });
    if is_left {
        return Ok(());
    }
    report.method = Method::Salvage;
    if !is_rebuilt {
        let saved = rows(connection, name)?;
        let words = format!(
            "the index {name} keeps no rows to be made from: of what was in it, {saved} entries are left"
        );
        note(report, words);
        report.tables.push(TableSalvage {
            saved,
            ..nothing_of(name.clone())
        });
        return Ok(());
    }
    let words = format!(
        "the full-text index {name} does not fit the rows that are left, which may have been changed: it \
         was built anew from them"
    );
    note(report, words);
    let content = report.tables.iter_mut().find(|it| it.table == content);
    if let Some(content) = content.filter(|it| it.lost.is_nothing() && !knows_the_same) {
        content.lost = Lost::NotKnown;
        content.is_hurt = true;
    }
    Ok(())
}

fn nothing_of(table: String) -> TableSalvage {
    TableSalvage {
        table,
        saved: 0,
        lost: Lost::NotKnown,
        merged: 0,
        is_hurt: true,
    }
}

/// None of an index that can be searched only.
fn rows(connection: &mut Connection, name: &str) -> Result<u64, DbError> {
    let sql = format!("SELECT count(*) FROM main.{}", quoted(name));
    match connection.scalar(&sql) {
        Err(error) if error.is_mistake() => Ok(0),
        rows => Ok(integer(&rows?).unsigned_abs()),
    }
}

/// Whether SQLite finds nothing wrong with it, or could not look for want of what the application registers.
fn is_sound(connection: &mut Connection, table: &VirtualTable) -> Result<bool, DbError> {
    if table.damage(connection)?.is_some() {
        return Ok(false);
    }
    let sql = format!("PRAGMA integrity_check({})", quoted(&table.name));
    match connection.query(&sql, &[]) {
        Ok(rows) => Ok(rows.into_iter().flatten().all(|it| match it {
            SqlValue::Text(word) => word == "ok" || could_not_look(&word),
            _ => false,
        })),
        Err(DbError::Corrupt { .. }) => Ok(false),
        Err(error) if error.is_mistake() => Ok(true),
        Err(error) => Err(error),
    }
}

/// The one setting that it cannot be opened without. False where there is no table for it.
fn give_it_a_version(connection: &mut Connection, table: &VirtualTable) -> Result<bool, DbError> {
    match table.lacks_its_version(connection) {
        Ok(true) => {
            let config = quoted(&format!("{}_config", table.name));
            let sql = format!("INSERT INTO {config} VALUES ('version', {FTS5_VERSION})");
            connection.execute(&sql)?;
            Ok(true)
        }
        Ok(false) => Ok(true),
        Err(error) if error.is_mistake() => Ok(false),
        Err(error) => Err(error),
    }
}

/// From its rows. False where it keeps none, or is not there.
fn rebuild(connection: &mut Connection, table: &VirtualTable) -> bool {
    let name = quoted(&table.name);
    let sql = format!("INSERT INTO {name}({name}) VALUES ('rebuild')");
    table.kind != Kind::RTree && connection.execute(&sql).is_ok()
}

/// As its definition says, with the rows and the settings of before.
fn make_anew(connection: &mut Connection, table: &VirtualTable) -> Result<(), DbError> {
    connection.execute("BEGIN")?;
    let made = made_anew(connection, table);
    match made {
        Ok(()) => connection.execute("COMMIT"),
        Err(error) => connection
            .execute("ROLLBACK; PRAGMA writable_schema = RESET")
            .and(Err(error)),
    }
}

fn made_anew(connection: &mut Connection, table: &VirtualTable) -> Result<(), DbError> {
    let name = &table.name;
    let kept = match table.kind {
        Kind::RTree => [].as_slice(),
        Kind::Fts3 | Kind::Fts5 => &["_content", "_config"],
    };
    let part = |end: &str| quoted(&format!("{name}{end}"));
    let mut there = Vec::new();
    // What can be read of an index of places, which keeps it nowhere else.
    let rows = format!(
        "CREATE TEMP TABLE gate_rows AS SELECT * FROM main.{}",
        quoted(name)
    );
    let has_rows = table.kind == Kind::RTree && connection.execute(&rows).is_ok();
    for end in kept {
        let sql = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
        if connection
            .query(sql, &[format!("{name}{end}").as_str().into()])?
            .is_empty()
        {
            continue;
        }
        let part = part(end);
        connection.execute(&format!(
            "CREATE TEMP TABLE \"gate{end}\" AS SELECT * FROM main.{part}"
        ))?;
        there.push(*end);
    }
    connection.execute("PRAGMA writable_schema = ON")?;
    let sql = "DELETE FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
    connection.query(sql, &[name.as_str().into()])?;
    connection.execute("PRAGMA writable_schema = RESET")?;
    for end in parts(table).iter().chain(&["_content"]) {
        connection.execute(&format!("DROP TABLE IF EXISTS main.{}", part(end)))?;
    }
    connection.execute(&table.sql)?;
    if has_rows {
        connection.execute(&format!(
            "INSERT OR IGNORE INTO main.{} SELECT * FROM temp.gate_rows; DROP TABLE temp.gate_rows",
            quoted(name)
        ))?;
    }
    for end in there {
        // Of a definition that makes other tables now, these would not fit.
        let only = if end == "_config" {
            "WHERE k <> 'version'"
        } else {
            ""
        };
        connection.execute(&format!(
            "INSERT OR REPLACE INTO main.{} SELECT * FROM temp.\"gate{end}\" {only};
             DROP TABLE temp.\"gate{end}\"",
            part(end)
        ))?;
    }
    Ok(())
}

/// Whether all that the index has of the lengths of rows is there, and of the same rows.
fn knows_the_same(connection: &mut Connection, name: &str, report: &SalvageReport) -> bool {
    let sizes = format!("{name}_docsize");
    let is_whole = |table: &TableSalvage| table.table == sizes && table.lost == Lost::Exactly(0);
    let (sizes, content) = (quoted(&sizes), quoted(&format!("{name}_content")));
    let sql = format!(
        "SELECT (SELECT count(*) FROM {sizes} WHERE rowid NOT IN (SELECT rowid FROM {content})) \
         + (SELECT count(*) FROM {content} WHERE rowid NOT IN (SELECT rowid FROM {sizes}))"
    );
    let differ = connection.scalar(&sql);
    report.tables.iter().any(is_whole) && differ.is_ok_and(|it| integer(&it) == 0)
}
