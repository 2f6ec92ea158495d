//! Unique keys that are not expected: what keeps two rows out of which the expected table takes both.
//!
//! One is harmless where an expected key keeps one of the two out anyway, and where it holds a column that is not
//! expected and that the application therefore leaves empty: no NULL is another's double.

use std::collections::BTreeSet;

use super::difference::Difference;
use super::difference_named::index;
use super::difference_own::{is_of_no_row, may_fail};
use super::difference_rules::gives_numbers;
use super::structure::{Column, Table};
use super::table_text::terms;
use super::tokens::{Token, on_one_line, tokens};

/// What is expected in the place of such an index.
pub(super) const NO_SUCH_INDEX: &str = "no such index";

pub(super) const REFUSES_ROWS: &str = "rows would be refused that the application may write";

pub(super) fn compare_own_keys(
    name: &str,
    there: &Table,
    wanted: &Table,
    is_expected_name: impl Fn(&str) -> bool,
    difference: &mut Difference,
) {
    let expected = keys_of(wanted);
    for (index_name, own) in &there.indexes {
        let mut alike = wanted
            .indexes
            .values()
            .filter(|it| it.unique || !own.unique);
        // One that is expected under this name, of whatever table, is compared with that.
        let is_known = is_expected_name(index_name) || alike.any(|it| it.over == own.over);
        let is_harmless = || match key(&own.over) {
            Some(key) => is_harmless(&key, &expected, there, wanted),
            None => {
                let key = columns_of(&own.over, there);
                let is_implied = || expected.iter().any(|it| is_implied(&key, it));
                (wanted.conflicts.is_empty() && is_implied())
                    || has_an_empty_term(&own.over, there, wanted)
                    || is_of_no_row(&own.over, there, wanted)
            }
        };
        let made = || on_one_line(&own.sql);
        if own.unique && !is_known && !is_harmless() {
            difference.refuse(index(index_name), &made(), NO_SUCH_INDEX, REFUSES_ROWS);
        } else if !is_known && may_fail(&own.over) {
            let reason = "what it is made over fails for some values";
            difference.refuse(index(index_name), &made(), NO_SUCH_INDEX, reason);
        }
    }
    for columns in &there.unique {
        let key = key(columns).unwrap_or_default();
        if !is_harmless(&key, &expected, there, wanted) {
            let object = format!("unique constraint {columns} of {name}");
            let made = format!("UNIQUE ({columns})");
            difference.refuse(object, &made, "no such constraint", REFUSES_ROWS);
        }
    }
}

/// Columns in small letters, and how they are compared.
pub(super) type Key = Vec<(String, String)>;

fn is_harmless(own: &Key, expected: &[Key], there: &Table, wanted: &Table) -> bool {
    let mut columns = own.iter().filter_map(|(column, _)| there.column(column));
    // Where a row that an expected key keeps out is left out or replaced, one more would make the statement fail.
    let is_harmless = expected.iter().any(|it| {
        let is_it = || is_implied(it, own);
        is_implied(own, it) && (wanted.conflicts.is_empty() || is_it())
    });
    (is_harmless && !takes_the_place_of_one(own, expected, there, wanted))
        || columns.any(|it| is_left_empty(it, wanted))
}

/// Whether an `ON CONFLICT` that names the columns of an expected key, which is there and compares them otherwise, may
/// find this one.
fn takes_the_place_of_one(own: &Key, expected: &[Key], there: &Table, wanted: &Table) -> bool {
    let set = |key: Key| -> BTreeSet<(String, String)> { key.into_iter().collect() };
    let columns = |key: &BTreeSet<(String, String)>| -> BTreeSet<String> {
        key.iter().map(|(column, _)| column.clone()).collect()
    };
    let (own, all) = (set(own.clone()), keys_of(there));
    let is_there = |key: &BTreeSet<_>| all.iter().any(|it| set(it.clone()) == *key);
    let expected = expected
        .iter()
        .map(|it| set(as_there(it.clone(), wanted, there)));
    let of_same_columns: Vec<_> = expected
        .filter(|it| columns(it) == columns(&own) && is_there(it))
        .collect();
    !of_same_columns.is_empty() && !of_same_columns.contains(&own)
}

/// Whether two rows that one key keeps apart are kept apart by an expected one too.
fn is_implied(own: &Key, expected: &Key) -> bool {
    // What is equal byte for byte is so in every other way.
    let holds = |(column, collation): &(String, String)| {
        let mut all = own.iter();
        all.any(|(it, by)| it == column && (by == "BINARY" || by == collation))
    };
    expected.iter().all(holds)
}

/// Whether a table has an expected constraint under whatever name: a key of the same columns, which an `ON CONFLICT`
/// that names them finds, and which compares them as they are compared or takes more for the same.
pub(super) fn is_kept_unique(columns: &str, wanted: &Table, there: &Table) -> bool {
    let wanted = as_there(key(columns).unwrap_or_default(), wanted, there);
    let mut keys = keys_of(there).into_iter();
    keys.any(|key| key.len() == wanted.len() && is_implied(&wanted, &key))
}

