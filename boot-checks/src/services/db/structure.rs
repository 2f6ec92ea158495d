use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Connection, DbError};
use crate::model::SqlValue;

/// The structure of a database: what its tables are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// By name. SQLite's own tables (`sqlite_…`) and migration records are left out.
    pub tables: BTreeMap<String, Table>,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The statement that made it.
    pub sql: String,
    /// In the order of the table.
    pub columns: Vec<Column>,
    /// Indexes of this table, by name; those that belong to a constraint are left out.
    pub indexes: BTreeMap<String, Index>,
    /// Foreign keys as `column -> table(column)`, sorted.
    pub foreign_keys: Vec<String>,
    /// Sets of columns that are unique by a constraint, sorted.
    pub unique: Vec<String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// As declared.
    pub declared_type: String,
    /// Whether NULL is forbidden.
    pub not_null: bool,
    /// The default's expression.
    pub default: Option<String>,
    /// Position in the primary key from 1; 0 for none.
    pub primary_key: i64,
    /// Whether it is computed from others.
    pub generated: bool,
}

/// One index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The statement that makes it.
    pub sql: String,
    /// Whether it forbids duplicates.
    pub unique: bool,
}

/// What SQLite makes of a declared type (<https://www.sqlite.org/datatype3.html#determination_of_column_affinity>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Declared with `INT`.
    Integer,
    /// Declared with `CHAR`, `CLOB` or `TEXT`.
    Text,
    /// Declared with `BLOB`, or not at all.
    Blob,
    /// Declared with `REAL`, `FLOA` or `DOUB`.
    Real,
    /// Anything else.
    Numeric,
}

impl Affinity {
    /// By SQLite's five rules, in their order.
    pub fn of(declared_type: &str) -> Affinity {
        let upper = declared_type.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
        if has(&["INT"]) {
            Affinity::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Affinity::Text
        } else if upper.is_empty() || has(&["BLOB"]) {
            Affinity::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }
}

impl Structure {
    /// Reads the structure of these tables; of all where none is named.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn read(connection: &mut Connection, only: &[&str]) -> Result<Structure, DbError> {
        let names: Vec<SqlValue> = only.iter().map(|name| SqlValue::from(*name)).collect();
        let mut tables = BTreeMap::<String, Table>::new();
        for row in connection.query(&everything(&table_filter(only.len())), &names)? {
            if let [kind, owner, _, values @ ..] = row.as_slice() {
                let table = tables.entry(text(owner)).or_default();
                table.add(&text(kind), values);
            }
        }
        for table in tables.values_mut() {
            table.unique.sort();
            table.foreign_keys.sort();
        }
        Ok(Structure { tables })
    }

    /// Which of these tables there are.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn names(connection: &mut Connection, of: &[&str]) -> Result<Vec<String>, DbError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<SqlValue> = of.iter().map(|name| SqlValue::from(*name)).collect();
        let places: Vec<String> = (1..=of.len()).map(|place| format!("?{place}")).collect();
        let sql = format!(
            "SELECT name FROM sqlite_schema \
             WHERE type = 'table' AND name COLLATE NOCASE IN ({})",
            places.join(", ")
        );
        let rows = connection.query(&sql, &names)?;
        Ok(rows
            .iter()
            .filter_map(|row| row.first())
            .map(text)
            .collect())
    }

    /// Of this structure, the tables that the other has too.
    #[must_use]
    pub fn only(&self, other: &Structure) -> Structure {
        let tables = self
            .tables
            .iter()
            .filter(|(name, _)| other.table(name).is_some());
        Structure {
            tables: tables
                .map(|(name, table)| (name.clone(), table.clone()))
                .collect(),
        }
    }

    /// Names exactly this structure: equal structures have equal fingerprints.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for (name, table) in &self.tables {
            digest.update(name.as_bytes());
            digest.update(format!(
                "{:?}{:?}{:?}{:?}",
                table.columns, table.indexes, table.foreign_keys, table.unique
            ));
        }
        digest
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The table with this name; SQLite's names have no case.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name).or_else(|| {
            self.tables
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, t)| t)
        })
    }
}

impl Table {
    /// The column with this name; SQLite's names have no case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

fn table_filter(named: usize) -> String {
    let mut filter = "m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                      AND m.name <> '_sqlx_migrations'"
        .to_owned();
    if named > 0 {
        let places: Vec<String> = (1..=named).map(|place| format!("?{place}")).collect();
        filter.push_str(&format!(
            " AND m.name COLLATE NOCASE IN ({})",
            places.join(", ")
        ));
    }
    filter
}

/// Everything about the tables that `filter` names, in one question: each question costs a turn of two
/// threads, which is more than SQLite needs to answer it.
fn everything(filter: &str) -> String {
    format!(
        "WITH m (name, sql) AS MATERIALIZED (SELECT name, sql FROM sqlite_schema m WHERE {filter})
         SELECT 'table' AS kind, m.name AS owner, 0 AS position, m.sql, NULL, NULL, NULL, NULL, NULL
           FROM m
         UNION ALL
         SELECT 'column', m.name, x.cid, x.name, x.type, x.\"notnull\", x.dflt_value, x.pk, x.hidden
           FROM m, pragma_table_xinfo(m.name) x
         UNION ALL
         SELECT 'index', m.name, i.seq, i.name, i.\"unique\", i.origin,
             (SELECT s.sql FROM sqlite_schema s WHERE s.type = 'index' AND s.name = i.name),
             (SELECT group_concat(c.name, ',') FROM pragma_index_info(i.name) c), NULL
           FROM m, pragma_index_list(m.name) i
         UNION ALL
         SELECT 'foreign_key', m.name, f.id, f.\"from\", f.\"table\", f.\"to\", NULL, NULL, NULL
           FROM m, pragma_foreign_key_list(m.name) f
         ORDER BY kind, owner, position"
    )
}

impl Table {
    fn add(&mut self, kind: &str, values: &[SqlValue]) {
        let [a, b, c, d, e, f] = values else { return };
        match kind {
            "table" => self.sql = text(a),
            "column" => self.columns.push(Column {
                name: text(a),
                declared_type: text(b),
                not_null: integer(c) != 0,
                default: optional_text(d),
                primary_key: integer(e),
                generated: integer(f) != 0,
            }),
            "index" if text(c) == "c" => {
                let (sql, unique) = (text(d), integer(b) != 0);
                self.indexes.insert(text(a), Index { sql, unique });
            }
            "index" if text(c) == "u" => self.unique.push(text(e)),
            "foreign_key" => {
                let key = format!("{} -> {}({})", text(a), text(b), text(c));
                self.foreign_keys.push(key);
            }
            _ => {}
        }
    }
}

fn text(value: &SqlValue) -> String {
    optional_text(value).unwrap_or_default()
}

fn optional_text(value: &SqlValue) -> Option<String> {
    match value {
        SqlValue::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn integer(value: &SqlValue) -> i64 {
    match value {
        SqlValue::Integer(number) => *number,
        _ => 0,
    }
}
