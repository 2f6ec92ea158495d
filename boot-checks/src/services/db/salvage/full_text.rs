//! Full-text indexes: tables of SQLite's own that are made from the rows of another.

use std::path::Path;
use std::time::Duration;

use super::SalvageError;
use super::rebuild::integer;
use crate::model::{Lost, Method, SalvageReport, SqlValue};
use crate::services::db::{Access, Connection, DbError, Integrity, integrity_check, quoted};

/// The ends of the names of tables that such an index is in; the rows themselves are in none of them
/// (<https://www.sqlite.org/fts5.html>, <https://www.sqlite.org/fts3.html>).
const OF_THE_INDEX: [&str; 6] = ["_data", "_idx", "_docsize", "_segments", "_segdir", "_stat"];

/// Looks at a new database as a boot will, and builds those indexes anew that do not fit the rows which
/// were saved.
///
/// Safety: an index that does not fit knows of other rows. So this is a person's decision, and the number
/// of rows that were lost is only believed where the index names the same.
pub(super) fn settle(file: &Path, report: &mut SalvageReport) -> Result<(), SalvageError> {
    let Some(word) = complaint(file)? else {
        return Ok(());
    };
    let mut connection = Connection::open(file, Access::ReadWrite, Duration::ZERO)?;
    let settled = names(&mut connection).and_then(|names| {
        for name in &names {
            settle_one(&mut connection, name, report)?;
        }
        Ok(names.len())
    });
    connection.close();
    report.method = Method::Salvage;
    match (settled?, complaint(file)?) {
        (0, _) => Err(SalvageError::NotSound(word)),
        (_, Some(word)) => Err(SalvageError::NotSound(word)),
        (_, None) => Ok(()),
    }
}

/// What SQLite says where it knows of every table.
fn complaint(file: &Path) -> Result<Option<String>, DbError> {
    let mut connection = Connection::open(file, Access::ReadWrite, Duration::ZERO)?;
    let seen = integrity_check(&mut connection);
    connection.close();
    match seen? {
        Integrity::Damaged(words) => Ok(Some(words.into_iter().next().unwrap_or_default())),
        _ => Ok(None),
    }
}

fn names(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage = 0 \
               AND (sql LIKE '%USING fts5%' OR sql LIKE '%USING fts4%' OR sql LIKE '%USING fts3%') \
               ORDER BY name";
    let rows = connection.query(sql, &[])?;
    let names = rows.into_iter().flatten().filter_map(|value| match value {
        SqlValue::Text(name) => Some(name),
        _ => None,
    });
    Ok(names.collect())
}

fn settle_one(
    connection: &mut Connection,
    name: &str,
    report: &mut SalvageReport,
) -> Result<(), DbError> {
    let knows_the_same = knows_the_same(connection, name, report);
    let table = quoted(name);
    let sql = format!("INSERT INTO {table}({table}) VALUES ('rebuild')");
    // Where it keeps no rows, it has nothing to be made from.
    if connection.execute(&sql).is_err() {
        return Ok(());
    }
    let words = format!(
        "the full-text index {name} does not fit the rows that are left, which may have been changed: it \
         was built anew from them"
    );
    report.notes.push(words);
    let is_of_the_index = |table: &str| {
        let end = table.strip_prefix(name);
        end.is_some_and(|end| OF_THE_INDEX.contains(&end))
    };
    report.tables.retain(|it| !is_of_the_index(&it.table));
    let content = format!("{name}_content");
    let content = report.tables.iter_mut().find(|it| it.table == content);
    if let Some(content) = content.filter(|it| it.lost.is_nothing() && !knows_the_same) {
        content.lost = Lost::NotKnown;
    }
    Ok(())
}

/// Whether all that the index has of the lengths of rows is there, and of the same rows.
fn knows_the_same(connection: &mut Connection, name: &str, report: &SalvageReport) -> bool {
    let sizes = format!("{name}_docsize");
    let is_whole =
        |table: &crate::model::TableSalvage| table.table == sizes && table.lost == Lost::Exactly(0);
    let (sizes, content) = (quoted(&sizes), quoted(&format!("{name}_content")));
    let sql = format!(
        "SELECT (SELECT count(*) FROM {sizes} WHERE rowid NOT IN (SELECT rowid FROM {content})) \
         + (SELECT count(*) FROM {content} WHERE rowid NOT IN (SELECT rowid FROM {sizes}))"
    );
    let differ = connection.scalar(&sql);
    report.tables.iter().any(is_whole) && differ.is_ok_and(|it| integer(&it) == 0)
}
