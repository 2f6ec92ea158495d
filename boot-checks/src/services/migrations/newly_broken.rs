//! What migrations have broken that was not broken before.
//!
//! An application's rows may refer to nothing already, and a reference may name no unique key: foreign keys
//! are off unless an application asks for them. That refuses no migration; what the migrations add to it does.
//!
//! Safety: each row that refers to nothing afterwards has to be a row of before, of its own, that referred to
//! nothing: by the same values with the same primary key or number, or, where a table was made anew, with the
//! same in all its columns; or by other values, with the same primary key and the same in all other columns. So
//! a row that is newly broken is never taken for one that went away. Where names are not the same, a table is
//! another's successor only where the one is gone and the other was not there; a wrong guess could only match
//! rows that nothing tells apart.

use std::collections::{BTreeSet, HashMap};

use crate::model::SqlValue;
use crate::services::db::{BrokenRow, ForeignKeys, Reference};

/// Names that are there before and afterwards; none in the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place<'a> {
    child: Option<&'a str>,
    columns: Vec<Option<&'a str>>,
    parent: Option<&'a str>,
    parent_columns: Vec<Option<&'a str>>,
}

/// What is broken afterwards and was not before: the first of it, in words; none where there is nothing.
pub(super) fn newly_broken(before: &ForeignKeys, after: &ForeignKeys) -> Option<String> {
    let is_broken = |it: &Reference| it.is_mismatch || !it.broken.is_empty();
    if !after.references.iter().any(is_broken) {
        return None;
    }
    let names = Names { before, after };
    let mut known: HashMap<Place<'_>, Vec<&Reference>> = HashMap::new();
    for reference in &before.references {
        known
            .entry(names.place(reference))
            .or_default()
            .push(reference);
    }
    let mut there: HashMap<Place<'_>, Vec<&Reference>> = HashMap::new();
    for reference in &after.references {
        there
            .entry(names.place(reference))
            .or_default()
            .push(reference);
    }
    for reference in &after.references {
        // All that share its place are judged together.
        let place = names.place(reference);
        let Some(judged) = there.remove(&place) else {
            continue;
        };
        let known = known.remove(&place).unwrap_or_default();
        let mismatched = |references: &[&Reference]| {
            let mismatched = references.iter().filter(|it| it.is_mismatch);
            mismatched.count()
        };
        if mismatched(&judged) > mismatched(&known) {
            let Reference { child, parent, .. } = reference;
            return Some(format!(
                "{child} would refer to {parent} by what is no unique key of it"
            ));
        }
        let compared = Compared {
            columns: names.compared_columns(place.child),
            place: &place,
        };
        if let Some((reference, row)) = unknown_row(&judged, &known, &compared) {
            let Reference { child, parent, .. } = reference;
            let number = match row.identity.as_slice() {
                [SqlValue::Integer(number)] => format!(" {number}"),
                _ => String::new(),
            };
            return Some(format!(
                "row{number} of {child} would refer to a row of {parent} that does not exist"
            ));
        }
    }
    None
}

struct Names<'a> {
    before: &'a ForeignKeys,
    after: &'a ForeignKeys,
}

