//! Columns that are not expected. The application leaves them out, so each gets its default, and the table has to take
//! that.

use super::difference::Difference;
use super::difference_rules::gives_numbers;
use super::structure::{Column, Table};
use super::tokens::{Kind, tokens};
use super::{Connection, DbError};

pub(super) fn compare_own_columns(
    name: &str,
    there: &Table,
    wanted: &Table,
    difference: &mut Difference,
) {
    let is_own = |column: &&Column| wanted.column(&column.name).is_none();
    let (lacking, others): (Vec<&Column>, Vec<&Column>) = there
        .columns
        .iter()
        .filter(is_own)
        .partition(|column| column.must_be_given(there));
    for column in lacking {
        let found = "NOT NULL without a default";
        let object = format!("column {name}.{}", column.name);
        let reason = "every insert of the application would fail";
        difference.refuse(object, found, "no such column", reason);
    }
    let (alone, computed): (Vec<&Column>, Vec<&Column>) = others.into_iter().partition(|column| {
        !column.generated || is_of_own_alone(&column.computation, there, wanted)
    });
    for column in computed.into_iter().filter(|column| column.not_null) {
        let found = format!("AS ({}) NOT NULL", column.computation);
        let object = format!("column {name}.{}", column.name);
        let reason = "rows of which it is nothing would be refused";
        difference.refuse(object, &found, "no such column", reason);
    }
    if let Err(error) = try_defaults(&alone, there, wanted) {
        let reason = "every insert of the application would fail";
        let object = format!("table {name}");
        difference.refuse(object, &error.to_string(), "rows without them", reason);
    }
}

impl Column {
    /// Whether an insert that does not name it fails.
    fn must_be_given(&self, table: &Table) -> bool {
        let nothing = |default: &String| default.eq_ignore_ascii_case("NULL");
        let has_no_default = self.default.as_ref().is_none_or(nothing);
        let is_of_key = self.primary_key > 0;
        let refuses_nothing = self.not_null || is_of_key && table.options.without_rowid;
        let is_made = self.generated || is_of_key && gives_numbers(table);
        has_no_default && refuses_nothing && !is_made
    }

    /// Whether a row that does not name it has nothing in it.
    pub(super) fn is_empty_by_default(&self) -> bool {
        let default = self.default.as_deref().unwrap_or("NULL");
        default.eq_ignore_ascii_case("NULL") && !self.generated && self.primary_key == 0
    }
}

/// Whether a condition speaks of columns that are not expected, and of no other.
pub(super) fn is_of_own_alone(condition: &str, there: &Table, wanted: &Table) -> bool {
    let mut names = tokens(condition).filter(|it| matches!(it.kind, Kind::Word | Kind::Quoted));
    let mut is_of_own = false;
    let is_of_others = names.any(|word| {
        let name = word.name();
        let own = there
            .column(&name)
            .filter(|it| wanted.column(&it.name).is_none());
        is_of_own |= own.is_some();
        match own {
            Some(own) => own.generated,
            None => there.column(&name).is_some() || is_number_of_row(&name),
        }
    });
    is_of_own && !is_of_others
}

/// <https://www.sqlite.org/lang_createtable.html#rowid>
fn is_number_of_row(name: &str) -> bool {
    ["_rowid_", "oid", "rowid"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(name))
}

/// Makes a table of these columns alone, with all that is said of them alone, and a row of their defaults.
fn try_defaults(columns: &[&Column], there: &Table, wanted: &Table) -> Result<(), DbError> {
    let is_alone = |condition: &&String| is_of_own_alone(condition, there, wanted);
    let checks = there.checks.iter().filter(is_alone);
    // Any other condition is refused for itself.
    let columns = columns
        .iter()
        .filter(|it| it.checks.iter().all(|check| is_alone(&check)));
    let is_bound = |column: &&&Column| column.not_null || !column.checks.is_empty();
    if columns.clone().filter(is_bound).count() + checks.clone().count() == 0 {
        return Ok(());
    }
    let of_columns = columns.map(|column| column.definition.clone());
    let of_table = checks.map(|check| format!("CHECK ({check})"));
    let parts: Vec<String> = of_columns.chain(of_table).collect();
    let strict = if there.options.strict { "STRICT" } else { "" };
    let mut connection = Connection::in_memory()?;
    let made = format!("CREATE TABLE own ({}) {strict}", parts.join(", "));
    connection.execute(&made)?;
    connection.execute("INSERT INTO own DEFAULT VALUES")
}

#[cfg(test)]
mod tests {
    use super::super::{Structure, compare};
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
    fn one_that_refuses_its_own_default_is_refused() {
        for (own, object) in [
            ("own NOT NULL", "column t.own"),
            ("own NOT NULL DEFAULT (NULL + 1)", "table t"),
            ("own CHECK (own IS NOT NULL)", "table t"),
            ("own DEFAULT 1 CHECK (own > 1)", "table t"),
            ("own, CHECK (own NOTNULL)", "table t"),
            (
                "own DEFAULT 'x', other DEFAULT 'y', CHECK (own = other)",
                "table t",
            ),
            ("own CHECK (own IS NULL OR a > 1)", "condition of t"),
            ("own, CHECK (coalesce(own, a) > 1)", "condition of t"),
            ("own, CHECK (own IS NULL OR rowid > 9)", "condition of t"),
            ("own AS (a + 1) NOT NULL", "column t.own"),
            ("own AS (a + 1) CHECK (own > 1)", "condition of t"),
            ("own TEXT NOT NULL PRIMARY KEY", "column t.own"),
        ] {
            let seen = difference(&format!("CREATE TABLE t (a, {own})"), "CREATE TABLE t (a)");
            let objects: Vec<&str> = seen.refusals.iter().map(|it| it.object.as_str()).collect();
            assert_eq!(objects, [object], "{own}: {seen:?}");
        }
        let without = "CREATE TABLE t (a PRIMARY KEY, own, UNIQUE (own)) WITHOUT ROWID";
        let expected = "CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID";
        assert!(difference(without, expected).is_empty());
    }

    #[test]
    fn one_that_takes_it_is_not() {
        for own in [
            "own",
            "own INTEGER PRIMARY KEY",
            "own TEXT PRIMARY KEY",
            "own NOT NULL DEFAULT 1",
            "own CHECK (own > 1)",
            "own DEFAULT 2 CHECK (own > 1 AND own < 3)",
            "\"my own\" TEXT DEFAULT 'a' CHECK (length(\"my own\") = 1)",
            "own DEFAULT 'a', other DEFAULT 'a', CHECK (own = other)",
            "own BOOLEAN NOT NULL DEFAULT 0 CHECK (own IN (0, 1))",
            "own AS (a + 1)",
            "own NOT NULL DEFAULT CURRENT_TIMESTAMP",
        ] {
            let seen = difference(&format!("CREATE TABLE t (a, {own})"), "CREATE TABLE t (a)");
            assert!(seen.is_empty(), "{own}: {seen:?}");
        }
    }
}
