use super::difference_keys::{Structures, compare_foreign_keys};
use super::difference_named::{compare_indexes, compare_triggers, compare_views, index};
use super::difference_rules::{compare_rules, gives_numbers};
use super::difference_unique::{NO_SUCH_INDEX, compare_own_keys, is_kept_unique};
use super::structure::found;
use super::tokens::{normalised, on_one_line, tokens};
use super::{Affinity, Column, Structure, Table, quoted};

/// What lies between the structure that is there and the one that is expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is missing and can be added without touching a row, with the statement that adds it.
    pub additions: Vec<Addition>,
    /// What cannot be had by adding.
    pub refusals: Vec<Refusal>,
    /// Deviations that no statement of the application depends on.
    pub notes: Vec<String>,
}

/// What the name of a table is written behind.
pub(super) const TABLE: &str = "table ";

/// Something missing, and the statement that adds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Such as `table playbooks`, `column playbooks.risk_level`.
    pub object: String,
    /// Adds it.
    pub statement: String,
    /// Whether it holds values of its own, which adding it again would not bring back. An index is made
    /// from its table's, and a view or a trigger is but a statement.
    pub holds_values: bool,
}

/// A deviation that only a person can resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Such as `column playbooks.risk_level`.
    pub object: String,
    /// What is there.
    pub found: String,
    /// What is expected.
    pub expected: String,
    /// Why it cannot be added.
    pub reason: &'static str,
}

impl Refusal {
    /// Whether it is an index that is not expected, without which no row is lost.
    pub fn is_own_index(&self) -> bool {
        self.expected == NO_SUCH_INDEX
    }
}

impl Difference {
    /// Whether everything expected is there.
    pub fn is_empty(&self) -> bool {
        self.additions.is_empty() && self.refusals.is_empty()
    }

    /// How many expected things are not there.
    pub fn len(&self) -> usize {
        self.additions.len() + self.refusals.len()
    }

    /// Whether all that is missing can be made from what is there.
    pub fn holds_no_values(&self) -> bool {
        self.refusals.is_empty() && self.additions.iter().all(|addition| !addition.holds_values)
    }

    /// Whether a table is missing.
    pub fn lacks_a_table(&self) -> bool {
        self.additions.iter().any(|it| it.object.starts_with(TABLE))
    }

    /// Of all tables that there are: where one that is not expected has the columns of one that is missing, that one
    /// is not made anew, because it may have been renamed, with its rows.
    pub fn suspect_renames(&mut self, all: &Structure, expected: &Structure) {
        for (name, wanted) in &expected.tables {
            if all.table(name).is_some() {
                continue;
            }
            // As it is, or as it was before newer columns came.
            let may_be_it = |table: &Table| {
                let mut columns = table.columns.iter();
                table.columns.len() > 1 && columns.all(|it| wanted.column(&it.name).is_some())
            };
            let mut tables = all.tables.iter();
            let renamed = tables.find(|(name, it)| expected.table(name).is_none() && may_be_it(it));
            let Some((found, _)) = renamed else {
                continue;
            };
            let object = format!("{TABLE}{name}");
            let its_indexes: Vec<String> = wanted.indexes.keys().map(|it| index(it)).collect();
            self.additions
                .retain(|it| it.object != object && !its_indexes.contains(&it.object));
            let found = format!("{found}, which has its columns");
            let reason = "a rename is suspected, and an empty one would hide its rows";
            self.refuse(object, &found, name, reason);
        }
    }

    fn add(&mut self, object: String, statement: String) {
        self.additions.push(Addition {
            object,
            statement,
            holds_values: true,
        });
    }

    pub(super) fn make(&mut self, object: String, statement: String) {
        self.additions.push(Addition {
            object,
            statement,
            holds_values: false,
        });
    }

    pub(super) fn refuse(
        &mut self,
        object: String,
        found: &str,
        expected: &str,
        reason: &'static str,
    ) {
        self.refusals.push(Refusal {
            object,
            found: found.to_owned(),
            expected: expected.to_owned(),
            reason,
        });
    }
}