/// Whether a primary key of the same columns takes other values for the same than the expected one, because it
/// compares them in a way of its own.
pub(super) fn primary_key_compares_otherwise(wanted: &Table, there: &Table) -> bool {
    let sorted = |mut key: Key| {
        key.sort();
        key
    };
    match (key(&there.primary_key), key(&wanted.primary_key)) {
        (Some(key), Some(expected)) => sorted(as_there(expected, wanted, there)) != sorted(key),
        _ => false,
    }
}

/// Whether a primary key of other columns than the expected one is a key of the database's own that refuses rows. What
/// is not expected is left empty: it is numbered where it is the number of the row, and elsewhere may be nothing. What
/// is expected, and is the number of the row, takes nothing but numbers.
pub(super) fn primary_key_refuses_rows(there: &Table, wanted: &Table) -> bool {
    let key = primary_key_of(there);
    let mut columns = key.iter();
    let is_left_empty =
        !there.options.without_rowid && columns.any(|(column, _)| wanted.column(column).is_none());
    let is_harmless = || is_harmless(&key, &keys_of(wanted), there, wanted);
    !key.is_empty() && !is_left_empty && (gives_numbers(there) || !is_harmless())
}

fn primary_key_of(table: &Table) -> Key {
    key(&table.primary_key).unwrap_or_else(|| {
        let columns = table.columns.iter().filter(|it| it.primary_key > 0);
        let columns = columns.map(|it| (it.name.to_ascii_lowercase(), it.collation.clone()));
        columns.collect()
    })
}

/// A key of columns that are compared as they are in the table that is there, where they are not expected to be
/// compared in a way of the key's own: a column that is another is told as such.
fn as_there(mut key: Key, wanted: &Table, there: &Table) -> Key {
    for (column, collation) in &mut key {
        let is_columns = wanted
            .column(column)
            .is_some_and(|it| it.collation == *collation);
        if let Some(there) = there.column(column).filter(|_| is_columns) {
            collation.clone_from(&there.collation);
        }
    }
    key
}

fn is_left_empty(column: &Column, wanted: &Table) -> bool {
    wanted.column(&column.name).is_none() && column.is_empty_by_default()
}

pub(super) fn keys_of(table: &Table) -> Vec<Key> {
    let indexes = table.indexes.values().filter(|it| it.unique);
    let overs = indexes.map(|it| &it.over).chain(&table.unique);
    let mut keys: Vec<Key> = overs.filter_map(|over| key(over)).collect();
    keys.push(primary_key_of(table));
    keys.retain(|key| !key.is_empty());
    keys
}

/// The columns of an index that is made over nothing but columns of all rows.
pub(super) fn key(over: &str) -> Option<Key> {
    if over.is_empty() || over.starts_with('(') {
        return None;
    }
    let words: Vec<Token<'_>> = tokens(over).collect();
    let of = |term: &[Token<'_>]| {
        let column = term.first().map(|name| name.name().to_ascii_lowercase());
        let collation = match term {
            [_, word, collation, ..] if word.is("COLLATE") => collation.name().to_ascii_uppercase(),
            _ => "BINARY".to_owned(),
        };
        (column.unwrap_or_default(), collation)
    };
    Some(words.split(|word| word.is(",")).map(of).collect())
}

/// The columns of an index that is made over expressions too, or of some rows only: that refuses fewer.
fn columns_of(over: &str, there: &Table) -> Key {
    let words: Vec<Token<'_>> = tokens(over).collect();
    let column = |term: &&[Token<'_>]| {
        let (name, rest) = term.split_first()?;
        let column = there.column(&name.name())?;
        let collation = match rest {
            [] => column.collation.clone(),
            [way] if way.is("ASC") || way.is("DESC") => column.collation.clone(),
            [word, collation, ..] if word.is("COLLATE") => collation.name().to_ascii_uppercase(),
            _ => return None,
        };
        Some((column.name.to_ascii_lowercase(), collation))
    };
    terms(&words).iter().filter_map(column).collect()
}

impl Difference {
    /// Where the expected structure is not the database's own measure, a key more is its owner's matter.
    pub(crate) fn only_note_own_keys(&mut self) {
        let (own, others) = std::mem::take(&mut self.refusals)
            .into_iter()
            .partition(|it| it.reason == REFUSES_ROWS);
        self.refusals = others;
        let own: Vec<_> = own;
        let notes = own
            .iter()
            .map(|it| format!("{} is not expected: {}", it.object, it.found));
        self.notes.extend(notes);
    }
}

/// Functions that make nothing of nothing.
const OF_NULL: [&str; 3] = ["lower", "trim", "upper"];

