//! What decides which rows a table takes, and which of them are the same.
//!
//! Refused is what makes statements of the application fail that the expected table takes, or what would let one
//! row take the place of another; what the table merely takes beyond that is a note.

use super::difference::Difference;
use super::difference_own::{compare_own_columns, is_of_own_alone};
use super::difference_unique::{
    REFUSES_ROWS, is_kept_unique, primary_key_compares_otherwise, primary_key_refuses_rows,
};
use super::structure::{Column, Table};
use super::tokens::tokens;
use super::{Affinity, difference};

const NO_CONSTRAINT: &str = "SQLite cannot add a constraint to a table";

pub(super) fn compare_rules(
    name: &str,
    there: &Table,
    wanted: &Table,
    difference: &mut Difference,
) {
    compare_options(name, there, wanted, difference);
    compare_conflicts(name, there, wanted, difference);
    compare_primary_key(name, there, wanted, difference);
    compare_checks(name, there, wanted, difference);
    compare_own_columns(name, there, wanted, difference);
    for column in &there.columns {
        let object = format!("column {name}.{}", column.name);
        if let Some(wanted_column) = wanted.column(&column.name) {
            let decides = is_unique(there, column) || is_unique(wanted, wanted_column);
            compare_collation(object, column, wanted_column, decides, difference);
        }
    }
}

fn compare_options(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    let (found, expected) = (there.options, wanted.options);
    let object = || format!("table {name}");
    if found.strict && !expected.strict {
        let reason = "values of another type would be refused";
        difference.refuse(object(), "STRICT", "not STRICT", reason);
    } else if found.strict != expected.strict {
        let note = "is not STRICT, expected STRICT: it takes values of other types";
        difference.notes.push(format!("{} {note}", object()));
    }
    if found.without_rowid && !expected.without_rowid {
        let reason = "its rows have no number of their own";
        difference.refuse(object(), "WITHOUT ROWID", "rows with a number", reason);
    } else if found.without_rowid != expected.without_rowid {
        let note = "is not WITHOUT ROWID, as expected";
        difference.notes.push(format!("{} {note}", object()));
    }
    if found.autoincrement != expected.autoincrement {
        let note = match found.autoincrement {
            true => "has AUTOINCREMENT, which is not expected",
            false => {
                "has no AUTOINCREMENT, as is expected: numbers of deleted rows are given again"
            }
        };
        difference.notes.push(format!("{} {note}", object()));
    }
}

/// What becomes of a row that a constraint keeps out.
fn compare_conflicts(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    let (found, expected) = (&there.conflicts, &wanted.conflicts);
    if found != expected {
        let words = |clauses: &[String]| match clauses {
            [] => "no ON CONFLICT".to_owned(),
            clauses => clauses.join(", "),
        };
        let reason = "rows would be replaced, left out or refused otherwise";
        difference.refuse(
            format!("table {name}"),
            &words(found),
            &words(expected),
            reason,
        );
    }
}

fn compare_primary_key(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    let (found, expected) = (primary_key(there), primary_key(wanted));
    let words = |table: &Table, key: &[String]| match (table.primary_key.as_str(), key) {
        ("", []) => "nothing".to_owned(),
        ("", key) => key.join(", "),
        (compared, _) => compared.to_owned(),
    };
    let (found_words, expected_words) = (words(there, &found), words(wanted, &expected));
    let object = format!("primary key of {name}");
    if found == expected {
        if gives_numbers(wanted) && !gives_numbers(there) {
            let reason = "rows would get no number";
            difference.refuse(object, &found_words, "INTEGER PRIMARY KEY", reason);
        } else if gives_numbers(there) && !gives_numbers(wanted) {
            let note = "is the number of the row, which is not expected: it takes numbers only, and makes them up";
            difference.notes.push(format!("{object} {note}"));
        } else if primary_key_compares_otherwise(wanted, there) {
            let reason = "it would take other values for the same";
            difference.refuse(object, &found_words, &expected_words, reason);
        }
        return;
    }
    // A column that is to be added says itself that it cannot be.
    let is_there = |column: &String| there.column(column).is_some();
    let is_expected = |column: &String| wanted.column(column).is_some();
    let stands_for_it =
        !gives_numbers(wanted) && is_kept_unique(&wanted.primary_key, wanted, there);
    let lacks = !expected.is_empty() && expected.iter().all(is_there) && !stands_for_it;
    let is_narrower = expected.is_empty() && !found.is_empty() && found.iter().all(is_expected);
    if lacks || is_narrower {
        difference.refuse(object, &found_words, &expected_words, NO_CONSTRAINT);
    } else if primary_key_refuses_rows(there, wanted) {
        difference.refuse(object, &found_words, &expected_words, REFUSES_ROWS);
    }
}