impl<'a> Names<'a> {
    fn table(&self, name: &'a str) -> Option<&'a str> {
        let is_there = |keys: &ForeignKeys| keys.tables.contains_key(name);
        (is_there(self.before) && is_there(self.after)).then_some(name)
    }

    /// Of a table that is in both; else of all that are in one only.
    fn columns(&self, table: Option<&str>, of: &'a ForeignKeys) -> BTreeSet<&'a str> {
        let is_it = |name: &str| match table {
            Some(table) => name == table,
            None => {
                !(self.before.tables.contains_key(name) && self.after.tables.contains_key(name))
            }
        };
        let tables = of.tables.iter().filter(|(name, _)| is_it(name));
        tables
            .flat_map(|(_, columns)| columns.iter().map(String::as_str))
            .collect()
    }

    fn compared_columns(&self, table: Option<&str>) -> BTreeSet<&'a str> {
        let before = self.columns(table, self.before);
        let after = self.columns(table, self.after);
        before.intersection(&after).copied().collect()
    }

    fn place(&self, reference: &'a Reference) -> Place<'a> {
        let (child, parent) = (self.table(&reference.child), self.table(&reference.parent));
        let named = |table: Option<&str>, columns: &'a [String]| {
            let compared = self.compared_columns(table);
            // A primary key that is not there has no columns.
            let columns = (0..reference.columns.len()).map(|at| columns.get(at));
            columns
                .map(|column| {
                    column
                        .map(String::as_str)
                        .filter(|it| compared.contains(it))
                })
                .collect()
        };
        Place {
            child,
            columns: named(child, &reference.columns),
            parent,
            parent_columns: named(parent, &reference.parent_columns),
        }
    }
}

/// By what a row may be known again.
#[derive(Clone, Copy)]
enum Mark {
    Both,
    Content,
    Identity,
    /// All but what it refers by.
    Rest,
}

/// A broken row that is none of those that were broken before, each of which stands for one.
fn unknown_row<'a>(
    judged: &[&'a Reference],
    known: &[&Reference],
    compared: &Compared<'_>,
) -> Option<(&'a Reference, &'a BrokenRow)> {
    let mut known: Vec<&BrokenRow> = known.iter().flat_map(|it| &it.broken).collect();
    let mut left: Vec<(&Reference, &BrokenRow)> = judged
        .iter()
        .flat_map(|it| it.broken.iter().map(move |row| (*it, row)))
        .collect();
    // The surest first: what only holds the same must not take the place of the row itself.
    for mark in [Mark::Both, Mark::Content, Mark::Identity, Mark::Rest] {
        let mut free: HashMap<String, Vec<&BrokenRow>> = HashMap::new();
        let mut unmarked = Vec::new();
        for row in known {
            match marked(row, mark, compared) {
                Some(words) => free.entry(words).or_default().push(row),
                None => unmarked.push(row),
            }
        }
        left.retain(|(_, row)| {
            let words = marked(row, mark, compared);
            let same = words.and_then(|words| free.get_mut(&words));
            same.and_then(Vec::pop).is_none()
        });
        known = unmarked;
        known.extend(free.into_values().flatten());
    }
    left.first().copied()
}

/// None where the row has no such mark.
fn marked(row: &BrokenRow, mark: Mark, compared: &Compared<'_>) -> Option<String> {
    let content = || compared.content(row, |_| true);
    let rest = || {
        compared.content(row, |column| {
            !compared.place.columns.contains(&Some(column))
        })
    };
    let identity = || (!row.identity.is_empty()).then_some(&row.identity);
    let key = &row.key;
    Some(match mark {
        Mark::Both => format!("{key:?} {:?} {:?}", content()?, identity()?),
        Mark::Content => format!("{key:?} {:?}", content()?),
        Mark::Identity => format!("{key:?} {:?}", identity()?),
        Mark::Rest if row.has_key => format!("{:?} {:?}", rest()?, identity()?),
        Mark::Rest => return None,
    })
}

/// What rows are compared by.
struct Compared<'a> {
    columns: BTreeSet<&'a str>,
    place: &'a Place<'a>,
}