/// Compares what is there with what is expected. What is there and not expected is the application's
/// own and no deviation, as long as it does not keep the application's statements from working.
pub fn compare(actual: &Structure, expected: &Structure) -> Difference {
    let mut difference = Difference::default();
    for (name, wanted) in &expected.tables {
        if expected.is_behind_another(name) {
            continue;
        }
        match (actual.table(name), actual.view(name)) {
            (Some(there), _) => {
                compare_table(name, there, wanted, &mut difference);
                let structures = Structures { actual, expected };
                compare_foreign_keys(name, there, wanted, structures, &mut difference);
                compare_indexes(actual, there, wanted, &mut difference);
                let has_index = |index: &str| {
                    let mut tables = expected.tables.values();
                    tables.any(|table| found(&table.indexes, index).is_some())
                };
                compare_own_keys(name, there, wanted, has_index, &mut difference);
            }
            (None, Some(view)) => {
                let reason = "a view has its name";
                difference.refuse(format!("{TABLE}{name}"), view, name, reason);
            }
            (None, None) => {
                difference.add(format!("{TABLE}{name}"), wanted.sql.clone());
                compare_indexes(actual, &Table::default(), wanted, &mut difference);
            }
        }
    }
    compare_views(actual, expected, &mut difference);
    compare_triggers(actual, &expected.triggers, &mut difference);
    difference
}

fn compare_table(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    if there.is_virtual() || wanted.is_virtual() {
        return compare_virtual(name, there, wanted, difference);
    }
    let unexpected = there
        .columns
        .iter()
        .find(|column| wanted.column(&column.name).is_none());
    let is_number =
        |column: &Column| column.primary_key > 0 && gives_numbers(there) && gives_numbers(wanted);
    for column in &wanted.columns {
        let object = format!("column {name}.{}", column.name);
        match there.column(&column.name) {
            // Whatever is said of it, it is given where it is NULL.
            Some(found) if is_number(found) && is_number(column) => {}
            Some(found) => {
                let differs = is_of_other_type((found, there), (column, wanted));
                compare_column(object, found, column, differs, difference);
            }
            None => match why_not_addable(column, unexpected) {
                None => {
                    let definition = &column.definition;
                    let statement = format!("ALTER TABLE {} ADD COLUMN {definition}", quoted(name));
                    difference.add(object, statement);
                }
                Some(reason) => {
                    let found = unexpected.map_or("nothing", |column| column.name.as_str());
                    difference.refuse(object, found, &behind_its_name(column), reason);
                }
            },
        }
    }
    compare_order(name, there, wanted, difference);
    compare_constraints(name, there, wanted, difference);
    compare_rules(name, there, wanted, difference);
}

/// What keeps its rows is told by its arguments.
fn compare_virtual(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    let arguments = |table: &Table| normalised(&table.sql);
    if arguments(there) != arguments(wanted) {
        let reason = "what keeps its rows cannot be changed by adding";
        let (found, wanted) = (on_one_line(&there.sql), on_one_line(&wanted.sql));
        difference.refuse(format!("{TABLE}{name}"), &found, &wanted, reason);
    }
}

/// Whether values are stored differently, or others are refused. `ANY` is a type of STRICT tables, which keeps a value
/// as it is given (<https://www.sqlite.org/stricttables.html#the_any_datatype>).
fn is_of_other_type(found: (&Column, &Table), wanted: (&Column, &Table)) -> bool {
    let is_any = |(column, table): (&Column, &Table)| {
        table.options.strict && column.declared_type.eq_ignore_ascii_case("ANY")
    };
    let affinity = |it: (&Column, &Table)| match is_any(it) {
        true => Affinity::Blob,
        false => Affinity::of(&it.0.declared_type),
    };
    let are_strict = found.1.options.strict && wanted.1.options.strict;
    affinity(found) != affinity(wanted) || (are_strict && is_any(found) != is_any(wanted))
}

