//! Virtual tables whose rows are in tables of their own, and whether these are all there
//! (<https://www.sqlite.org/vtab.html#xshadowname>).

use super::tokens::{Token, tokens};
use super::{Connection, DbError, quoted};
use crate::model::SqlValue;

/// A virtual table of a kind that SQLite itself has.
#[derive(Clone, Debug)]
pub(super) struct VirtualTable {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What made it.
    pub(super) sql: String,
}

/// What keeps its rows (<https://www.sqlite.org/fts5.html>, <https://www.sqlite.org/fts3.html>,
/// <https://www.sqlite.org/rtree.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fts3,
    Fts5,
    RTree,
}

impl VirtualTable {
    /// All of a database that SQLite can make anew by itself; another module's are the application's.
    pub(super) fn all(connection: &mut Connection) -> Result<Vec<VirtualTable>, DbError> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' \
                   AND coalesce(rootpage, 0) = 0 ORDER BY name";
        let rows = connection.query(sql, &[])?;
        let known = rows.into_iter().filter_map(|row| match row.as_slice() {
            [SqlValue::Text(name), SqlValue::Text(sql)] => Some(VirtualTable {
                name: name.clone(),
                kind: kind(sql)?,
                sql: sql.clone(),
            }),
            _ => None,
        });
        Ok(known.collect())
    }

    /// Whether it keeps the rows themselves, in a table `_content`.
    pub(super) fn has_content(&self) -> bool {
        let words: Vec<Token<'_>> = tokens(&self.sql).collect();
        let has_other = words
            .windows(3)
            .any(|it| (it[0].is("(") || it[0].is(",")) && it[1].is("CONTENT") && it[2].is("="));
        self.kind != Kind::RTree && !has_other
    }

    /// The ends of the names of tables without which it cannot be opened.
    fn parts(&self) -> &'static [&'static str] {
        match (self.kind, self.has_content()) {
            (Kind::Fts3, true) => &["_content", "_segments", "_segdir"],
            (Kind::Fts3, false) => &["_segments", "_segdir"],
            (Kind::Fts5, true) => &["_data", "_idx", "_config", "_content"],
            (Kind::Fts5, false) => &["_data", "_idx", "_config"],
            (Kind::RTree, _) => &["_node", "_rowid", "_parent"],
        }
    }

    /// Why it cannot be read, where that is for want of its own tables or of what stands in them; none where
    /// it can, and where it needs something else, such as what the application registers.
    pub(super) fn damage(&self, connection: &mut Connection) -> Result<Option<String>, DbError> {
        let name = &self.name;
        for part in self.parts() {
            let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
            let part = format!("{name}{part}");
            let there = connection.query(sql, &[part.as_str().into()])?;
            if there.is_empty() {
                return Ok(Some(format!(
                    "virtual table {name} has lost its table {part}"
                )));
            }
        }
        let version = match self.kind {
            Kind::Fts5 => self.lacks_its_version(connection),
            _ => Ok(false),
        };
        let first = format!("SELECT * FROM {} LIMIT 1", quoted(name));
        let read = version.and_then(|lacks| match lacks {
            true => Ok(Some("its settings are lost".to_owned())),
            false => connection.query(&first, &[]).map(|_| None),
        });
        let words = match read {
            Err(DbError::Corrupt { message, .. }) => Some(message),
            Err(error) if error.is_mistake() => None,
            other => other?,
        };
        Ok(words.map(|words| format!("virtual table {name} cannot be read: {words}")))
    }

    /// Whether the one setting that it cannot be opened without is gone.
    pub(super) fn lacks_its_version(&self, connection: &mut Connection) -> Result<bool, DbError> {
        let config = quoted(&format!("{}_config", self.name));
        let sql = format!("SELECT v FROM {config} WHERE k = 'version'");
        Ok(connection.query(&sql, &[])?.is_empty())
    }
}

/// None for what another module keeps.
fn kind(sql: &str) -> Option<Kind> {
    let sql = sql.to_ascii_lowercase();
    let (_, after) = sql.split_once("using")?;
    let is_named = |char: char| char.is_alphanumeric() || char == '_';
    let module = after.trim_start().split(|char| !is_named(char)).next()?;
    match module {
        "fts3" | "fts4" => Some(Kind::Fts3),
        "fts5" => Some(Kind::Fts5),
        "rtree" | "rtree_i32" => Some(Kind::RTree),
        _ => None,
    }
}

/// Why virtual tables cannot be read, of those that lack something of their own.
pub(super) fn damaged_ones(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    let mut words = Vec::new();
    for table in VirtualTable::all(connection)? {
        words.extend(table.damage(connection)?);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a database with one such table says once `hurt` was done to it.
    fn words(make: &str, hurt: &str) -> Vec<String> {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute(make).unwrap();
        connection.execute(hurt).unwrap();
        let words = damaged_ones(&mut connection).unwrap();
        connection.close();
        words
    }

    #[test]
    fn what_lost_a_part_of_its_own_is_told() {
        let made = "CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO f VALUES ('a')";
        let cases = [
            (
                "DROP TABLE f_config",
                "virtual table f has lost its table f_config",
            ),
            (
                "DELETE FROM f_config",
                "virtual table f cannot be read: its settings are lost",
            ),
            (
                "DROP TABLE f_content",
                "virtual table f has lost its table f_content",
            ),
        ];
        for (hurt, expect) in cases {
            assert_eq!(words(made, hurt), [expect], "{hurt}");
        }
        let made = "CREATE VIRTUAL TABLE f USING rtree (id, a, b); INSERT INTO f VALUES (1, 2, 3)";
        assert_eq!(words(made, "DELETE FROM f_node").len(), 1);
        assert_eq!(words(made, "DELETE FROM f"), [""; 0]);
    }

    #[test]
    fn what_needs_something_else_is_no_damage() {
        let made = "CREATE TABLE t (x); CREATE VIRTUAL TABLE f USING fts5 (x, content = t)";
        assert_eq!(words(made, "DROP TABLE t"), [""; 0]);
        for module in ["fts5 (x, content = '')", "fts4 (content='', x)"] {
            let made = format!("CREATE VIRTUAL TABLE f USING {module}");
            assert_eq!(
                words(&made, "INSERT INTO f (rowid, x) VALUES (1, 'a')"),
                [""; 0]
            );
        }
    }
}
