use std::collections::BTreeMap;
use std::path::Path;

use super::{Connection, DbError, quoted};
use crate::model::SqlValue;

/// The first table of which this database holds other rows than another one does; without another one, the
/// first that holds any. Rows are the same where they have the same key and, byte for byte, the same values;
/// a column that only this one has must be at its default in every row, of the same type and byte for byte too.
/// What a generated column shows is worked out from the others, and is not compared.
///
/// One thing SQLite's own language does not tell apart: `-0.0` and `0.0` are the same value here.
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
    /// Columns that are worked out from others; they can hide the row's number as any other.
    generated: Vec<String>,
    is_without_rowid: bool,
    is_strict: bool,
}

struct Column {
    declared: String,
    default: Option<String>,
    is_key: bool,
}

impl Column {
    /// As it would stand in a table's definition, without its collation: so that a default gets the type
    /// that it has in a row. A name without quotes is a text where it is a default, and parentheses would
    /// make it another column.
    fn definition(&self, name: &str, is_strict: bool) -> String {
        let declared = match (self.declared.as_str(), is_strict) {
            // Quotes are no part of a name of the six types that there are then.
            (declared, true) => declared.to_owned(),
            ("", false) => String::new(),
            (declared, false) => quoted(declared),
        };
        let is_word = |it: &str| it.chars().all(|c| c.is_alphanumeric() || c == '_');
        let default = match self.default.as_deref().unwrap_or("NULL") {
            word if is_word(word) => word.to_owned(),
            expression => format!("({expression})"),
        };
        format!("{} {declared} DEFAULT {default}", quoted(name))
    }
}

impl Shape {
    fn key(&self) -> Vec<&String> {
        let keys = self.columns.iter().filter(|(_, column)| column.is_key);
        keys.map(|(name, _)| name).collect()
    }
}

/// A virtual table holds no rows of its own: those that it shows are in other tables.
fn tables(connection: &mut Connection, of: &str) -> Result<BTreeMap<String, Shape>, DbError> {
    const NAMES: &str = "SELECT name, wr, strict FROM pragma_table_list
        WHERE schema = ?1 AND type IN ('table', 'shadow')
        AND name NOT IN ('sqlite_schema', 'sqlite_temp_schema')
        AND name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'";
    // It has generated columns too, with a 2 or a 3 in `hidden`.
    const COLUMNS: &str =
        "SELECT name, type, dflt_value, pk, hidden FROM pragma_table_xinfo(?1, ?2)";
    let mut tables = BTreeMap::new();
    for row in connection.query(NAMES, &[of.into()])? {
        let [
            SqlValue::Text(name),
            SqlValue::Integer(is_without_rowid),
            SqlValue::Integer(is_strict),
        ] = row.as_slice()
        else {
            return Err(DbError::other("a table without a name"));
        };
        let mut shape = Shape {
            columns: BTreeMap::new(),
            generated: Vec::new(),
            is_without_rowid: *is_without_rowid != 0,
            is_strict: *is_strict != 0,
        };
        for row in connection.query(COLUMNS, &[name.as_str().into(), of.into()])? {
            let [
                SqlValue::Text(column),
                SqlValue::Text(declared),
                default,
                SqlValue::Integer(key),
                SqlValue::Integer(hidden),
            ] = row.as_slice()
            else {
                return Err(DbError::other("a column without a name"));
            };
            if *hidden != 0 {
                shape.generated.push(column.clone());
                continue;
            }
            let default = match default {
                SqlValue::Text(default) => Some(default.clone()),
                _ => None,
            };
            let described = Column {
                declared: declared.clone(),
                default,
                is_key: *key > 0,
            };
            shape.columns.insert(column.clone(), described);
        }
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
    if !make_defaults(connection, ours, theirs)? {
        return Ok(false);
    }
    let pairs: Vec<String> = key.iter().map(|it| format!("o.{it} IS t.{it}")).collect();
    let mut differs = vec![format!("t.{} IS NULL", key[0])];
    for column in ours.columns.keys() {
        let (name, is_new) = (quoted(column), !theirs.columns.contains_key(column));
        let before = match is_new {
            true => format!("(SELECT {name} FROM temp.{DEFAULTS})"),
            false => format!("t.{name}"),
        };
        // Whatever the column's collation takes for equal.
        differs.push(format!(
            "o.{name} COLLATE BINARY IS NOT {before} OR typeof(o.{name}) <> typeof({before})"
        ));
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

/// Holds one row, of what is in each column that only one of two tables has.
const DEFAULTS: &str = "boot_checks_defaults";

/// Makes the row of defaults; false where one of them cannot be told.
fn make_defaults(
    connection: &mut Connection,
    ours: &Shape,
    theirs: &Shape,
) -> Result<bool, DbError> {
    let new = ours.columns.iter();
    let new: Vec<String> = new
        .filter(|(name, _)| !theirs.columns.contains_key(*name))
        .map(|(name, column)| column.definition(name, ours.is_strict))
        .collect();
    connection.execute(&format!("DROP TABLE IF EXISTS temp.{DEFAULTS}"))?;
    if new.is_empty() {
        return Ok(true);
    }
    let strict = if ours.is_strict { "STRICT" } else { "" };
    let sql = format!(
        "CREATE TEMP TABLE {DEFAULTS} ({}) {strict};
         INSERT INTO temp.{DEFAULTS} DEFAULT VALUES",
        new.join(", ")
    );
    Ok(connection.execute(&sql).is_ok())
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
        let of = |shape: &'_ Shape| -> Vec<String> {
            let generated = shape.generated.iter();
            shape.columns.keys().chain(generated).cloned().collect()
        };
        let columns = [of(ours), of(theirs)].concat();
        columns
            .iter()
            .any(|column| column.eq_ignore_ascii_case(name))
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
        CREATE TABLE numbered (x, rowid AS (x));
        INSERT INTO numbered (x) VALUES ('a'), ('a'), ('b');
        CREATE TABLE typed (id INTEGER PRIMARY KEY) STRICT;
        INSERT INTO typed VALUES (1);
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
            "ALTER TABLE orders ADD COLUMN state TEXT COLLATE NOCASE DEFAULT unpaid",
            "ALTER TABLE orders ADD COLUMN price REAL DEFAULT 0",
            "ALTER TABLE orders ADD COLUMN price DECIMAL(10, 2) DEFAULT -2",
            "ALTER TABLE orders ADD COLUMN loud AS (upper(note))",
            "ALTER TABLE typed ADD COLUMN extra ANY DEFAULT '0'",
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
            (
                "ALTER TABLE orders ADD COLUMN s COLLATE NOCASE DEFAULT 'new'; UPDATE orders SET s = 'NEW'",
                "orders",
            ),
            (
                "ALTER TABLE orders ADD COLUMN s COLLATE RTRIM DEFAULT 'new'; UPDATE orders SET s = 'new '",
                "orders",
            ),
            (
                "ALTER TABLE orders ADD COLUMN n DEFAULT 0; UPDATE orders SET n = 0.0",
                "orders",
            ),
            (
                "ALTER TABLE orders ADD COLUMN s DEFAULT note; UPDATE orders SET s = note",
                "orders",
            ),
            (
                "ALTER TABLE typed ADD COLUMN n ANY DEFAULT '0'; UPDATE typed SET n = 0",
                "typed",
            ),
            (
                "DELETE FROM numbered WHERE _rowid_ = 1; INSERT INTO numbered (x) VALUES ('b')",
                "numbered",
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