/// Its columns in small letters, in the key's order.
pub(super) fn primary_key(table: &Table) -> Vec<String> {
    let mut key: Vec<(i64, String)> = table
        .columns
        .iter()
        .filter(|column| column.primary_key > 0)
        .map(|column| (column.primary_key, column.name.to_ascii_lowercase()))
        .collect();
    key.sort();
    key.into_iter().map(|(_, name)| name).collect()
}

/// Whether its primary key is the number of the row (<https://www.sqlite.org/lang_createtable.html#rowid>).
pub(super) fn gives_numbers(table: &Table) -> bool {
    let mut key = table.columns.iter().filter(|column| column.primary_key > 0);
    let (Some(column), None) = (key.next(), key.next()) else {
        return false;
    };
    // `INTEGER PRIMARY KEY DESC` is none, and has an index as every other key.
    let has_no_index = table.primary_key.is_empty();
    let is_integer = column.declared_type.eq_ignore_ascii_case("INTEGER");
    is_integer && has_no_index && !table.options.without_rowid
}

/// Whether some key of the table holds this column.
fn is_unique(table: &Table, column: &Column) -> bool {
    // Also what an expression is made of, and what decides whether a row counts.
    let is_in =
        |over: &String| tokens(over).any(|word| word.name().eq_ignore_ascii_case(&column.name));
    let in_key = column.primary_key > 0 && Affinity::of(&column.declared_type) != Affinity::Integer;
    let mut indexes = table.indexes.values().filter(|it| it.unique);
    in_key || table.unique.iter().any(is_in) || indexes.any(|it| is_in(&it.over))
}

fn compare_collation(
    object: String,
    found: &Column,
    wanted: &Column,
    decides: bool,
    difference: &mut Difference,
) {
    if found.collation == wanted.collation {
        return;
    }
    let word = |column: &Column| format!("COLLATE {}", column.collation);
    let (found, wanted) = (word(found), word(wanted));
    if decides {
        let reason = "a key of it would take other values for the same";
        difference.refuse(object, &found, &wanted, reason);
    } else {
        let note = format!("{object} is {found}, expected {wanted}: it is compared differently");
        difference.notes.push(note);
    }
}

fn compare_checks(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    let mut missing: Vec<&String> = wanted
        .columns
        .iter()
        .filter(|column| there.column(&column.name).is_some())
        .flat_map(|column| &column.checks)
        .chain(&wanted.checks)
        .collect();
    let mut beyond = Vec::new();
    for column in &there.columns {
        let harmless = |check: &str| is_of_a_boolean(column, check);
        beyond.extend(column.checks.iter().map(|it| (it, harmless(it))));
    }
    let harmless = |check: &str| is_of_any_boolean(there, check);
    beyond.extend(there.checks.iter().map(|it| (it, harmless(it))));
    // What is said of nothing but the database's own columns is told by trying.
    beyond.retain(|(check, _)| !is_of_own_alone(check, there, wanted));
    let wanted_checks = missing.clone();
    missing.retain(|check| beyond.iter().all(|(it, _)| it != check));
    beyond.retain(|(check, is_harmless)| !is_harmless && !wanted_checks.contains(check));
    beyond.dedup();
    for (check, _) in beyond {
        let expected = "no such condition";
        let reason = "rows would be refused that the application may write";
        let found = format!("CHECK ({check})");
        difference.refuse(format!("condition of {name}"), &found, expected, reason);
    }
    for check in missing {
        let note = format!("{}{name} lacks CHECK ({check})", difference::TABLE);
        difference.notes.push(note);
    }
}

