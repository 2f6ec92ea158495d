//! Foreign keys.

use super::difference::Difference;
use super::structure::{ForeignKey, Table};
use super::tokens::tokens;

pub(super) fn compare_foreign_keys(
    name: &str,
    there: &Table,
    wanted: &Table,
    difference: &mut Difference,
) {
    let object = |key: &ForeignKey| format!("foreign key {} of {name}", key.columns);
    let mut own: Vec<&ForeignKey> = there.foreign_keys.iter().collect();
    let mut missing: Vec<&ForeignKey> = wanted.foreign_keys.iter().collect();
    own.retain(|key| wanted.foreign_keys.iter().all(|it| !is_same(it, key)));
    missing.retain(|key| there.foreign_keys.iter().all(|it| !is_same(it, key)));
    for key in missing {
        if let Some(at) = own.iter().position(|it| has_same_columns(it, key)) {
            let reason = "deleting or changing what it refers to would do something else";
            let found = rules(own.remove(at));
            difference.refuse(object(key), found, rules(key), reason);
        } else if !comes_along(key, there, wanted) {
            let reason = "SQLite cannot add a constraint to a table";
            difference.refuse(object(key), "nothing", &key.columns, reason);
        }
    }
    for key in own.into_iter().filter(|key| is_filled(key, there, wanted)) {
        if changes_rows(key) {
            let reason = "rows would go or change with what they refer to";
            difference.refuse(object(key), rules(key), "no such key", reason);
        } else {
            let why = "it refuses rows where foreign keys are on";
            let note = format!("{} is not expected: {why}", object(key));
            difference.notes.push(note);
        }
    }
}

fn is_same(one: &ForeignKey, other: &ForeignKey) -> bool {
    has_same_columns(one, other) && one.rules == other.rules
}

fn has_same_columns(one: &ForeignKey, other: &ForeignKey) -> bool {
    one.columns.eq_ignore_ascii_case(&other.columns)
}

fn rules(key: &ForeignKey) -> &str {
    match key.rules.as_str() {
        "" => "NO ACTION",
        rules => rules,
    }
}

fn changes_rows(key: &ForeignKey) -> bool {
    ["CASCADE", "SET "]
        .iter()
        .any(|action| key.rules.contains(action))
}

/// Whether the application's rows refer to something by it: where one of its columns is empty, nothing is
/// (<https://www.sqlite.org/foreignkeys.html#fk_basics>).
fn is_filled(key: &ForeignKey, there: &Table, wanted: &Table) -> bool {
    let is_left_empty = |column: &String| {
        let own = there.column(column);
        wanted.column(column).is_none() && own.is_some_and(|own| own.is_empty_by_default())
    };
    !key.from.iter().any(is_left_empty)
}

