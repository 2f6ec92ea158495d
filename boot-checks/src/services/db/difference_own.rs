//! Columns that are not expected. The application leaves them out, so each gets its default, and the table has to take
//! that.

use super::difference::Difference;
use super::difference_rules::gives_numbers;
use super::structure::{Column, Table};
use super::tokens::{Kind, Token, tokens};
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
        !column.generated || !made_of(&column.computation, there, wanted).others
    });
    for column in computed {
        let (more, reason) = if column.not_null {
            (" NOT NULL", "rows of which it is nothing would be refused")
        } else if may_fail(&column.computation) && is_computed_at_once(column, there) {
            ("", "what it is computed by fails for some values")
        } else {
            continue;
        };
        let found = format!("AS ({}){more}", column.computation);
        let object = format!("column {name}.{}", column.name);
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

/// Whether it is computed by whoever writes a row, and not only by who reads it.
fn is_computed_at_once(column: &Column, there: &Table) -> bool {
    let is_it = |word: Token<'_>| word.name().eq_ignore_ascii_case(&column.name);
    let mut indexes = there.indexes.values();
    column.stored || indexes.any(|index| tokens(&index.over).any(is_it))
}

/// What an expression is made of.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct MadeOf {
    /// Columns that are not expected and get their default.
    own: bool,
    /// Other columns, and own ones that differ from row to row.
    others: bool,
}

fn made_of(expression: &str, there: &Table, wanted: &Table) -> MadeOf {
    let words: Vec<Token<'_>> = tokens(expression).collect();
    let mut made_of = MadeOf::default();
    for (at, word) in words.iter().enumerate() {
        let is_function = words.get(at + 1).is_some_and(|next| next.is("("));
        if is_function || !matches!(word.kind, Kind::Word | Kind::Quoted) {
            continue;
        }
        let name = word.name();
        match there.column(&name) {
            Some(column) if wanted.column(&name).is_none() => {
                let varies = column.generated || (column.primary_key > 0 && gives_numbers(there));
                made_of.own |= !varies;
                made_of.others |= varies;
            }
            Some(_) => made_of.others = true,
            None => made_of.others |= is_number_of_row(&name),
        }
    }
    made_of
}

/// Whether a condition speaks of columns that are not expected and get their default, and of no other.
pub(super) fn is_of_own_alone(condition: &str, there: &Table, wanted: &Table) -> bool {
    let own_alone = MadeOf {
        own: true,
        others: false,
    };
    made_of(condition, there, wanted) == own_alone
}

/// <https://www.sqlite.org/lang_createtable.html#rowid>
fn is_number_of_row(name: &str) -> bool {
    ["_rowid_", "oid", "rowid"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(name))
}

/// Whether an index is of none of the application's rows, because the columns that it leaves out do not meet its
/// condition.
pub(super) fn is_of_no_row(over: &str, there: &Table, wanted: &Table) -> bool {
    let Some((_, condition)) = over.rsplit_once(") where ") else {
        return false;
    };
    let is_own = |column: &&Column| wanted.column(&column.name).is_none();
    let own: Vec<&Column> = there.columns.iter().filter(is_own).collect();
    let plain: Vec<&Column> = own.into_iter().filter(|column| !column.generated).collect();
    let question = format!("SELECT count(*) FROM own WHERE {condition}");
    is_of_own_alone(condition, there, wanted)
        && with_defaults(&plain, &[], there)
            .is_ok_and(|mut it| it.scalar(&question) == Ok(0.into()))
}

/// Functions of SQLite that make something of every value.
const NEVER_FAIL: [&str; 40] = [
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "date",
    "datetime",
    "format",
    "glob",
    "hex",
    "ifnull",
    "iif",
    "instr",
    "json_valid",
    "julianday",
    "length",
    "like",
    "likely",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "octet_length",
    "printf",
    "quote",
    "replace",
    "round",
    "rtrim",
    "sign",
    "soundex",
    "strftime",
    "substr",
    "substring",
    "time",
    "trim",
    "typeof",
    "unicode",
    "unixepoch",
    "unlikely",
    "upper",
];

