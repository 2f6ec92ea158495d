//! What is made by a statement of its own and holds no values: indexes, views, triggers.
//!
//! One that is missing is made; one of the same name that is another is never replaced.

use std::collections::BTreeMap;

use super::difference::Difference;
use super::difference_unique::key;
use super::structure::{Structure, Table, found};
use super::tokens::{normalised, on_one_line};

const NOT_REPLACED: &str = "the gate replaces nothing that is there";

pub(super) fn compare_indexes(
    actual: &Structure,
    there: &Table,
    wanted: &Table,
    difference: &mut Difference,
) {
    for (index, definition) in &wanted.indexes {
        let elsewhere = || {
            let mut tables = actual.tables.values();
            tables.find_map(|table| found(&table.indexes, index))
        };
        match found(&there.indexes, index) {
            Some(it) if it.unique == definition.unique && it.over == definition.over => {}
            Some(it) if it.unique && definition.unique && is_turned(&it.over, &definition.over) => {
                let over = &it.over;
                let note = format!(
                    "{} is over {over}, expected {}",
                    self::index(index),
                    definition.over
                );
                difference.notes.push(note);
            }
            same => match same.or_else(elsewhere) {
                Some(it) => refuse(self::index(index), &it.sql, &definition.sql, difference),
                None => difference.make(self::index(index), definition.sql.clone()),
            },
        }
    }
}

/// Whether two keys are of the same columns, of which only searches by one of them notice the order.
fn is_turned(one: &str, other: &str) -> bool {
    let sorted = |over: &str| {
        let mut columns = key(over)?;
        columns.sort();
        Some(columns)
    };
    sorted(one).is_some_and(|columns| sorted(other) == Some(columns))
}

pub(super) fn compare_views(actual: &Structure, expected: &Structure, difference: &mut Difference) {
    for (name, sql) in &expected.views {
        match actual.table(name) {
            Some(table) => refuse(format!("view {name}"), &table.sql, sql, difference),
            None => compare_statement("view", name, actual.view(name), sql, difference),
        }
    }
}

/// Behind the tables and views that they belong to.
pub(super) fn compare_triggers(
    actual: &Structure,
    expected: &BTreeMap<String, String>,
    difference: &mut Difference,
) {
    for (name, sql) in expected {
        compare_statement("trigger", name, actual.trigger(name), sql, difference);
    }
}

fn compare_statement(
    kind: &str,
    name: &str,
    there: Option<&str>,
    wanted: &str,
    difference: &mut Difference,
) {
    let object = format!("{kind} {name}");
    match there {
        None => difference.make(object, wanted.to_owned()),
        Some(there) if normalised(there) == normalised(wanted) => {}
        Some(there) => refuse(object, there, wanted, difference),
    }
}

fn refuse(object: String, found: &str, wanted: &str, difference: &mut Difference) {
    let (found, wanted) = (on_one_line(found), on_one_line(wanted));
    difference.refuse(object, &found, &wanted, NOT_REPLACED);
}

pub(super) fn index(name: &str) -> String {
    format!("index {name}")
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, compare};
    use super::*;

    const TABLES: &str = "CREATE TABLE t (a, b); CREATE TABLE u (a);";

    fn difference(actual: &str, expected: &str) -> Difference {
        let [actual, expected] = [actual, expected].map(|sql| {
            let mut connection = Connection::in_memory().unwrap();
            connection.execute(&format!("{TABLES}{sql}")).unwrap();
            Structure::read(&mut connection, &[]).unwrap()
        });
        compare(&actual, &expected)
    }

    const TRIGGER: &str = "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM u; END";

    #[test]
    fn what_is_missing_is_made_behind_what_it_needs() {
        let expected =
            format!("{TRIGGER}; CREATE VIEW v AS SELECT a FROM t; CREATE INDEX i ON t (a);");
        let seen = difference("", &expected);
        let objects: Vec<&str> = seen.additions.iter().map(|it| it.object.as_str()).collect();
        assert_eq!(objects, ["index i", "view v", "trigger g"]);
        assert!(seen.holds_no_values());
    }

    #[test]
    fn the_order_of_a_unique_indexs_columns_is_a_note() {
        let expected = "CREATE UNIQUE INDEX i ON t (a, b)";
        let seen = difference("CREATE UNIQUE INDEX i ON t (b, a)", expected);
        assert!(seen.is_empty(), "{seen:?}");
        assert_eq!(seen.notes, ["index i is over b, a, expected a, b"]);
    }

    #[test]
    fn another_one_of_the_same_name_is_refused() {
        let unique = "CREATE UNIQUE INDEX i ON t (a)";
        for (actual, expected) in [
            ("CREATE INDEX i ON t (a)", unique),
            ("CREATE UNIQUE INDEX i ON t (b)", unique),
            ("CREATE UNIQUE INDEX i ON t (a, b)", unique),
            ("CREATE UNIQUE INDEX i ON u (a)", unique),
            ("CREATE UNIQUE INDEX i ON t (a COLLATE NOCASE)", unique),
            ("CREATE UNIQUE INDEX i ON t (a) WHERE b > 1", unique),
            ("CREATE INDEX i ON t (a + 1)", "CREATE INDEX i ON t (a + 2)"),
            (
                "CREATE VIEW v AS SELECT b FROM t",
                "CREATE VIEW v AS SELECT a FROM t",
            ),
            ("CREATE TABLE v (a)", "CREATE VIEW v AS SELECT a FROM t"),
            ("CREATE VIEW w AS SELECT a FROM t", "CREATE TABLE w (a)"),
            (&TRIGGER.replace("AFTER", "BEFORE"), TRIGGER),
        ] {
            let seen = difference(actual, expected);
            assert_eq!(
                (seen.refusals.len(), seen.additions.len()),
                (1, 0),
                "{actual}: {seen:?}"
            );
        }
    }

    #[test]
    fn another_spelling_is_no_other_one() {
        for (actual, expected) in [
            (
                "create unique index if not exists main.I on [t] ( \"A\" asc ) -- here",
                "CREATE UNIQUE INDEX i ON t (a)",
            ),
            (
                "create view if not exists V as select \"a\" from t /* all */",
                "CREATE VIEW v AS SELECT a FROM t",
            ),
            (&TRIGGER.to_lowercase(), TRIGGER),
            (&TRIGGER.replace(" BEGIN", " FOR EACH ROW BEGIN"), TRIGGER),
            (
                "CREATE INDEX i ON t (a ASC) WHERE ((b != 1) AND (a > 2))",
                "CREATE INDEX i ON t (a) WHERE (b <> 1) AND (a > 2)",
            ),
            (
                "CREATE INDEX own ON t (b); CREATE VIEW own_too AS SELECT 1",
                "",
            ),
        ] {
            assert_eq!(
                difference(actual, expected),
                Difference::default(),
                "{actual}"
            );
        }
    }
}