/// What tools write for a truth value by themselves.
fn is_of_a_boolean(column: &Column, check: &str) -> bool {
    let is_boolean = column
        .declared_type
        .to_ascii_uppercase()
        .starts_with("BOOL");
    is_boolean && check == format!("{} in ( 0 , 1 )", column.name.to_ascii_lowercase())
}

fn is_of_any_boolean(table: &Table, check: &str) -> bool {
    let mut columns = table.columns.iter();
    columns.any(|column| is_of_a_boolean(column, check))
}

#[cfg(test)]
mod tests {
    use super::super::difference_tests::difference;

    #[test]
    fn what_would_make_the_applications_statements_fail_is_refused() {
        for (actual, expected, object) in [
            (
                "CREATE TABLE t (a, z TEXT NOT NULL)",
                "CREATE TABLE t (a)",
                "column t.z",
            ),
            (
                "CREATE TABLE t (a INT) STRICT",
                "CREATE TABLE t (a INT)",
                "table t",
            ),
            (
                "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID",
                "CREATE TABLE t (a TEXT PRIMARY KEY)",
                "table t",
            ),
            (
                "CREATE TABLE t (a CHECK (a > 1))",
                "CREATE TABLE t (a)",
                "condition of t",
            ),
            (
                "CREATE TABLE t (a, CHECK (a > 1))",
                "CREATE TABLE t (a, CHECK (a > 0))",
                "condition of t",
            ),
            (
                "CREATE TABLE t (a TEXT UNIQUE)",
                "CREATE TABLE t (a TEXT COLLATE NOCASE UNIQUE)",
                "column t.a",
            ),
            (
                "CREATE TABLE t (a TEXT, UNIQUE (a))",
                "CREATE TABLE t (a TEXT, UNIQUE (a COLLATE NOCASE))",
                "unique constraint a collate nocase of t",
            ),
            (
                "CREATE TABLE t (a TEXT, UNIQUE (a COLLATE NOCASE))",
                "CREATE TABLE t (a TEXT, UNIQUE (a))",
                "unique constraint a collate nocase of t",
            ),
            (
                "CREATE TABLE t (a TEXT, PRIMARY KEY (a))",
                "CREATE TABLE t (a TEXT, PRIMARY KEY (a COLLATE NOCASE))",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (a TEXT, PRIMARY KEY (a COLLATE NOCASE))",
                "CREATE TABLE t (a TEXT, PRIMARY KEY (a))",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (a TEXT PRIMARY KEY)",
                "CREATE TABLE t (a TEXT COLLATE NOCASE PRIMARY KEY)",
                "column t.a",
            ),
            (
                "CREATE TABLE t (a, b, PRIMARY KEY (a)); CREATE UNIQUE INDEX i ON t (a, b)",
                "CREATE TABLE t (a, b, PRIMARY KEY (a, b))",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (a INTEGER PRIMARY KEY, b, UNIQUE (a, b))",
                "CREATE TABLE t (a INTEGER UNIQUE, b, PRIMARY KEY (a, b))",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (a, b PRIMARY KEY); CREATE UNIQUE INDEX i ON t (a)",
                "CREATE TABLE t (a PRIMARY KEY, b)",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (id INT PRIMARY KEY)",
                "CREATE TABLE t (id INTEGER PRIMARY KEY)",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY DESC)",
                "CREATE TABLE t (id INTEGER PRIMARY KEY)",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (a, own NOT NULL DEFAULT NULL)",
                "CREATE TABLE t (a)",
                "column t.own",
            ),
            (
                "CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE)",
                "CREATE TABLE t (a UNIQUE)",
                "table t",
            ),
            (
                "CREATE TABLE t (a UNIQUE)",
                "CREATE TABLE t (a UNIQUE ON CONFLICT IGNORE)",
                "table t",
            ),
            (
                "CREATE TABLE t (id INTEGER, a)",
                "CREATE TABLE t (id INTEGER PRIMARY KEY, a)",
                "primary key of t",
            ),
            (
                "CREATE TABLE t (a ANY)",
                "CREATE TABLE t (a ANY) STRICT",
                "column t.a",
            ),
            (
                "CREATE TABLE t (a BLOB) STRICT",
                "CREATE TABLE t (a ANY) STRICT",
                "column t.a",
            ),
            (
                "CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE, b UNIQUE)",
                "CREATE TABLE t (a UNIQUE, b UNIQUE ON CONFLICT REPLACE)",
                "table t",
            ),
            (
                "CREATE TABLE t (\"first name\" TEXT UNIQUE)",
                "CREATE TABLE t (\"first name\" TEXT COLLATE NOCASE UNIQUE)",
                "column t.first name",
            ),
            (
                "CREATE TABLE t (a, b, \"a, b\", UNIQUE (\"a, b\"), UNIQUE (a, b))",
                "CREATE TABLE t (a, b, \"a, b\", UNIQUE (a, b))",
                "unique constraint \"a, b\" of t",
            ),
            (
                "CREATE TABLE t (a, b COLLATE NOCASE); CREATE UNIQUE INDEX i ON t (a) WHERE b = 'x'",
                "CREATE TABLE t (a, b); CREATE UNIQUE INDEX i ON t (a) WHERE b = 'x'",
                "column t.b",
            ),
            (
                "CREATE TABLE t (a COLLATE NOCASE); CREATE UNIQUE INDEX i ON t (a || 'x')",
                "CREATE TABLE t (a); CREATE UNIQUE INDEX i ON t (a || 'x')",
                "column t.a",
            ),
        ] {
            let seen = difference(actual, expected);
            let objects: Vec<&str> = seen.refusals.iter().map(|it| it.object.as_str()).collect();
            assert_eq!(objects, [object], "{actual}");
            assert!(seen.additions.is_empty(), "{actual}");
        }
    }

    #[test]
    fn what_a_table_merely_takes_beyond_is_a_note() {
        for (actual, expected, note) in [
            (
                "CREATE TABLE t (a TEXT NOT NULL)",
                "CREATE TABLE t (a TEXT)",
                "NOT NULL, expected nullable",
            ),
            (
                "CREATE TABLE t (a INT)",
                "CREATE TABLE t (a INT) STRICT",
                "STRICT",
            ),
            (
                "CREATE TABLE t (a TEXT PRIMARY KEY)",
                "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID",
                "WITHOUT ROWID",
            ),
            (
                "CREATE TABLE t (a INTEGER PRIMARY KEY)",
                "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)",
                "AUTOINCREMENT",
            ),
            (
                "CREATE TABLE t (a)",
                "CREATE TABLE t (a CHECK (a > 1))",
                "lacks CHECK (a > 1)",
            ),
            (
                "CREATE TABLE t (a TEXT)",
                "CREATE TABLE t (a TEXT COLLATE NOCASE)",
                "COLLATE BINARY, expected COLLATE NOCASE",
            ),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY)",
                "CREATE TABLE t (id BIGINT PRIMARY KEY)",
                "the number of the row",
            ),
        ] {
            let seen = difference(actual, expected);
            assert!(seen.is_empty(), "{actual}: {seen:?}");
            assert!(
                seen.notes.iter().any(|it| it.contains(note)),
                "{actual}: {seen:?}"
            );
        }
    }

    #[test]
    fn another_spelling_is_no_difference() {
        for (actual, expected) in [
            (
                "CREATE TABLE t (\"A\" TEXT collate nocase, b BOOLEAN CHECK (b IN (0, 1)))",
                "CREATE TABLE t (a text COLLATE \"NOCASE\", B BOOLEAN)",
            ),
            (
                "CREATE TABLE t (a, b, CONSTRAINT c CHECK(a>1 /* so */ AND b<'X'))",
                "CREATE TABLE t (a CHECK ([a] > 1 and B < 'X'), b)",
            ),
            (
                "CREATE TABLE t (a TEXT NOT NULL, UNIQUE (a))",
                "CREATE TABLE t (a TEXT NOT NULL PRIMARY KEY)",
            ),
            (
                "CREATE TABLE t (a TEXT COLLATE NOCASE, UNIQUE (a))",
                "CREATE TABLE t (a TEXT COLLATE NOCASE, UNIQUE (a COLLATE NOCASE))",
            ),
            (
                "CREATE TABLE t (a, b NOT NULL ON CONFLICT REPLACE DEFAULT 1, PRIMARY KEY (A) ON CONFLICT ignore)",
                "CREATE TABLE t (a PRIMARY KEY DESC on conflict IGNORE, b NOT NULL on conflict replace DEFAULT 1)",
            ),
            (
                "CREATE TABLE t (a CHECK (a > 1), CHECK (a > 1))",
                "CREATE TABLE t (a, CHECK (a > 1))",
            ),
            (
                "CREATE TABLE t (\"x, y\" INTEGER PRIMARY KEY, a, UNIQUE (a, \"x, y\"))",
                "CREATE TABLE t (\"x, y\" INTEGER PRIMARY KEY, a)",
            ),
            (
                "CREATE TABLE t (a UNIQUE ON conflict abort)",
                "CREATE TABLE t (a UNIQUE)",
            ),
            (
                "CREATE TABLE t (own INTEGER PRIMARY KEY, a UNIQUE)",
                "CREATE TABLE t (a PRIMARY KEY)",
            ),
            (
                "CREATE TABLE t (own TEXT PRIMARY KEY, a UNIQUE)",
                "CREATE TABLE t (a PRIMARY KEY)",
            ),
            (
                "CREATE TABLE t (a, b, PRIMARY KEY (a, b)); CREATE UNIQUE INDEX i ON t (a)",
                "CREATE TABLE t (a PRIMARY KEY, b)",
            ),
            (
                "CREATE TABLE t (a TEXT, b); CREATE UNIQUE INDEX i ON t (b, a COLLATE NOCASE)",
                "CREATE TABLE t (a TEXT, b, UNIQUE (a COLLATE NOCASE, b))",
            ),
            (
                "CREATE TABLE t (a, b, UNIQUE (b, a))",
                "CREATE TABLE t (a, b, UNIQUE (a, b))",
            ),
            (
                "CREATE TABLE t (a, b, PRIMARY KEY (b, a))",
                "CREATE TABLE t (a, b, PRIMARY KEY (a, b))",
            ),
            (
                "CREATE TABLE p (a, b, PRIMARY KEY (b, a)); CREATE TABLE t (a, b, FOREIGN KEY (a, b) REFERENCES p)",
                "CREATE TABLE p (a, b, PRIMARY KEY (b, a));
                 CREATE TABLE t (a, b, FOREIGN KEY (b, a) REFERENCES p (a, b))",
            ),
            (
                "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, own INT NOT NULL DEFAULT 1)",
                "CREATE TABLE t (id INTEGER PRIMARY KEY)",
            ),
        ] {
            let seen = difference(actual, expected);
            assert!(seen.is_empty(), "{actual}: {seen:?}");
            let is_noted = seen.notes.iter().any(|it| it.contains("column t.id"));
            assert!(!is_noted, "{actual}: {seen:?}");
        }
    }
}