impl Compared<'_> {
    fn content<'r>(
        &self,
        row: &'r BrokenRow,
        is_asked: impl Fn(&str) -> bool,
    ) -> Option<Vec<(&'r String, &'r SqlValue)>> {
        let of_both = row.content.iter();
        let of_both = of_both.filter(|(column, _)| self.columns.contains(column.as_str()));
        let of_both = of_both.filter(|(column, _)| is_asked(column));
        (!row.content.is_empty()).then(|| of_both.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::db::Connection;

    /// What a change of a database makes of its references.
    fn judged(before: &str, change: &str) -> Option<String> {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute("PRAGMA foreign_keys = OFF").unwrap();
        connection.execute(before).unwrap();
        connection.execute("BEGIN").unwrap();
        let keys = ForeignKeys::read(&mut connection).unwrap();
        connection.execute(change).unwrap();
        let after = ForeignKeys::read(&mut connection).unwrap();
        let left = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'gate%'";
        assert_eq!(connection.scalar(left), Ok(SqlValue::Integer(0)));
        newly_broken(&keys, &after)
    }

    /// One row is fine, one refers to nothing.
    const NUMBERED: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, x);
        CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id), x);
        INSERT INTO p (id) VALUES (1), (2); INSERT INTO c (id, p) VALUES (1, 1), (2, 99), (3, NULL);";

    /// As they are numbered anew when the table is made anew.
    const NAMED: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY);
        CREATE TABLE c (name TEXT, p INTEGER REFERENCES p (id));
        INSERT INTO p VALUES (1); INSERT INTO c VALUES ('a', 1), ('b', 1), ('c', 99), ('d', 99);
        DELETE FROM c WHERE name = 'a';";

    /// The rows of a table are told apart by a key, and have no number.
    const KEYED: &str = "CREATE TABLE p (id TEXT PRIMARY KEY);
        CREATE TABLE c (name TEXT PRIMARY KEY, p REFERENCES p) WITHOUT ROWID;
        INSERT INTO p VALUES ('x'); INSERT INTO c VALUES ('a', 'x'), ('b', 'y');";

    /// A row that refers to nothing holds no JSON.
    const COMPUTED: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY);
        CREATE TABLE c (p REFERENCES p, j, n); INSERT INTO c VALUES (9, 'no json', 1);";

    /// What the parent is known by is no unique key of it.
    const MISMATCH: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT);
        CREATE TABLE c (id INTEGER PRIMARY KEY, code TEXT REFERENCES p (code), p REFERENCES p);
        INSERT INTO p VALUES (1, 'x'), (2, 'y');
        INSERT INTO c VALUES (1, 'x', 1), (2, 'z', 1), (3, NULL, 99);";

    const MADE_ANEW: &str = "CREATE TABLE c2 (name TEXT, p INTEGER REFERENCES p (id), more);
        INSERT INTO c2 (name, p) SELECT name, p FROM c; DROP TABLE c; ALTER TABLE c2 RENAME TO c;";

    #[test]
    fn what_was_broken_before_refuses_nothing() {
        for (before, change) in [
            (NUMBERED, "CREATE TABLE x (a)"),
            (NUMBERED, "ALTER TABLE p RENAME TO parents"),
            (NUMBERED, "ALTER TABLE c RENAME TO kids"),
            (
                NUMBERED,
                "ALTER TABLE c RENAME TO k; ALTER TABLE k RENAME TO C",
            ),
            (
                NUMBERED,
                "UPDATE c SET p = p + 10; UPDATE p SET id = id + 10",
            ),
            (
                NUMBERED,
                "ALTER TABLE c RENAME COLUMN p TO of; ALTER TABLE p RENAME COLUMN id TO number",
            ),
            (
                NUMBERED,
                "ALTER TABLE c RENAME TO kids; ALTER TABLE p RENAME TO parents;
                 ALTER TABLE kids RENAME COLUMN p TO parent; DELETE FROM kids WHERE id = 1",
            ),
            (
                NUMBERED,
                "UPDATE c SET x = 'y'; ALTER TABLE c DROP COLUMN x",
            ),
            (NUMBERED, "UPDATE c SET p = 2; DROP TABLE c"),
            (NUMBERED, "DROP TABLE c; DROP TABLE p"),
            (NAMED, MADE_ANEW),
            (NAMED, "UPDATE c SET name = name || '!'"),
            (NAMED, "DELETE FROM c WHERE name = 'c'"),
            // Of two that hold the same, the one that is left as it was is itself.
            (
                "CREATE TABLE c (name, p REFERENCES gone); INSERT INTO c VALUES ('c', 9), ('c', 9)",
                "UPDATE c SET name = 'd' WHERE rowid = 2",
            ),
            (KEYED, "CREATE TABLE x (a)"),
            (KEYED, "ALTER TABLE c ADD COLUMN more DEFAULT 1"),
            // What is computed of its values fails, or was a value of its own before.
            (COMPUTED, "ALTER TABLE c ADD COLUMN v AS (json_extract(j, '$.a')) VIRTUAL"),
            (COMPUTED, "ALTER TABLE c ADD COLUMN v AS (abs(-9223372036854775807 - p / 9)) VIRTUAL"),
            (
                COMPUTED,
                "CREATE TABLE c2 (p REFERENCES p, j, n AS (length(j)) STORED);
                 INSERT INTO c2 (p, j) SELECT p, j FROM c; DROP TABLE c; ALTER TABLE c2 RENAME TO c",
            ),
            (MISMATCH, "CREATE TABLE x (a)"),
            (MISMATCH, "ALTER TABLE p RENAME TO parents"),
            (MISMATCH, "ALTER TABLE p RENAME COLUMN code TO name"),
            (MISMATCH, "CREATE UNIQUE INDEX u ON p (code)"),
            (
                "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES gone (code)); INSERT INTO c VALUES (1, 2)",
                "CREATE TABLE gone (code PRIMARY KEY)",
            ),
            (
                "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES gone); INSERT INTO c VALUES (1, 2)",
                "CREATE TABLE gone (code PRIMARY KEY)",
            ),
            (
                "CREATE TABLE p (a PRIMARY KEY); CREATE TABLE c (p REFERENCES p (b)); INSERT INTO c VALUES (1)",
                "ALTER TABLE p ADD COLUMN b; CREATE UNIQUE INDEX u ON p (b)",
            ),
        ] {
            assert_eq!(judged(before, change), None, "{before} {change}");
        }
    }

    #[test]
    fn what_is_newly_broken_is_told() {
        let row = |number: &str, child: &str, parent: &str| {
            format!("row{number} of {child} would refer to a row of {parent} that does not exist")
        };
        for (before, change, expect) in [
            (NUMBERED, "DELETE FROM p", row(" 1", "c", "p")),
            // As many as before, and by the same value.
            (
                NUMBERED,
                "INSERT INTO c (id, p) VALUES (4, 99); DELETE FROM c WHERE id = 2",
                row(" 4", "c", "p"),
            ),
            (
                NUMBERED,
                "UPDATE c SET x = 'y'; DELETE FROM c WHERE id = 2; UPDATE c SET id = 2, p = 98 WHERE id = 3",
                row(" 2", "c", "p"),
            ),
            (
                NUMBERED,
                "DELETE FROM c WHERE id = 2; DELETE FROM p; ALTER TABLE p RENAME TO parents",
                row(" 1", "c", "parents"),
            ),
            (
                NUMBERED,
                "ALTER TABLE c RENAME TO kids; DELETE FROM kids WHERE id = 2; DELETE FROM p",
                row(" 1", "kids", "p"),
            ),
            (NUMBERED, "DROP TABLE p", row(" 1", "c", "p")),
            // The parent loses a row as it is made anew.
            (
                NUMBERED,
                "CREATE TABLE q (id INTEGER PRIMARY KEY); INSERT INTO q SELECT id FROM p WHERE id > 1;
                 DROP TABLE p; ALTER TABLE q RENAME TO p",
                row(" 1", "c", "p"),
            ),
            // Another table than the one that was renamed.
            (
                NUMBERED,
                "CREATE TABLE d (id INTEGER PRIMARY KEY, p REFERENCES p (id)); INSERT INTO d VALUES (2, 99)",
                row(" 2", "d", "p"),
            ),
            (
                NUMBERED,
                "ALTER TABLE c ADD COLUMN q REFERENCES p (id); UPDATE c SET q = 99 WHERE id = 2",
                row(" 2", "c", "p"),
            ),
            // The row that is left has the number of one that was broken.
            (
                NAMED,
                "CREATE TABLE c2 (name TEXT, p INTEGER REFERENCES p (id));
                 INSERT INTO c2 SELECT name, 99 FROM c WHERE name = 'b'; DROP TABLE c;
                 ALTER TABLE c2 RENAME TO c",
                row(" 1", "c", "p"),
            ),
            (
                NAMED,
                "ALTER TABLE c RENAME COLUMN p TO of; DELETE FROM p; DELETE FROM c WHERE name = 'd';
                 UPDATE c SET name = 'd' WHERE name = 'b'",
                row(" 2", "c", "p"),
            ),
            // One row stands for one.
            (NAMED, "INSERT INTO c VALUES ('c', 99)", row(" 5", "c", "p")),
            // Without a key, nothing says that it is the row that it was.
            (
                NAMED,
                "UPDATE c SET p = 98 WHERE name = 'c'",
                row(" 3", "c", "p"),
            ),
            (
                NAMED,
                &format!("{MADE_ANEW} DELETE FROM p"),
                row(" 1", "c", "p"),
            ),
            (
                KEYED,
                "UPDATE c SET p = 'y' WHERE name = 'a'; DELETE FROM c WHERE name = 'b'",
                row("", "c", "p"),
            ),
            (KEYED, "DELETE FROM p", row("", "c", "p")),
            // SQLite checks neither reference of this table.
            (MISMATCH, "DELETE FROM p WHERE id = 1", row(" 1", "c", "p")),
            (
                MISMATCH,
                "UPDATE p SET code = 'w' WHERE id = 1",
                row(" 1", "c", "p"),
            ),
            (
                MISMATCH,
                "UPDATE c SET p = 98 WHERE id = 2",
                row(" 2", "c", "p"),
            ),
            (
                MISMATCH,
                "CREATE TABLE d (x REFERENCES p (code))",
                "d would refer to p by what is no unique key of it".to_owned(),
            ),
            (
                MISMATCH,
                "ALTER TABLE c ADD COLUMN other REFERENCES p (code)",
                "c would refer to p by what is no unique key of it".to_owned(),
            ),
            (
                "CREATE TABLE p (a, b); CREATE UNIQUE INDEX u ON p (a);
                 CREATE TABLE c (a REFERENCES p (a), b REFERENCES p (b))",
                "DROP INDEX u",
                "c would refer to p by what is no unique key of it".to_owned(),
            ),
        ] {
            assert_eq!(judged(before, change), Some(expect), "{before} {change}");
        }
    }
}