/// Whether a foreign key is part of a column that is to be added.
fn comes_along(key: &ForeignKey, there: &Table, wanted: &Table) -> bool {
    let [from] = &key.from[..] else { return false };
    let column = wanted
        .column(from)
        .filter(|it| there.column(&it.name).is_none());
    column.is_some_and(|it| tokens(&it.definition).any(|word| word.is("REFERENCES")))
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, Structure, compare};
    use super::*;

    fn difference(actual: &str, expected: &str) -> Difference {
        let [actual, expected] = [actual, expected].map(|sql| {
            let mut connection = Connection::in_memory().unwrap();
            connection.execute(sql).unwrap();
            Structure::read(&mut connection, &[]).unwrap()
        });
        compare(&actual, &expected)
    }

    #[test]
    fn another_action_of_a_foreign_key_is_refused() {
        let make = |key: &str| {
            format!(
                "CREATE TABLE p (id INTEGER PRIMARY KEY, b, UNIQUE (id, b));
                 CREATE TABLE t (a, b REFERENCES p (id) ON DELETE SET NULL,
                   x REFERENCES p (id) {key},
                   FOREIGN KEY (a, b) REFERENCES p (id, b) ON UPDATE CASCADE)"
            )
        };
        let rules = [
            "",
            "ON DELETE CASCADE",
            "ON DELETE RESTRICT",
            "ON DELETE SET NULL",
            "ON DELETE CASCADE ON UPDATE RESTRICT",
            "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
        ];
        for found in rules {
            for expected in rules {
                let seen = difference(&make(found), &make(expected));
                let word = |rules: &str| match rules {
                    "" => "NO ACTION".to_owned(),
                    rules => rules.to_owned(),
                };
                let refused: Vec<_> = seen.refusals.iter().collect();
                if found == expected {
                    assert_eq!(seen, Difference::default(), "{found}");
                    continue;
                }
                let [refused] = refused[..] else {
                    panic!("{found}, {expected}: {seen:?}");
                };
                assert_eq!(refused.object, "foreign key x -> p(id) of t");
                assert_eq!(
                    (&refused.found, &refused.expected),
                    (&word(found), &word(expected))
                );
            }
        }
        let seen = difference(&make(" on delete NO ACTION deferrable"), &make(""));
        assert_eq!(seen, Difference::default());
    }

    #[test]
    fn a_foreign_key_of_the_databases_own_is_a_note() {
        let make = |table: &str| {
            format!("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t ({table})")
        };
        let there = make("a REFERENCES p, own REFERENCES p");
        let seen = difference(&there, &make("a"));
        assert!(seen.is_empty(), "{seen:?}");
        assert_eq!(seen.notes.len(), 1, "{seen:?}");
        assert!(seen.notes[0].starts_with("foreign key a -> p(id) of t is not expected"));
    }

    #[test]
    fn a_key_of_two_columns_is_not_two_of_one() {
        let make = |keys: &str| {
            format!(
                "CREATE TABLE p (x PRIMARY KEY, y UNIQUE, UNIQUE (x, y)); CREATE TABLE t (a, b{keys})"
            )
        };
        let both = ", FOREIGN KEY (a, b) REFERENCES p (x, y)";
        let each = ", FOREIGN KEY (a) REFERENCES p (x), FOREIGN KEY (b) REFERENCES p (y)";
        let seen = difference(&make(each), &make(both));
        let [refused] = &seen.refusals[..] else {
            panic!("{seen:?}");
        };
        assert_eq!(refused.object, "foreign key a, b -> p(x, y) of t");
        assert_eq!(difference(&make(both), &make(each)).refusals.len(), 2);
        let turned = ", FOREIGN KEY (B, a) REFERENCES p (y, x)";
        assert_eq!(
            difference(&make(turned), &make(both)),
            Difference::default()
        );
    }

    #[test]
    fn one_that_takes_rows_along_is_refused_beside_another_of_its_columns_too() {
        let make = |keys: &str| {
            format!("CREATE TABLE p (x PRIMARY KEY); CREATE TABLE t (a, own, full DEFAULT 1{keys})")
        };
        let plain = ", FOREIGN KEY (a) REFERENCES p (x)";
        for (more, expected, is_refused) in [
            (
                ", FOREIGN KEY (a) REFERENCES p (x) ON DELETE CASCADE",
                plain,
                true,
            ),
            (
                ", FOREIGN KEY (a) REFERENCES p (x) ON UPDATE SET NULL",
                plain,
                true,
            ),
            (
                ", FOREIGN KEY (a) REFERENCES p (x) ON DELETE RESTRICT",
                plain,
                false,
            ),
            (plain, plain, false),
        ] {
            let seen = difference(&make(&format!("{plain}{more}")), &make(expected));
            assert_eq!(!seen.is_empty(), is_refused, "{more}: {seen:?}");
        }
        let expected = "CREATE TABLE p (x PRIMARY KEY); CREATE TABLE t (a)";
        for (column, is_refused) in [("own", false), ("full", true)] {
            let key = format!(", FOREIGN KEY ({column}) REFERENCES p (x) ON DELETE CASCADE");
            let seen = difference(&make(&key), expected);
            assert_eq!(!seen.is_empty(), is_refused, "{column}: {seen:?}");
            assert!(seen.notes.is_empty(), "{seen:?}");
        }
    }
}
