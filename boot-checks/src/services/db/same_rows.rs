use std::collections::BTreeMap;
use std::path::Path;

use super::{Connection, DbError, quoted};
use crate::model::SqlValue;

/// The first table of which this database holds other rows than another one does; without another one, the
/// first that holds any. Rows are the same where they have the same key and, byte for byte, the same values;
/// a column that only this one has must be at its default in every row.
///
/// What is no row counts as one where a tool may keep its record in it: `user_version`, `application_id`
/// and the last numbers of AUTOINCREMENT. Statistics do not count.
///
/// # Errors
///
/// SQLite's reason why they cannot be compared.
pub fn first_table_that_differs(
    connection: &mut Connection,
    other: Option<&Path>,
) -> Result<Option<String>, DbError> {
    let other = match other {
        None => ":memory:",
        Some(path) => path
            .to_str()
            .ok_or_else(|| DbError::other("its path is no UTF-8"))?,
    };
    connection.query("ATTACH ?1 AS other", &[other.into()])?;
    for pragma in ["user_version", "application_id"] {
        let [ours, theirs] = ["main", "other"].map(|it| format!("PRAGMA {it}.{pragma}"));
        if connection.scalar(&ours)? != connection.scalar(&theirs)? {
            return Ok(Some(pragma.to_owned()));
        }
    }
    let (ours, theirs) = (tables(connection, "main")?, tables(connection, "other")?);
    for name in ours.keys().chain(theirs.keys()) {
        let is_same = match (ours.get(name), theirs.get(name)) {
            (Some(ours), Some(theirs)) => is_same(connection, name, ours, theirs)?,
            (Some(_), None) => is_empty(connection, "main", name)?,
            _ => is_empty(connection, "other", name)?,
        };
        if !is_same {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// What a table's rows are told apart by, and what they hold.
struct Shape {
    columns: BTreeMap<String, Column>,
    is_without_rowid: bool,
}

struct Column {
    default: Option<String>,
    is_key: bool,
}

impl Shape {
    fn key(&self) -> Vec<&String> {
        let keys = self.columns.iter().filter(|(_, column)| column.is_key);
        keys.map(|(name, _)| name).collect()
    }
}

/// A virtual table holds no rows of its own: those that it shows are in other tables.
fn tables(connection: &mut Connection, of: &str) -> Result<BTreeMap<String, Shape>, DbError> {
    const NAMES: &str = "SELECT name, wr FROM pragma_table_list
        WHERE schema = ?1 AND type IN ('table', 'shadow')
        AND name NOT IN ('sqlite_schema', 'sqlite_temp_schema')
        AND name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'";
    const COLUMNS: &str = "SELECT name, dflt_value, pk FROM pragma_table_info(?1, ?2)";
    let mut tables = BTreeMap::new();
    for row in connection.query(NAMES, &[of.into()])? {
        let [SqlValue::Text(name), SqlValue::Integer(is_without_rowid)] = row.as_slice() else {
            return Err(DbError::other("a table without a name"));
        };
        let mut columns = BTreeMap::new();
        for row in connection.query(COLUMNS, &[name.as_str().into(), of.into()])? {
            let [SqlValue::Text(column), default, SqlValue::Integer(key)] = row.as_slice() else {
                return Err(DbError::other("a column without a name"));
            };
            let default = match default {
                SqlValue::Text(default) => Some(default.clone()),
                _ => None,
            };
            let is_key = *key > 0;
            columns.insert(column.clone(), Column { default, is_key });
        }
        let is_without_rowid = *is_without_rowid != 0;
        let shape = Shape {
            columns,
            is_without_rowid,
        };
        tables.insert(name.clone(), shape);
    }
    Ok(tables)
}

fn is_empty(connection: &mut Connection, of: &str, name: &str) -> Result<bool, DbError> {
    let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {of}.{})", quoted(name));
    Ok(connection.scalar(&sql)? == SqlValue::Integer(1))
}

/// Both have as many rows, and each of ours has its equal. Where the tables tell their rows apart by
/// different things, they are taken for different.
fn is_same(
    connection: &mut Connection,
    name: &str,
    ours: &Shape,
    theirs: &Shape,
) -> Result<bool, DbError> {
    let has_all = theirs
        .columns
        .keys()
        .all(|column| ours.columns.contains_key(column));
    let Some(key) = common_key(ours, theirs).filter(|_| has_all) else {
        return Ok(false);
    };
    let pairs: Vec<String> = key.iter().map(|it| format!("o.{it} IS t.{it}")).collect();
    let mut differs = vec![format!("t.{} IS NULL", key[0])];
    for (column, shape) in &ours.columns {
        let (name, has_it) = (quoted(column), theirs.columns.contains_key(column));
        differs.push(match shape.default.as_deref() {
            // Whatever the column's collation takes for equal.
            _ if has_it => format!(
                "o.{name} COLLATE BINARY IS NOT t.{name} OR typeof(o.{name}) <> typeof(t.{name})"
            ),
            // What stands in double quotes could be read as another column here.
            Some(default) if !default.contains('"') => format!("o.{name} IS NOT ({default})"),
            _ => format!("o.{name} IS NOT NULL"),
        });
    }
    let table = quoted(name);
    let sql = format!(
        "SELECT (SELECT count(*) FROM main.{table}) = (SELECT count(*) FROM other.{table})
         AND NOT EXISTS (SELECT 1 FROM main.{table} AS o LEFT JOIN other.{table} AS t ON {}
                         WHERE {})",
        pairs.join(" AND "),
        differs.join(" OR ")
    );
    Ok(connection.scalar(&sql)? == SqlValue::Integer(1))
}

/// The row's number where no column hides it, or the primary key where there is none.
fn common_key(ours: &Shape, theirs: &Shape) -> Option<Vec<String>> {
    if ours.is_without_rowid != theirs.is_without_rowid {
        return None;
    }
    if ours.is_without_rowid {
        let key = ours.key();
        let is_common = !key.is_empty() && key == theirs.key();
        return is_common.then(|| key.into_iter().map(|it| quoted(it)).collect());
    }
    let is_hidden = |name: &&str| {
        let mut columns = ours.columns.keys().chain(theirs.columns.keys());
        columns.any(|column| column.eq_ignore_ascii_case(name))
    };
    let mut names = ["rowid", "_rowid_", "oid"].into_iter();
    names
        .find(|name| !is_hidden(name))
        .map(|name| vec![name.to_owned()])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::services::db::Access;

    const BEFORE: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT COLLATE NOCASE);
        INSERT INTO orders VALUES (1, 'a'), (2, NULL);
        CREATE TABLE pairs (x, y, PRIMARY KEY (x, y)) WITHOUT ROWID;
        INSERT INTO pairs VALUES (1, 2);
        CREATE TABLE loose (x);
        INSERT INTO loose VALUES (NULL);
        CREATE TABLE empty (x)";

    /// What differs once `sql` has run on a copy.
    fn differs_after(sql: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (folder.path().join("before"), folder.path().join("after"));
        let open = |path| Connection::open(path, Access::Create, Duration::ZERO).unwrap();
        let mut connection = open(&before);
        connection.execute(BEFORE).unwrap();
        connection.close();
        std::fs::copy(&before, &after).unwrap();
        let mut connection = open(&after);
        connection.execute(sql).unwrap();
        let differs = first_table_that_differs(&mut connection, Some(&before)).unwrap();
        connection.close();
        differs
    }

    #[test]
    fn structure_alone_is_no_difference() {
        for sql in [
            "SELECT 1",
            "ALTER TABLE orders ADD COLUMN paid BOOLEAN",
            "ALTER TABLE orders ADD COLUMN paid BOOLEAN NOT NULL DEFAULT '0'",
            "ALTER TABLE orders ADD COLUMN state TEXT DEFAULT 'it''s new'",
            "CREATE TABLE _tmp_orders (id INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE empty",
            "CREATE INDEX notes ON orders (note); CREATE VIEW v AS SELECT 1; ANALYZE",
        ] {
            assert_eq!(differs_after(sql), None, "{sql}");
        }
    }

    #[test]
    fn whatever_came_went_or_changed_is_one() {
        for (sql, table) in [
            ("INSERT INTO orders VALUES (3, 'c')", "orders"),
            ("DELETE FROM orders WHERE id = 2", "orders"),
            ("UPDATE orders SET note = 'A' WHERE id = 1", "orders"),
            ("UPDATE orders SET note = x'61' WHERE id = 1", "orders"),
            ("UPDATE orders SET id = 3 WHERE id = 2", "orders"),
            (
                "DELETE FROM orders WHERE id = 2; INSERT INTO orders VALUES (3, NULL)",
                "orders",
            ),
            ("ALTER TABLE orders DROP COLUMN note", "orders"),
            (
                "ALTER TABLE orders ADD COLUMN n DEFAULT 1; UPDATE orders SET n = 2 WHERE id = 1",
                "orders",
            ),
            (
                "ALTER TABLE orders ADD COLUMN n; UPDATE orders SET n = 2 WHERE id = 1",
                "orders",
            ),
            ("UPDATE pairs SET y = 3", "pairs"),
            ("UPDATE pairs SET y = 2.0", "pairs"),
            ("UPDATE loose SET rowid = 5", "loose"),
            ("INSERT INTO empty VALUES (NULL)", "empty"),
            ("DROP TABLE pairs", "pairs"),
            ("CREATE TABLE made AS SELECT 1 AS x", "made"),
            ("PRAGMA user_version = 7", "user_version"),
        ] {
            assert_eq!(differs_after(sql).as_deref(), Some(table), "{sql}");
        }
    }

    #[test]
    fn where_there_was_no_database_every_row_is_one() {
        for (sql, expected) in [("", None), ("INSERT INTO t VALUES (1)", Some("t"))] {
            let mut connection = Connection::in_memory().unwrap();
            let sql = format!("CREATE TABLE t (x); {sql}");
            connection.execute(&sql).unwrap();
            let differs = first_table_that_differs(&mut connection, None).unwrap();
            assert_eq!(differs.as_deref(), expected);
        }
    }
}
