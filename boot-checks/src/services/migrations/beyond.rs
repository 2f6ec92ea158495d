//! What a database has and no migration of today makes.
//!
//! Of the text that was applied only a checksum is recorded. So where a migration was edited, and something is there
//! that no migration makes, nobody can say whether that text made it or whether it is the application's own: neither
//! its place in the schema (a database may be older than its record, and VACUUM orders it anew) nor its name tells.
//! It is taken for what the edit took out, because the opposite mistake is not noticed: a new database would lack
//! it. Where no migration was edited, nobody asks. What is known not to be a migration's is left out: SQLite's own
//! tables and the records of tools, those that replicate it included.

use super::status::{FOREIGN_RECORDS, OWN_RECORD};
use crate::model::SqlValue;
use crate::services::db::{Connection, DbError, Structure, Table};

/// Such as `view v`, in the order of their names; no indexes, which are parts of tables.
pub(super) fn beyond(
    connection: &mut Connection,
    made: [&Structure; 2],
) -> Result<Vec<String>, DbError> {
    let there = statements(connection)?;
    let is_made = |name: &str, kind: &str| {
        made.iter().any(|it| match kind {
            TRIGGER => it.trigger(name).is_some(),
            _ => it.table(name).is_some() || it.view(name).is_some(),
        })
    };
    let tables = there
        .tables
        .keys()
        .filter(|name| !is_a_record(name) && !there.is_behind_another(name));
    let all = (tables.map(|name| ("table", name)))
        .chain(there.views.keys().map(|name| ("view", name)))
        .chain(there.triggers.keys().map(|name| (TRIGGER, name)));
    let beyond = all.filter(|(kind, name)| !is_made(name, kind));
    Ok(beyond
        .map(|(kind, name)| format!("{kind} {name}"))
        .collect())
}

const TRIGGER: &str = "trigger";

/// What programs that replicate a database keep in it: Litestream.
const REPLICAS: [&str; 1] = ["_litestream_"];

fn is_a_record(table: &str) -> bool {
    let mut records = FOREIGN_RECORDS.iter().map(|(record, _)| *record);
    let is_a_replicas = REPLICAS.iter().any(|it| table.starts_with(it));
    table == OWN_RECORD || is_a_replicas || records.any(|it| it.eq_ignore_ascii_case(table))
}

/// The statements alone: the code that keeps the rows of somebody's virtual table may not be here.
fn statements(connection: &mut Connection) -> Result<Structure, DbError> {
    let sql = "SELECT type, name, sql FROM sqlite_schema \
               WHERE type IN ('table', 'view', 'trigger') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut there = Structure::default();
    for row in connection.query(sql, &[])? {
        let Ok(
            [
                SqlValue::Text(kind),
                SqlValue::Text(name),
                SqlValue::Text(sql),
            ],
        ) = <[SqlValue; 3]>::try_from(row)
        else {
            continue;
        };
        match kind.as_str() {
            "table" => {
                let table = Table {
                    sql,
                    ..Table::default()
                };
                there.tables.insert(name, table);
            }
            "view" => drop(there.views.insert(name, sql)),
            _ => drop(there.triggers.insert(name, sql)),
        }
    }
    Ok(there)
}