/// Whether one of the expressions that an index is made over is made of a column that is left empty.
fn has_an_empty_term(over: &str, there: &Table, wanted: &Table) -> bool {
    let words: Vec<Token<'_>> = tokens(over).collect();
    let is_empty = |word: &Token<'_>| {
        let column = there.column(&word.name());
        column.is_some_and(|it| is_left_empty(it, wanted))
    };
    let is_of_null = |word: &Token<'_>| {
        let is_sign = word.is("(") || word.is(")");
        is_sign || OF_NULL.iter().any(|it| word.is(it)) || is_empty(word)
    };
    let is_empty_term =
        |term: &&[Token<'_>]| term.iter().any(is_empty) && term.iter().all(is_of_null);
    terms(&words).iter().any(is_empty_term)
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, Refusal, Structure, compare};
    use super::*;

    const EXPECTED: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE, c,
         UNIQUE (a, b)); CREATE UNIQUE INDEX i ON t (c); CREATE UNIQUE INDEX j ON t (lower(a));";

    fn difference(more: &str) -> Difference {
        let [actual, expected] = [more, ""].map(|more| {
            let mut connection = Connection::in_memory().unwrap();
            connection.execute(&format!("{EXPECTED}{more}")).unwrap();
            Structure::read(&mut connection, &[]).unwrap()
        });
        compare(&actual, &expected)
    }

    const OWN: &str = "ALTER TABLE t ADD COLUMN own; ALTER TABLE t ADD COLUMN filled DEFAULT 1;
         ALTER TABLE t ADD COLUMN computed AS (a);";

    #[test]
    fn one_that_refuses_rows_is_refused() {
        for over in [
            "(b)",
            "(a)",
            "(a, b COLLATE RTRIM)",
            "(b COLLATE BINARY, a)",
            "(c COLLATE NOCASE)",
            "(b) WHERE a > 1",
            "(lower(b))",
            "(filled)",
            "(computed)",
            "(coalesce(own, 1))",
            "(b) WHERE own IS NULL",
            "(b) WHERE filled = 1",
        ] {
            let seen = difference(&format!("{OWN} CREATE UNIQUE INDEX o ON t {over}"));
            let [refused] = &seen.refusals[..] else {
                panic!("{over}: {seen:?}");
            };
            assert_eq!(
                (refused.object.as_str(), refused.reason),
                ("index o", REFUSES_ROWS)
            );
            let made = format!("CREATE UNIQUE INDEX o ON t {over}");
            assert_eq!(
                (&refused.found, refused.expected.as_str()),
                (&made, "no such index")
            );
        }
    }

    #[test]
    fn one_that_refuses_no_row_more_is_not() {
        for over in [
            "(a, id DESC)",
            "(c, b)",
            "(a, b COLLATE BINARY, c)",
            "(b COLLATE NOCASE, a)",
            "(c)",
            "(lower(a))",
            "(own)",
            "(b, own)",
            "(lower(own), b)",
            "(own) WHERE own > 1",
            "(a) WHERE own IS NOT NULL",
            "(a) WHERE filled = 2",
            "(c) WHERE a > 1",
            "(a, b, lower(c))",
            "(id, lower(b))",
            "(id) WHERE a > 1",
        ] {
            let seen = difference(&format!("{OWN} CREATE UNIQUE INDEX o ON t {over}"));
            assert!(seen.is_empty(), "{over}: {seen:?}");
        }
        for over in ["(b)", "(lower(b) || 'x')", "(b) WHERE length(a) IN (1, 2)"] {
            assert!(difference(&format!("{OWN} CREATE INDEX o ON t {over}")).is_empty());
        }
        // It fails for what is no JSON.
        for over in ["(json_extract(b, '$.x'))", "(b) WHERE json_type(a) = 'x'"] {
            let seen = difference(&format!("{OWN} CREATE INDEX o ON t {over}"));
            assert!(seen.refusals.iter().all(Refusal::is_own_index), "{over}");
            assert_eq!(seen.refusals.len(), 1, "{over}: {seen:?}");
        }
    }

    #[test]
    fn where_rows_are_left_out_or_replaced_one_more_key_fails() {
        let table = |more: &str| {
            let mut connection = Connection::in_memory().unwrap();
            let sql = format!("CREATE TABLE t (a UNIQUE ON CONFLICT IGNORE, b); {more}");
            connection.execute(&sql).unwrap();
            Structure::read(&mut connection, &[]).unwrap()
        };
        let seen = compare(&table("CREATE UNIQUE INDEX o ON t (a, b)"), &table(""));
        assert_eq!(seen.refusals.len(), 1, "{seen:?}");
    }

    #[test]
    fn a_constraint_is_judged_as_an_index_is() {
        let table = |more: &str| {
            let mut connection = Connection::in_memory().unwrap();
            let sql = format!("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b{more})");
            connection.execute(&sql).unwrap();
            Structure::read(&mut connection, &[]).unwrap()
        };
        let expected = table("");
        for (more, objects) in [
            (", UNIQUE (a, B)", &["unique constraint a, b of t"][..]),
            (", UNIQUE (a, id)", &[]),
            (", own, UNIQUE (a, own)", &[]),
        ] {
            let seen = compare(&table(more), &expected);
            let refused: Vec<&str> = seen.refusals.iter().map(|it| it.object.as_str()).collect();
            assert_eq!(refused, objects, "{more}");
        }
    }
}
