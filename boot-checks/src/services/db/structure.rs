use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::structure_parts::{Part, everything};
use super::tokens::normalised;
use super::{Connection, DbError};
use crate::model::SqlValue;

/// The structure of a database: what its tables are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// By name. SQLite's own tables (`sqlite_…`) and migration records are left out.
    pub tables: BTreeMap<String, Table>,
    /// The statements that made the views, by name.
    pub views: BTreeMap<String, String>,
    /// The statements that made the triggers, by name.
    pub triggers: BTreeMap<String, String>,
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
    /// Foreign keys, sorted.
    pub foreign_keys: Vec<ForeignKey>,
    /// Columns that are unique by a constraint, with how they are compared, sorted.
    pub unique: Vec<String>,
    /// The same of the primary key; empty where it is the number of the row.
    pub primary_key: String,
    /// Conditions of the whole table, in one spelling, sorted.
    pub checks: Vec<String>,
    /// What becomes of rows that a constraint keeps out, where that is not the usual, sorted.
    pub conflicts: Vec<String>,
    /// How it keeps its rows.
    pub options: TableOptions,
}

/// A foreign key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The columns that refer.
    pub from: Vec<String>,
    /// The table that they refer to.
    pub table: String,
    /// Its columns, one for each; none where the primary key is meant and not named.
    pub to: Vec<String>,
    /// What becomes of the row when the one that it refers to goes or changes, and when that is checked, in SQL's
    /// words; empty where nothing else than usual is said.
    pub rules: String,
}

/// How a table keeps its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOptions {
    /// Whether values of another type are refused.
    pub strict: bool,
    /// Whether its rows have no number of their own.
    pub without_rowid: bool,
    /// Whether the number of a deleted row is never given again.
    pub autoincrement: bool,
}

/// With what the names of tables end that SQLite's own modules keep behind a virtual one.
const BEHIND: [&str; 11] = [
    "config", "content", "data", "docsize", "idx", "node", "parent", "rowid", "segdir", "segments",
    "stat",
];

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
    /// What it is computed by, in one spelling; empty where it is not.
    pub computation: String,
    /// Whether what was computed is kept.
    pub stored: bool,
    /// How its texts are compared, in capitals.
    pub collation: String,
    /// Its own conditions, in one spelling.
    pub checks: Vec<String>,
    /// Everything that was said of it, its name too, on one line.
    pub definition: String,
}

/// One index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The statement that makes it.
    pub sql: String,
    /// Whether it forbids duplicates.
    pub unique: bool,
    /// Over what, in which order, and which rows, in one spelling.
    pub over: String,
}

