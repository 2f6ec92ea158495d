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
        let answer = connection.query(&everything(&table_filter(only.len())), &names)?;
        let Some(SqlValue::Text(json)) = answer.first().and_then(|row| row.first()) else {
            return Err(DbError::other("the schema does not describe itself"));
        };
        let parts: Vec<(String, Part)> = serde_json::from_str(json)
            .map_err(|error| DbError::other(format!("the schema is not understood: {error}")))?;
        let mut tables = BTreeMap::<String, Table>::new();
        for (owner, part) in parts {
            tables.entry(owner).or_default().add(part);
        }
        for table in tables.values_mut() {
            table.unique.sort();
            table.foreign_keys.sort();
        }
        Ok(Structure { tables })
    }

    /// As [`Structure::read`] for tables that are expected to have this structure. Where the statements
    /// that made them are the expected ones, word for word, so is what they made, and SQLite need not
    /// take them apart.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn read_expecting(
        connection: &mut Connection,
        names: &[&str],
        expected: &Structure,
    ) -> Result<Structure, DbError> {
        let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        let sql = format!(
            "SELECT json_group_array(json_array(name, sql) ORDER BY name) FROM sqlite_schema \
             WHERE sql IS NOT NULL AND type IN ('table', 'index') \
             AND tbl_name COLLATE NOCASE IN ({})",
            places.join(", ")
        );
        let parameters: Vec<SqlValue> = names.iter().map(|name| SqlValue::from(*name)).collect();
        let there = connection.query(&sql, &parameters)?;
        let mut statements: Vec<(&str, &str)> = expected
            .tables
            .iter()
            .flat_map(|(name, table)| {
                let indexes = table.indexes.iter();
                let made = indexes.map(|(name, index)| (name.as_str(), index.sql.as_str()));
                made.chain([(name.as_str(), table.sql.as_str())])
            })
            .collect();
        statements.sort_unstable();
        let as_expected = serde_json::to_string(&statements).unwrap_or_default();
        match there.first().and_then(|row| row.first()) {
            Some(SqlValue::Text(json)) if *json == as_expected => Ok(expected.clone()),
            _ => Structure::read(connection, names),
        }
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
        let first = rows.into_iter().filter_map(|row| row.into_iter().next());
        Ok(first
            .filter_map(|name| match name {
                SqlValue::Text(name) => Some(name),
                _ => None,
            })
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

/// One thing that a table is made of.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Table {
        sql: String,
    },
    Column {
        name: String,
        declared_type: Option<String>,
        not_null: i64,
        default: Option<String>,
        primary_key: i64,
        hidden: i64,
    },
    Index {
        name: String,
        unique: i64,
        origin: String,
        sql: Option<String>,
        columns: Option<String>,
    },
    ForeignKey {
        from: String,
        table: String,
        to: Option<String>,
    },
}

/// Everything about the tables that `filter` names, as one value: a row costs a turn of two threads,
/// which is more than SQLite needs to find it.
fn everything(filter: &str) -> String {
    format!(
        "WITH m (name, sql) AS MATERIALIZED (SELECT name, sql FROM sqlite_schema m WHERE {filter})
         SELECT json_group_array(json_array(owner, json(part)) ORDER BY position) FROM (
           SELECT m.name AS owner, 0 AS position, json_object('table', json_object('sql', m.sql)) AS part
             FROM m
           UNION ALL
           SELECT m.name, x.cid, json_object('column', json_object(
               'name', x.name, 'declared_type', x.type,
               'not_null', x.\"notnull\", 'default', x.dflt_value,
               'primary_key', x.pk, 'hidden', x.hidden))
             FROM m, pragma_table_xinfo(m.name) x
           UNION ALL
           SELECT m.name, 0, json_object('index', json_object(
               'name', i.name, 'unique', i.\"unique\", 'origin', i.origin,
               'sql', (SELECT s.sql FROM sqlite_schema s WHERE s.type = 'index' AND s.name = i.name),
               'columns', (SELECT group_concat(c.name, ',') FROM pragma_index_info(i.name) c)))
             FROM m, pragma_index_list(m.name) i
           UNION ALL
           SELECT m.name, 0, json_object('foreign_key', json_object(
               'from', f.\"from\", 'table', f.\"table\", 'to', f.\"to\"))
             FROM m, pragma_foreign_key_list(m.name) f)"
    )
}

impl Table {
    fn add(&mut self, part: Part) {
        match part {
            Part::Table { sql } => self.sql = sql,
            Part::Column {
                name,
                declared_type,
                not_null,
                default,
                primary_key,
                hidden,
            } => self.columns.push(Column {
                name,
                declared_type: declared_type.unwrap_or_default(),
                not_null: not_null != 0,
                default,
                primary_key,
                generated: hidden != 0,
            }),
            Part::Index {
                name,
                unique,
                origin,
                sql,
                columns,
            } => match origin.as_str() {
                "c" => {
                    let sql = sql.unwrap_or_default();
                    let unique = unique != 0;
                    self.indexes.insert(name, Index { sql, unique });
                }
                "u" => self.unique.push(columns.unwrap_or_default()),
                _ => {}
            },
            Part::ForeignKey { from, table, to } => {
                let to = to.unwrap_or_default();
                self.foreign_keys.push(format!("{from} -> {table}({to})"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str =
        "CREATE TABLE t (a TEXT DEFAULT 'x\ty/\"\u{e9}', b UNIQUE); CREATE INDEX i ON t (a);";

    fn expecting(sql: &str, expected: &Structure) -> (Structure, Structure) {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute(sql).unwrap();
        let read = Structure::read(&mut connection, &["t"]).unwrap();
        let seen = Structure::read_expecting(&mut connection, &["t", "absent"], expected).unwrap();
        (read, seen)
    }

    #[test]
    fn the_same_statements_are_not_taken_apart_again() {
        let (mut expected, _) = expecting(MADE, &Structure::default());
        expected.tables.get_mut("t").unwrap().columns.clear();
        assert_eq!(expecting(MADE, &expected).1, expected);
    }

    #[test]
    fn any_other_statement_is() {
        let (expected, _) = expecting(MADE, &Structure::default());
        for more in [
            "DROP INDEX i",
            "CREATE INDEX j ON t (b)",
            "ALTER TABLE t ADD COLUMN c",
            "DROP TABLE t",
        ] {
            let (read, seen) = expecting(&format!("{MADE} {more}"), &expected);
            assert_eq!(seen, read, "{more}");
            assert_ne!(seen, expected, "{more}");
        }
    }
}