/// Words that may stand before a bracket and are no functions.
const NO_FUNCTIONS: [&str; 18] = [
    "and", "as", "between", "case", "cast", "collate", "else", "in", "is", "like", "match", "not",
    "on", "or", "then", "values", "when", "where",
];

/// Whether an expression may fail for a value, as those of JSON do, and every statement that writes it.
pub(super) fn may_fail(expression: &str) -> bool {
    let words: Vec<Token<'_>> = tokens(expression).collect();
    words.windows(2).any(|pair| {
        let [name, bracket] = pair else { return false };
        let is_function = bracket.is("(") && matches!(name.kind, Kind::Word | Kind::Quoted);
        let is_one_of =
            |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(&name.name()));
        is_function && !is_one_of(&NO_FUNCTIONS) && !is_one_of(&NEVER_FAIL)
    })
}

/// Makes a table of these columns alone, with all that is said of them alone, and a row of their defaults.
fn try_defaults(columns: &[&Column], there: &Table, wanted: &Table) -> Result<(), DbError> {
    let is_alone = |condition: &&String| is_of_own_alone(condition, there, wanted);
    let checks: Vec<&String> = there.checks.iter().filter(is_alone).collect();
    // Any other condition is refused for itself.
    let mut columns = columns.to_vec();
    columns.retain(|it| it.checks.iter().all(|check| is_alone(&check)));
    let is_typed = there.options.strict;
    let is_bound = |column: &&Column| {
        column.not_null || !column.checks.is_empty() || (is_typed && column.default.is_some())
    };
    match checks.is_empty() && !columns.iter().any(is_bound) {
        true => Ok(()),
        false => with_defaults(&columns, &checks, there).map(drop),
    }
}

fn with_defaults(
    columns: &[&Column],
    checks: &[&String],
    there: &Table,
) -> Result<Connection, DbError> {
    let of_columns = columns.iter().map(|column| column.definition.clone());
    let of_table = checks.iter().map(|check| format!("CHECK ({check})"));
    // A table has a column that is not computed.
    let one = std::iter::once("_gate ANY".to_owned());
    let parts: Vec<String> = one.chain(of_columns).chain(of_table).collect();
    let strict = if there.options.strict { "STRICT" } else { "" };
    let mut connection = Connection::in_memory()?;
    connection.execute(&format!("CREATE TABLE own ({}) {strict}", parts.join(", ")))?;
    connection.execute("INSERT INTO own DEFAULT VALUES")?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::super::difference_tests::difference;

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
            ("own INTEGER PRIMARY KEY CHECK (own < 3)", "condition of t"),
            ("own AS (json_extract(a, '$.x')) STORED", "column t.own"),
        ] {
            let seen = difference(&format!("CREATE TABLE t (a, {own})"), "CREATE TABLE t (a)");
            let objects: Vec<&str> = seen.refusals.iter().map(|it| it.object.as_str()).collect();
            assert_eq!(objects, [object], "{own}: {seen:?}");
        }
        let indexed = "CREATE TABLE t (a, own AS (json(a))); CREATE INDEX i ON t (own)";
        let refused = difference(indexed, "CREATE TABLE t (a)").refusals;
        assert_eq!(refused.len(), 1, "{refused:?}");
        let typed = "CREATE TABLE t (a INT, own INT DEFAULT 'x') STRICT";
        let refused = difference(typed, "CREATE TABLE t (a INT) STRICT").refusals;
        assert_eq!(refused.len(), 1, "{refused:?}");
        // A function, and no column of that name.
        let named = "CREATE TABLE t (length, own CHECK (length(own) < 9))";
        assert!(difference(named, "CREATE TABLE t (length)").is_empty());
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
            "own AS (1) NOT NULL",
            "own AS (json_extract(a, '$.x'))",
            "own AS (coalesce(lower(a), 'x')) STORED",
        ] {
            let seen = difference(&format!("CREATE TABLE t (a, {own})"), "CREATE TABLE t (a)");
            assert!(seen.is_empty(), "{own}: {seen:?}");
        }
    }
}