impl Structure {
    /// Reads the structure of these tables, of all where none is named, and every view and trigger.
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
        let mut structure = Structure::default();
        for (owner, part) in parts {
            match part {
                Part::View { sql } => {
                    structure.views.insert(owner, sql);
                }
                Part::Trigger { sql } => {
                    structure.triggers.insert(owner, sql);
                }
                part => structure.tables.entry(owner).or_default().add(part),
            }
        }
        structure.tables.values_mut().for_each(Table::complete);
        Ok(structure)
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
        let views = expected.views.keys().map(String::as_str);
        let names: Vec<&str> = names.iter().copied().chain(views).collect();
        let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        let sql = format!(
            "SELECT json_group_array(json_array(name, sql) ORDER BY name, sql) FROM sqlite_schema \
             WHERE sql IS NOT NULL AND tbl_name COLLATE NOCASE IN ({})",
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
            .chain(pairs(&expected.views))
            .chain(pairs(&expected.triggers))
            .collect();
        statements.sort_unstable();
        let as_expected = serde_json::to_string(&statements).unwrap_or_default();
        match there.first().and_then(|row| row.first()) {
            Some(SqlValue::Text(json)) if *json == as_expected => Ok(expected.clone()),
            _ => Structure::read(connection, &names),
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

    /// Names of the tables and views.
    pub fn names_of_tables_and_views(&self) -> Vec<&str> {
        let names = self.tables.keys().chain(self.views.keys());
        names.map(String::as_str).collect()
    }

    /// Of this structure, what the other has too, or has under the same name.
    #[must_use]
    pub fn only(&self, other: &Structure) -> Structure {
        let is_table_or_view =
            |name: &str| other.table(name).is_some() || found(&other.views, name).is_some();
        let is_trigger = |name: &str| found(&other.triggers, name).is_some();
        Structure {
            tables: those(&self.tables, is_table_or_view),
            views: those(&self.views, is_table_or_view),
            triggers: those(&self.triggers, is_trigger),
        }
    }

    /// Names exactly this structure: equal structures have equal fingerprints.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for (name, table) in &self.tables {
            digest.update(name.as_bytes());
            digest.update(table.in_one_spelling());
        }
        for (name, sql) in self.views.iter().chain(&self.triggers) {
            digest.update(name.as_bytes());
            digest.update(normalised(sql));
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
        found(&self.tables, name)
    }

    /// Whether it is one of the tables behind a virtual one, which come and go with that.
    pub fn is_behind_another(&self, name: &str) -> bool {
        let behind = |(owner, suffix): (&str, &str)| {
            BEHIND.contains(&suffix) && self.table(owner).is_some_and(Table::is_virtual)
        };
        name.rsplit_once('_').is_some_and(behind)
    }

    /// The statement of the view with this name.
    pub fn view(&self, name: &str) -> Option<&str> {
        found(&self.views, name).map(String::as_str)
    }

    /// The statement of the trigger with this name.
    pub fn trigger(&self, name: &str) -> Option<&str> {
        found(&self.triggers, name).map(String::as_str)
    }
}

/// SQLite's names have no case.
pub(super) fn found<'a, T>(map: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    map.get(name).or_else(|| {
        let mut all = map.iter();
        all.find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

fn those<T: Clone>(
    map: &BTreeMap<String, T>,
    is_wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, T> {
    let wanted = map.iter().filter(|(name, _)| is_wanted(name));
    wanted
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(name, sql)| (name.as_str(), sql.as_str()))
}

impl Table {
    /// Whether another program's code keeps its rows, such as a full-text index.
    pub fn is_virtual(&self) -> bool {
        let start = "CREATE VIRTUAL ";
        let begins = self.sql.get(..start.len());
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(start))
    }

    /// All that counts, and no more.
    fn in_one_spelling(&self) -> String {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|it| Column {
                definition: String::new(),
                ..it.clone()
            })
            .collect();
        let indexes: Vec<_> = self
            .indexes
            .iter()
            .map(|(name, it)| (name, it.unique, &it.over))
            .collect();
        format!(
            "{columns:?}{indexes:?}{:?}{:?}{:?}{:?}{:?}{:?}",
            self.foreign_keys,
            self.primary_key,
            self.unique,
            self.checks,
            self.conflicts,
            self.options
        )
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str =
        "CREATE TABLE t (a TEXT DEFAULT 'x\ty/\"\u{e9}', b UNIQUE); CREATE INDEX i ON t (a);
         CREATE VIEW v AS SELECT a FROM t;
         CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t WHERE a = 1; END;
         CREATE TRIGGER h INSTEAD OF DELETE ON v BEGIN DELETE FROM t WHERE a = 1; END;";

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
    fn what_becomes_of_a_row_that_is_kept_out_is_part_of_the_structure() {
        let of = |conflict: &str| {
            let sql = format!("CREATE TABLE t (a UNIQUE {conflict})");
            expecting(&sql, &Structure::default()).0.fingerprint()
        };
        assert_eq!(of(""), of("ON CONFLICT ABORT"));
        assert_ne!(of(""), of("ON CONFLICT REPLACE"));
        assert_ne!(of("ON CONFLICT IGNORE"), of("ON CONFLICT REPLACE"));
    }

    #[test]
    fn any_other_statement_is() {
        let (expected, _) = expecting(MADE, &Structure::default());
        for more in [
            "DROP INDEX i",
            "CREATE INDEX j ON t (b)",
            "ALTER TABLE t ADD COLUMN c",
            "DROP TABLE t",
            "DROP VIEW v",
            "DROP TRIGGER g",
            "DROP TRIGGER h",
            "DROP VIEW v; CREATE VIEW v AS SELECT b FROM t",
        ] {
            let (read, seen) = expecting(&format!("{MADE} {more}"), &expected);
            assert_eq!(seen, read, "{more}");
            assert_ne!(seen, expected, "{more}");
        }
    }
}