fn compare_column(
    object: String,
    found: &Column,
    wanted: &Column,
    is_of_other_type: bool,
    difference: &mut Difference,
) {
    if is_of_other_type {
        let reason = "the type has another affinity: values would be stored differently";
        return difference.refuse(object, &found.declared_type, &wanted.declared_type, reason);
    }
    if (found.generated, &found.computation) != (wanted.generated, &wanted.computation) {
        let word = |column: &Column| match column.generated {
            true => format!("AS ({})", column.computation),
            false => "a column that is written".to_owned(),
        };
        let reason = match (found.generated, wanted.generated) {
            (true, true) => "other values would be computed",
            (_, true) => "its values would not be computed",
            (_, false) => "statements that write into it would fail",
        };
        return difference.refuse(object, &word(found), &word(wanted), reason);
    }
    // The same values come of it.
    if found.stored != wanted.stored {
        let word = |stored| if stored { "STORED" } else { "VIRTUAL" };
        let (found, wanted) = (word(found.stored), word(wanted.stored));
        let note = format!("{object} is {found}, expected {wanted}");
        difference.notes.push(note);
    }
    // Tools write NOT NULL for what the application itself always gives, so this alone breaks nothing.
    if found.not_null != wanted.not_null {
        let word = |not_null| if not_null { "NOT NULL" } else { "nullable" };
        let (found, wanted) = (word(found.not_null), word(wanted.not_null));
        difference
            .notes
            .push(format!("{object} is {found}, expected {wanted}"));
    }
    if !same_default(found.default.as_deref(), wanted.default.as_deref()) {
        let word = |default: &Option<String>| default.clone().unwrap_or_else(|| "none".to_owned());
        let (found, wanted) = (word(&found.default), word(&wanted.default));
        difference
            .notes
            .push(format!("{object} has default {found}, expected {wanted}"));
    }
}

/// Keywords have no case; strings do.
fn same_default(found: Option<&str>, wanted: Option<&str>) -> bool {
    match (found, wanted) {
        (Some(found), Some(wanted)) if !wanted.contains(['\'', '"']) => {
            found.eq_ignore_ascii_case(wanted)
        }
        _ => found == wanted,
    }
}

fn compare_order(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    let positions: Vec<usize> = wanted
        .columns
        .iter()
        .filter_map(|column| {
            there
                .columns
                .iter()
                .position(|found| found.name.eq_ignore_ascii_case(&column.name))
        })
        .collect();
    if !positions.is_sorted() {
        difference
            .notes
            .push(format!("table {name} has its columns in another order"));
    }
}

fn compare_constraints(name: &str, there: &Table, wanted: &Table, difference: &mut Difference) {
    for columns in &wanted.unique {
        if !is_kept_unique(columns, wanted, there) {
            let reason = "SQLite cannot add a constraint to a table";
            let object = format!("unique constraint {columns} of {name}");
            difference.refuse(object, "nothing", columns, reason);
        }
    }
}

/// `ALTER TABLE ADD COLUMN` touches no row only for columns that are nullable or have a constant
/// default (<https://www.sqlite.org/lang_altertable.html#alter_table_add_column>).
fn why_not_addable(column: &Column, unexpected: Option<&Column>) -> Option<&'static str> {
    if unexpected.is_some() {
        return Some("the table has a column that is not expected: a rename is suspected");
    }
    if column.primary_key > 0 {
        return Some("a primary key cannot be added");
    }
    if column.generated {
        return Some("a computed column cannot be added by the gate");
    }
    match &column.default {
        Some(default) if !is_constant(default) => Some("its default is not a constant"),
        None if column.not_null => Some("it is NOT NULL and has no default"),
        _ => None,
    }
}

fn is_constant(default: &str) -> bool {
    let upper = default.to_ascii_uppercase();
    !upper.starts_with('(') && !upper.starts_with("CURRENT_")
}

