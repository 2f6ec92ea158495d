//! Foreign keys.

use std::collections::BTreeSet;

use super::difference::Difference;
use super::difference_rules::primary_key;
use super::difference_unique::keys_of;
use super::structure::{ForeignKey, Structure, Table};
use super::tokens::tokens;

/// What is there, and what is expected.
#[derive(Clone, Copy)]
pub(super) struct Structures<'a> {
    pub(super) actual: &'a Structure,
    pub(super) expected: &'a Structure,
}

pub(super) fn compare_foreign_keys(
    name: &str,
    there: &Table,
    wanted: &Table,
    structures: Structures<'_>,
    difference: &mut Difference,
) {
    let Structures { actual, expected } = structures;
    // A table that is to be added is as it is expected.
    let found: Vec<Key<'_>> = keys(there, [actual, expected]);
    let meant: Vec<Key<'_>> = keys(wanted, [expected, actual]);
    let mut own: Vec<&Key<'_>> = found.iter().filter(|key| !meant.contains(key)).collect();
    for key in meant.iter().filter(|key| !found.contains(key)) {
        if let Some(at) = own.iter().position(|it| it.refers_as(key)) {
            let reason = "deleting or changing what it refers to would do something else";
            let found = own.remove(at).rules();
            difference.refuse(key.object(name), found, key.rules(), reason);
        } else if !comes_along(key.of, there, wanted) {
            let reason = "SQLite cannot add a constraint to a table";
            difference.refuse(key.object(name), "nothing", &key.words(), reason);
        }
    }
    for key in own {
        if actual
            .table(&key.of.table)
            .is_some_and(|parent| !key.is_found_in(parent))
        {
            let why = "it refers to no key, and where foreign keys are on no row can be written";
            let note = format!("{} is not expected: {why}", key.object(name));
            difference.notes.push(note);
        } else if !is_filled(key.of, there, wanted) {
            // It refuses nothing and takes nothing along.
        } else if key.changes_rows() {
            let reason = "rows would go or change with what they refer to";
            difference.refuse(key.object(name), key.rules(), "no such key", reason);
        } else {
            let why = "it refuses rows where foreign keys are on";
            let note = format!("{} is not expected: {why}", key.object(name));
            difference.notes.push(note);
        }
    }
}

/// A foreign key with the columns that it means.
struct Key<'a> {
    of: &'a ForeignKey,
    /// Which column refers to which, in small letters, sorted: which one is named first says nothing.
    columns: Vec<(String, String)>,
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.refers_as(other) && self.of.rules == other.of.rules
    }
}

/// One that names no columns refers to the primary key, and to nothing where that has not as many
/// (<https://www.sqlite.org/foreignkeys.html#fk_indexes>).
fn keys<'a>(table: &'a Table, structures: [&Structure; 2]) -> Vec<Key<'a>> {
    let resolve = |of: &'a ForeignKey| {
        let parent = structures.iter().find_map(|it| it.table(&of.table));
        let to = match (of.to.is_empty(), parent) {
            (true, Some(parent)) => primary_key(parent),
            _ => of.to.clone(),
        };
        let small = |name: &String| name.to_ascii_lowercase();
        let to = match to.len() == of.from.len() {
            true => to.iter().map(small).collect(),
            false => vec![String::new(); of.from.len()],
        };
        let mut columns: Vec<_> = of.from.iter().map(small).zip(to).collect();
        columns.sort();
        Key { of, columns }
    };
    table.foreign_keys.iter().map(resolve).collect()
}

impl Key<'_> {
    fn refers_as(&self, other: &Self) -> bool {
        self.columns == other.columns && self.of.table.eq_ignore_ascii_case(&other.of.table)
    }

    fn rules(&self) -> &str {
        match self.of.rules.as_str() {
            "" => "NO ACTION",
            rules => rules,
        }
    }

    fn words(&self) -> String {
        let (from, to): (Vec<_>, Vec<_>) = self.columns.iter().cloned().unzip();
        format!(
            "{} -> {}({})",
            from.join(", "),
            self.of.table,
            to.join(", ")
        )
    }

    fn object(&self, table: &str) -> String {
        format!("foreign key {} of {table}", self.words())
    }

    fn changes_rows(&self) -> bool {
        let mut actions = ["CASCADE", "SET "].iter();
        actions.any(|action| self.of.rules.contains(action))
    }

    /// Whether the table that it refers to has a key of just those columns.
    fn is_found_in(&self, parent: &Table) -> bool {
        let to: BTreeSet<&String> = self.columns.iter().map(|(_, to)| to).collect();
        let is_it = |key: &Vec<(String, String)>| {
            key.iter()
                .map(|(column, _)| column)
                .collect::<BTreeSet<_>>()
                == to
        };
        keys_of(parent).iter().any(is_it)
    }
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
    column.is_some_and(|it| {
        let mut words = tokens(&it.definition).skip_while(|word| !word.is("REFERENCES"));
        let table = words.nth(1).map(|table| table.name());
        table.is_some_and(|table| table.eq_ignore_ascii_case(&key.table))
    })
}

#[cfg(test)]
mod tests {
    use super::super::difference_tests::difference;
    use super::*;

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
    fn the_primary_key_is_meant_where_no_column_is_named() {
        let one = "CREATE TABLE p (x, y, PRIMARY KEY (x, y), UNIQUE (x));";
        let two = "CREATE TABLE p (x PRIMARY KEY);";
        for (parent, there, expected, refusals) in [
            (one, "a REFERENCES p", "a REFERENCES p (x)", 1),
            (two, "a REFERENCES p", "a REFERENCES P (X)", 0),
            (
                one,
                "a, b, FOREIGN KEY (a, b) REFERENCES p",
                "a, b, FOREIGN KEY (b, a) REFERENCES p (y, x)",
                0,
            ),
        ] {
            let make = |columns: &str| format!("{parent} CREATE TABLE t ({columns})");
            let seen = difference(&make(there), &make(expected));
            assert_eq!(seen.refusals.len(), refusals, "{there}: {seen:?}");
        }
        // Of a table that is to be added.
        let expected = format!("{two} CREATE TABLE t (a REFERENCES p (x))");
        let seen = difference("CREATE TABLE t (a REFERENCES p)", &expected);
        assert!(
            seen.refusals.is_empty() && seen.additions.len() == 1,
            "{seen:?}"
        );
    }

    #[test]
    fn one_that_refers_to_no_key_is_told() {
        let make = |columns: &str| format!("CREATE TABLE p (x, u); CREATE TABLE t ({columns})");
        let seen = difference(&make("a, own REFERENCES p (u)"), &make("a"));
        assert!(
            seen.is_empty() && seen.notes[0].contains("refers to no key"),
            "{seen:?}"
        );
    }

    #[test]
    fn a_column_brings_its_own_key_along_and_no_other() {
        let parents = "CREATE TABLE p (x PRIMARY KEY); CREATE TABLE q (x PRIMARY KEY);";
        let expected = format!(
            "{parents} CREATE TABLE t (a, b REFERENCES p (x), FOREIGN KEY (b) REFERENCES q (x))"
        );
        let seen = difference(&format!("{parents} CREATE TABLE t (a)"), &expected);
        assert_eq!(seen.refusals.len(), 1, "{seen:?}");
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
