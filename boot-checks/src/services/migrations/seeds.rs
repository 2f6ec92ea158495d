//! Rows that the migrations write and that a database does not have.

use std::fmt;

use super::MigrationSet;
use crate::model::SqlValue;
use crate::services::db::{Connection, DbError, Structure, Table, quoted};

/// As many rows of a table are looked for; more would not be asked for by hand.
const ROWS_MAX: usize = 10_000;

/// How many rows of a table are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LackingRows {
    /// The table.
    pub table: String,
    /// How many of them.
    pub count: usize,
}

impl fmt::Display for LackingRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} row{plural} of {}", self.count, self.table)
    }
}

/// Looks for each row that the migrations leave in an empty database, by its primary key. What they leave in tables
/// without one is not looked for, and what migrations do to rows that are there already cannot be seen.
pub(super) fn lacking_rows(
    connection: &mut Connection,
    set: &MigrationSet,
    there: &Structure,
) -> Result<Vec<LackingRows>, DbError> {
    let mut shadow = set.shadow(&set.versions())?;
    let mut lacking = Vec::new();
    for (name, table) in &set.expected().tables {
        if table.is_virtual() || set.expected().is_behind_another(name) {
            continue;
        }
        let keys = keys_of(table);
        // Without one, rows that the application changed, or that were made at another time, are not told from those
        // that were never there.
        if keys.is_empty() {
            continue;
        }
        let sql = format!(
            "SELECT {} FROM {} LIMIT {ROWS_MAX}",
            keys.join(", "),
            quoted(name)
        );
        let rows = shadow.query(&sql, &[])?;
        let has_keys = there.table(name).is_some_and(|there| {
            let mut columns = columns_of(table);
            columns.all(|column| there.column(column).is_some())
        });
        let mut count = 0;
        for row in rows {
            if !has_keys || !is_there(connection, name, &keys, &row)? {
                count += 1;
            }
        }
        if count > 0 {
            let table = name.clone();
            lacking.push(LackingRows { table, count });
        }
    }
    Ok(lacking)
}

/// Of its primary key.
fn columns_of(table: &Table) -> impl Iterator<Item = &str> {
    let key = table.columns.iter().filter(|column| column.primary_key > 0);
    key.map(|column| column.name.as_str())
}

fn keys_of(table: &Table) -> Vec<String> {
    columns_of(table).map(quoted).collect()
}

fn is_there(
    connection: &mut Connection,
    table: &str,
    keys: &[String],
    row: &[SqlValue],
) -> Result<bool, DbError> {
    let places = keys.iter().zip(1..);
    let is_it: Vec<String> = places.map(|(key, at)| format!("{key} IS ?{at}")).collect();
    let sql = format!(
        "SELECT 1 FROM {} WHERE {} LIMIT 1",
        quoted(table),
        is_it.join(" AND ")
    );
    Ok(!connection.query(&sql, row)?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_migrations_that_are_not_there_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE u (a, b); CREATE TABLE w (a);
                   CREATE VIRTUAL TABLE f USING fts5(a);
                   INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO u VALUES (1, NULL), (x'00', 'x');";
        std::fs::write(folder.path().join("1_a.sql"), sql).unwrap();
        let set = MigrationSet::from_folder(folder.path()).unwrap();
        for (there, expected) in [
            ("", "2 rows of t"),
            (sql, ""),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (2)",
                "1 row of t",
            ),
            (&sql.replace("'a'", "'z'"), ""),
            (&sql.replace("NULL", "7"), ""),
        ] {
            let mut connection = Connection::in_memory().unwrap();
            connection.execute(there).unwrap();
            let structure = Structure::read(&mut connection, &[]).unwrap();
            let lacking = lacking_rows(&mut connection, &set, &structure).unwrap();
            let words: Vec<String> = lacking.iter().map(ToString::to_string).collect();
            assert_eq!(words.join(", "), expected, "{there}");
        }
    }
}