/// What was said of it, without its name.
fn behind_its_name(column: &Column) -> String {
    let name = tokens(&column.definition).next();
    let behind = name.and_then(|name| column.definition.get(name.end()..));
    behind.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::db::Connection;

    fn structure(sql: &str) -> Structure {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute(sql).unwrap();
        Structure::read(&mut connection, &[]).unwrap()
    }

    fn difference(actual: &str, expected: &str) -> Difference {
        compare(&structure(actual), &structure(expected))
    }

    #[test]
    fn a_table_with_the_columns_of_a_missing_one_may_be_that_one_renamed() {
        let expected =
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n); CREATE INDEX i ON t (a)";
        for (actual, is_suspected) in [
            ("CREATE TABLE old (id, a)", true),
            ("CREATE TABLE old (id, b)", false),
            ("CREATE TABLE other (id, a, b)", false),
            ("CREATE TABLE other (id)", false),
            ("CREATE TABLE T (id, a); CREATE TABLE old (id, a)", false),
        ] {
            let (actual, expected) = (structure(actual), structure(expected));
            let mut difference = compare(&actual, &expected);
            let was_missing = difference.lacks_a_table();
            difference.suspect_renames(&actual, &expected);
            let refused: Vec<&str> = difference
                .refusals
                .iter()
                .map(|it| it.object.as_str())
                .collect();
            assert_eq!(refused == ["table t"], is_suspected);
            assert_eq!(difference.lacks_a_table(), was_missing && !is_suspected);
            let makes_index = difference.additions.iter().any(|it| it.object == "index i");
            assert_eq!(makes_index, !is_suspected);
        }
    }

    #[test]
    fn what_is_missing_and_addable_is_added() {
        let expected = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT NOT NULL DEFAULT 1);
                        CREATE INDEX t_a ON t (a); CREATE TABLE u (x)";
        let difference = difference("CREATE TABLE t (id INTEGER PRIMARY KEY)", expected);
        let statements: Vec<_> = difference
            .additions
            .iter()
            .map(|addition| addition.statement.as_str())
            .collect();
        assert_eq!(
            statements,
            [
                "ALTER TABLE \"t\" ADD COLUMN a TEXT",
                "ALTER TABLE \"t\" ADD COLUMN b INT NOT NULL DEFAULT 1",
                "CREATE INDEX t_a ON t (a)",
                "CREATE TABLE u (x)",
            ]
        );
        assert!(difference.refusals.is_empty());
    }

    #[test]
    fn an_added_column_keeps_all_that_was_said_of_it() {
        let expected = "CREATE TABLE p (id INTEGER PRIMARY KEY);
            CREATE TABLE t (id INT, n TEXT  COLLATE NOCASE -- so
              DEFAULT 'A', k INT CHECK (k > 1), r INT REFERENCES p (id) ON DELETE CASCADE)";
        let there = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INT)";
        let difference = difference(there, expected);
        assert!(difference.refusals.is_empty() && difference.notes.is_empty());
        let mut connection = Connection::in_memory().unwrap();
        connection.execute(there).unwrap();
        for addition in &difference.additions {
            connection.execute(&addition.statement).unwrap();
        }
        let made = Structure::read(&mut connection, &[]).unwrap();
        assert_eq!(made.fingerprint(), structure(expected).fingerprint());
        assert_eq!(
            made.tables["t"].columns,
            structure(expected).tables["t"].columns
        );
    }

    #[test]
    fn a_virtual_table_comes_with_what_is_behind_it() {
        let expected = "CREATE VIRTUAL TABLE f USING fts5(a, b)";
        let missing = difference("", expected);
        assert_eq!((missing.additions.len(), missing.refusals.len()), (1, 0));
        let other = difference("CREATE VIRTUAL TABLE f USING fts5(a)", expected);
        assert_eq!((other.additions.len(), other.refusals.len()), (0, 1));
        let same = difference("create virtual table F using fts5(a,b)", expected);
        assert_eq!(same, Difference::default());
    }

    #[test]
    fn what_is_there_beyond_is_the_applications_own() {
        let actual = "CREATE TABLE t (extra, id INT, a VARCHAR(9) NOT NULL DEFAULT 'x');
                      CREATE INDEX own ON t (extra); CREATE TABLE v (y)";
        let difference = difference(actual, "CREATE TABLE t (id BIGINT, a TEXT)");
        assert!(difference.is_empty(), "{difference:?}");
        assert_eq!(
            difference.notes,
            [
                "column t.a is NOT NULL, expected nullable",
                "column t.a has default 'x', expected none"
            ]
        );
    }

    #[test]
    fn what_cannot_be_added_is_refused_with_its_reason() {
        let cases = [
            (
                "CREATE TABLE t (id INT)",
                "CREATE TABLE t (id TEXT)",
                "affinity",
            ),
            (
                "CREATE TABLE t (id INT, old TEXT)",
                "CREATE TABLE t (id INT, new TEXT)",
                "rename",
            ),
            (
                "CREATE TABLE t (id INT)",
                "CREATE TABLE t (id INT, a TEXT NOT NULL)",
                "NOT NULL",
            ),
            (
                "CREATE TABLE t (id INT)",
                "CREATE TABLE t (id INT, a DATETIME DEFAULT CURRENT_TIMESTAMP)",
                "not a constant",
            ),
            (
                "CREATE TABLE t (a)",
                "CREATE TABLE t (a PRIMARY KEY, b)",
                "",
            ),
            (
                "CREATE TABLE p (a); CREATE TABLE t (a)",
                "CREATE TABLE p (a); CREATE TABLE t (a REFERENCES p (a))",
                "constraint",
            ),
            (
                "CREATE TABLE t (a)",
                "CREATE TABLE t (a UNIQUE)",
                "constraint",
            ),
        ];
        for (actual, expected, reason) in cases {
            let difference = difference(actual, expected);
            let reasons: Vec<_> = difference.refusals.iter().map(|r| r.reason).collect();
            assert!(
                reason.is_empty() || reasons.iter().any(|r| r.contains(reason)),
                "{expected}: {difference:?}"
            );
        }
    }

    #[test]
    fn what_computes_other_values_is_refused() {
        let make = |column: &str| format!("CREATE TABLE t (q, {column})");
        let expected = make("g INT AS (q * 2)");
        for (found, reason) in [
            ("g INT AS (q * 3)", Some("other values")),
            ("g INT", Some("not be computed")),
            ("g INT GENERATED ALWAYS AS ((Q*2)) VIRTUAL", None),
        ] {
            let seen = difference(&make(found), &expected);
            let reasons: Vec<&str> = seen.refusals.iter().map(|it| it.reason).collect();
            assert_eq!(
                reasons.len(),
                usize::from(reason.is_some()),
                "{found}: {seen:?}"
            );
            assert!(
                reasons.iter().all(|it| it.contains(reason.unwrap_or(""))),
                "{seen:?}"
            );
        }
        let seen = difference(&expected, &make("g INT"));
        assert!(
            seen.refusals[0].reason.contains("write into it"),
            "{seen:?}"
        );
        let seen = difference(&make("g INT AS (q * 2) STORED"), &expected);
        assert!(seen.is_empty(), "{seen:?}");
        assert_eq!(seen.notes, ["column t.g is STORED, expected VIRTUAL"]);
    }

    #[test]
    fn a_unique_index_stands_for_a_unique_constraint() {
        let expected = "CREATE TABLE t (a, b TEXT COLLATE NOCASE, UNIQUE (a, b))";
        for (index, is_one) in [
            ("a, b", true),
            ("b, a", true),
            ("a, b COLLATE BINARY", false),
            ("a", false),
        ] {
            let columns = "a, b TEXT COLLATE NOCASE";
            let actual =
                format!("CREATE TABLE t ({columns}); CREATE UNIQUE INDEX i ON t ({index})");
            let seen = difference(&actual, expected);
            let mut refused = seen.refusals.iter();
            let is_missing = refused.any(|it| it.object.starts_with("unique constraint a, b"));
            assert_eq!(is_missing, !is_one, "{index}: {seen:?}");
        }
    }
}
