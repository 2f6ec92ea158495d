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
        let filter = table_filter(only.len());
        let mut structure = Structure::default();
        read_tables(connection, &filter, &names, &mut structure)?;
        read_columns(connection, &filter, &names, &mut structure)?;
        read_indexes(connection, &filter, &names, &mut structure)?;
        read_foreign_keys(connection, &filter, &names, &mut structure)?;
        Ok(structure)
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

fn read_tables(
    connection: &mut Connection,
    filter: &str,
    names: &[SqlValue],
    structure: &mut Structure,
) -> Result<(), DbError> {
    let sql = format!("SELECT m.name, m.sql FROM sqlite_schema m WHERE {filter}");
    for row in connection.query(&sql, names)? {
        let table = Table {
            sql: text(&row[1]),
            ..Table::default()
        };
        structure.tables.insert(text(&row[0]), table);
    }
    Ok(())
}

fn read_columns(
    connection: &mut Connection,
    filter: &str,
    names: &[SqlValue],
    structure: &mut Structure,
) -> Result<(), DbError> {
    let sql = format!(
        "SELECT m.name, x.name, x.type, x.\"notnull\", x.dflt_value, x.pk, x.hidden \
         FROM sqlite_schema m, pragma_table_xinfo(m.name) x WHERE {filter} ORDER BY m.name, x.cid"
    );
    for row in connection.query(&sql, names)? {
        if let Some(table) = structure.tables.get_mut(&text(&row[0])) {
            table.columns.push(Column {
                name: text(&row[1]),
                declared_type: text(&row[2]),
                not_null: integer(&row[3]) != 0,
                default: optional_text(&row[4]),
                primary_key: integer(&row[5]),
                generated: integer(&row[6]) != 0,
            });
        }
    }
    Ok(())
}

fn read_indexes(
    connection: &mut Connection,
    filter: &str,
    names: &[SqlValue],
    structure: &mut Structure,
) -> Result<(), DbError> {
    let sql = format!(
        "SELECT m.name, i.name, i.\"unique\", i.origin, \
           (SELECT s.sql FROM sqlite_schema s WHERE s.type = 'index' AND s.name = i.name), \
           (SELECT group_concat(c.name, ',') FROM pragma_index_info(i.name) c) \
         FROM sqlite_schema m, pragma_index_list(m.name) i WHERE {filter} ORDER BY m.name, i.name"
    );
    for row in connection.query(&sql, names)? {
        let Some(table) = structure.tables.get_mut(&text(&row[0])) else {
            continue;
        };
        let unique = integer(&row[2]) != 0;
        match text(&row[3]).as_str() {
            "c" => {
                let index = Index {
                    sql: text(&row[4]),
                    unique,
                };
                table.indexes.insert(text(&row[1]), index);
            }
            "u" => table.unique.push(text(&row[5])),
            _ => {}
        }
    }
    structure
        .tables
        .values_mut()
        .for_each(|table| table.unique.sort());
    Ok(())
}

fn read_foreign_keys(
    connection: &mut Connection,
    filter: &str,
    names: &[SqlValue],
    structure: &mut Structure,
) -> Result<(), DbError> {
    let sql = format!(
        "SELECT m.name, f.\"from\", f.\"table\", f.\"to\" \
         FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE {filter}"
    );
    for row in connection.query(&sql, names)? {
        if let Some(table) = structure.tables.get_mut(&text(&row[0])) {
            let key = format!("{} -> {}({})", text(&row[1]), text(&row[2]), text(&row[3]));
            table.foreign_keys.push(key);
        }
    }
    structure
        .tables
        .values_mut()
        .for_each(|table| table.foreign_keys.sort());
    Ok(())
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
