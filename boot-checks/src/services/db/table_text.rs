//! What SQLite does not say of a table but in the statement that made it.

use super::tokens::{Kind, Token, on_one_line, spelled, tokens};

/// What a `CREATE TABLE` says, as far as no pragma does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableText {
    /// Each column's, in the order of the table.
    pub(crate) columns: Vec<ColumnText>,
    /// Conditions of the whole table, in one spelling.
    pub(crate) checks: Vec<String>,
    /// Whether each foreign key is checked at COMMIT only, in the order of the statement.
    pub(crate) deferred_keys: Vec<bool>,
    /// What becomes of rows that a constraint keeps out: the constraint, and `on conflict` with what is not the usual.
    pub(crate) conflicts: Vec<String>,
    /// Behind the last bracket.
    pub(crate) is_strict: bool,
    /// Likewise.
    pub(crate) is_without_rowid: bool,
    /// Whether a number is never given twice.
    pub(crate) has_autoincrement: bool,
}

/// What it says of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColumnText {
    /// The whole definition, on one line.
    pub(crate) definition: String,
    /// How its texts are compared, in capitals.
    pub(crate) collation: String,
    /// Its conditions, in one spelling.
    pub(crate) checks: Vec<String>,
    /// What it is computed by, in one spelling; empty where it is not.
    pub(crate) computation: String,
}

/// How texts are compared where nothing is said.
const USUAL_COLLATION: &str = "BINARY";

/// With what the parts begin that are no columns.
const CONSTRAINTS: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];

/// Takes the statement apart; of a virtual table, and of anything else, nothing is known.
pub(crate) fn table_text(sql: &str) -> TableText {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let is_virtual = all.get(1).is_some_and(|word| word.is("VIRTUAL"));
    let Some(open) = all
        .iter()
        .position(|word| word.is("("))
        .filter(|_| !is_virtual)
    else {
        return TableText::default();
    };
    let mut text = TableText::default();
    let (parts, close) = parts(&all, open);
    for part in parts {
        let Some(first) = part.first() else { continue };
        text.deferred_keys.extend(deferred_keys(part));
        text.conflicts.extend(conflicts(part));
        if CONSTRAINTS.iter().any(|word| first.is(word)) {
            text.checks.extend(checks(part));
        } else {
            text.columns.push(column(sql, part));
        }
    }
    let options = all.get(close..).unwrap_or_default();
    text.is_strict = options.iter().any(|word| word.is("STRICT"));
    text.is_without_rowid = options.iter().any(|word| word.is("WITHOUT"));
    text.has_autoincrement = all.iter().any(|word| word.is("AUTOINCREMENT"));
    text
}

/// The expressions of what an index is made over, as [`index_text`] writes it.
pub(crate) fn terms<'a, 'b>(over: &'b [Token<'a>]) -> Vec<&'b [Token<'a>]> {
    parts(over, 0).0
}

/// What lies between the commas of the outermost brackets, and where these end.
fn parts<'a, 'b>(all: &'b [Token<'a>], open: usize) -> (Vec<&'b [Token<'a>]>, usize) {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0usize, open + 1);
    for (at, word) in all.iter().enumerate().skip(open) {
        match word.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "," if depth == 1 => {
                parts.push(&all[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.push(&all[from..at]);
            return (parts, at);
        }
    }
    (parts, all.len())
}

fn column(sql: &str, part: &[Token<'_>]) -> ColumnText {
    let mut collation = USUAL_COLLATION.to_owned();
    for (at, word) in outermost(part) {
        if word.is("COLLATE")
            && let Some(name) = part.get(at + 1)
        {
            collation = name.name().to_ascii_uppercase();
        }
    }
    ColumnText {
        definition: on_one_line(slice(sql, part)),
        collation,
        checks: checks(part),
        computation: computation(part),
    }
}

/// What stands behind `AS`, without what only says how it is kept.
fn computation(part: &[Token<'_>]) -> String {
    let all = outermost(part);
    let behind = all
        .iter()
        .find(|(at, word)| word.is("AS") && part.get(at + 1).is_some_and(|next| next.is("(")));
    let Some((at, _)) = behind else {
        return String::new();
    };
    let (_, close) = parts(part, at + 1);
    spelled(without_brackets(
        part.get(at + 2..close).unwrap_or_default(),
    ))
}

/// Of each foreign key in it: `DEFERRABLE` alone, and any `NOT DEFERRABLE`, is as if nothing was said
/// (<https://www.sqlite.org/foreignkeys.html#fk_deferred>).
fn deferred_keys(part: &[Token<'_>]) -> Vec<bool> {
    let mut keys = Vec::new();
    let is = |at: usize, word: &str| part.get(at).is_some_and(|it| it.is(word));
    for (at, word) in outermost(part) {
        if word.is("REFERENCES") {
            keys.push(false);
        } else if word.is("DEFERRABLE")
            && let Some(last) = keys.last_mut()
        {
            let is_negated = at > 0 && is(at - 1, "NOT");
            *last = !is_negated && is(at + 1, "INITIALLY") && is(at + 2, "DEFERRED");
        }
    }
    keys
}

/// Each `ON CONFLICT` in it, in one form for a column's constraint and a table's. `ABORT` is what is done where nothing
/// is said (<https://www.sqlite.org/lang_conflict.html>).
fn conflicts(part: &[Token<'_>]) -> Vec<String> {
    let named = part.first().is_some_and(|first| first.is("CONSTRAINT"));
    let part = if named {
        part.get(2..).unwrap_or_default()
    } else {
        part
    };
    let Some(first) = part.first() else {
        return Vec::new();
    };
    let is_of_table = CONSTRAINTS.iter().any(|word| first.is(word));
    let outermost = outermost(part);
    let is = |at: usize, word: &str| outermost.get(at).is_some_and(|(_, it)| it.is(word));
    let mut found = Vec::new();
    for (at, (place, _)) in outermost.iter().enumerate() {
        let action = outermost
            .get(at + 2)
            .filter(|(_, action)| !action.is("ABORT"));
        let (true, true, Some((_, action))) = (is(at, "ON"), is(at + 1, "CONFLICT"), action) else {
            continue;
        };
        let column = first.name().to_ascii_lowercase();
        let before = outermost[..at]
            .iter()
            .rev()
            .find(|(_, it)| !it.is("ASC") && !it.is("DESC"));
        let constraint = match before {
            _ if is_of_table => spelled(&part[..*place]),
            Some((_, it)) if it.is("UNIQUE") => format!("unique ( {column} )"),
            Some((_, it)) if it.is("KEY") => format!("primary key ( {column} )"),
            _ => format!("not null ( {column} )"),
        };
        found.push(format!(
            "{constraint} on conflict {}",
            action.text.to_ascii_lowercase()
        ));
    }
    found
}

/// The words that stand in no brackets, and where.
fn outermost<'a, 'b>(part: &'b [Token<'a>]) -> Vec<(usize, &'b Token<'a>)> {
    let mut depth = 0usize;
    let mut outermost = Vec::new();
    for (at, word) in part.iter().enumerate() {
        match word.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 => outermost.push((at, word)),
            _ => {}
        }
    }
    outermost
}

/// The conditions behind each `CHECK`.
fn checks(part: &[Token<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = part.get(at) {
        at += 1;
        if word.is("CHECK") && part.get(at).is_some_and(|next| next.is("(")) {
            let (_, close) = parts(part, at);
            let condition = part.get(at + 1..close).unwrap_or_default();
            found.push(spelled(without_brackets(condition)));
            at = close;
        }
    }
    found
}

fn slice<'a>(sql: &'a str, words: &[Token<'_>]) -> &'a str {
    let (Some(first), Some(last)) = (words.first(), words.last()) else {
        return "";
    };
    sql.get(first.start..last.end()).unwrap_or_default()
}

/// What an index is made over where SQLite cannot say it in columns: everything behind its table's name.
pub(crate) fn index_text(sql: &str) -> String {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let on = all
        .iter()
        .position(|word| word.kind == Kind::Word && word.is("ON"));
    let behind = on.and_then(|on| all.get(on + 2..)).unwrap_or_default();
    if !behind.first().is_some_and(|word| word.is("(")) {
        return spelled(behind);
    }
    let (_, close) = parts(behind, 0);
    let (over, condition) = behind.split_at(behind.len().min(close + 1));
    // As it is where nothing is said.
    let over: Vec<Token<'_>> = over.iter().filter(|it| !it.is("ASC")).copied().collect();
    let Some((_, condition)) = condition.split_first() else {
        return spelled(&over);
    };
    format!(
        "{} where {}",
        spelled(&over),
        spelled(without_brackets(condition))
    )
}

/// A condition without brackets around all of it.
fn without_brackets<'a, 'b>(condition: &'b [Token<'a>]) -> &'b [Token<'a>] {
    let is_open = condition.first().is_some_and(|word| word.is("("));
    let is_around_all = is_open && parts(condition, 0).1 + 1 == condition.len();
    match condition {
        [_, inner @ .., _] if is_around_all => without_brackets(inner),
        _ => condition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_statement_says_is_read_from_it() {
        let text = table_text(
            "CREATE TABLE \"t\" (id INTEGER PRIMARY KEY AUTOINCREMENT, -- a, b
               n DECIMAL(10, 2) DEFAULT (max(1, 2)) CHECK (n > 1 AND n IN (2, 3)),
               [check] TEXT  COLLATE nocase DEFAULT 'A, (',
               CONSTRAINT c CHECK ( (n!=\"id\") ) UNIQUE (n)) STRICT, WITHOUT ROWID",
        );
        let definitions: Vec<&str> = text
            .columns
            .iter()
            .map(|it| it.definition.as_str())
            .collect();
        assert_eq!(
            definitions,
            [
                "id INTEGER PRIMARY KEY AUTOINCREMENT",
                "n DECIMAL(10, 2) DEFAULT (max(1, 2)) CHECK (n > 1 AND n IN (2, 3))",
                "[check] TEXT COLLATE nocase DEFAULT 'A, ('",
            ]
        );
        assert_eq!(text.columns[2].collation, "NOCASE");
        assert_eq!(text.columns[1].checks, ["n > 1 and n in ( 2 , 3 )"]);
        assert_eq!(text.checks, ["n <> id"]);
        assert!(text.is_strict && text.is_without_rowid && text.has_autoincrement);
    }

    #[test]
    fn what_a_column_is_computed_by_is_said_without_how_it_is_kept() {
        for (column, computation) in [
            ("g INT AS (a*2)", "a * 2"),
            (
                "g GENERATED ALWAYS AS ((A * 2)) STORED CHECK (g > 1)",
                "a * 2",
            ),
            ("\"as\" DEFAULT (cast(1 AS INT))", ""),
            (
                "g AS (cast(a AS TEXT) COLLATE nocase) VIRTUAL",
                "cast ( a as text ) collate nocase",
            ),
        ] {
            let text = table_text(&format!("CREATE TABLE t (a, {column})"));
            assert_eq!(text.columns[1].computation, computation, "{column}");
        }
    }

    #[test]
    fn only_one_spelling_defers_a_foreign_key() {
        let text = table_text(
            "CREATE TABLE t (a REFERENCES p DEFERRABLE INITIALLY DEFERRED REFERENCES q,
               b REFERENCES p ON DELETE CASCADE NOT DEFERRABLE INITIALLY DEFERRED,
               c REFERENCES p (id) DEFERRABLE, d REFERENCES p NOT NULL deferrable initially deferred,
               e REFERENCES p DEFERRABLE INITIALLY IMMEDIATE, f DEFAULT ('REFERENCES'),
               FOREIGN KEY (a, b) REFERENCES r (a, b) DEFERRABLE INITIALLY DEFERRED)",
        );
        let deferred = [true, false, false, false, true, false, true];
        assert_eq!(text.deferred_keys, deferred);
    }

    #[test]
    fn what_is_no_index_is_no_panic() {
        for sql in [
            "",
            "CREATE INDEX i ON",
            "CREATE INDEX i ON t x (a)",
            "INDEX i ON t (a",
            "ON t (",
        ] {
            let _ = index_text(sql);
        }
        let text = index_text("CREATE INDEX i ON t (lower(a) ASC, b DESC) WHERE ((a) > (1))");
        assert_eq!(text, "( lower ( a ) , b desc ) where ( a ) > ( 1 )");
    }

    #[test]
    fn what_is_no_table_says_nothing() {
        for sql in [
            "",
            "CREATE VIRTUAL TABLE f USING fts5(a, b)",
            "CREATE TABLE t (a",
        ] {
            let text = table_text(sql);
            assert!(text.columns.is_empty() && !text.is_strict, "{sql}");
        }
    }

    /// Pieces of statements, those that end badly included.
    const PIECES: [&str; 30] = [
        "CREATE ",
        "TABLE ",
        "INDEX ",
        "TRIGGER ",
        "VIEW ",
        "ON ",
        "t ",
        "\"t\"",
        "[a",
        "`",
        "'",
        "''",
        "(",
        ")",
        ",",
        ";",
        "CHECK ",
        "WHERE ",
        "ASC ",
        "FOR EACH ROW ",
        "BEGIN ",
        "END",
        "!=",
        "--",
        "/*",
        "*/",
        "\n",
        "\u{feff}",
        "\u{e9}",
        "PRAGMA ",
    ];

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic_and_its_words_stand_where_they_say(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..24),
        ) {
            let sql: String = pieces.concat();
            let _ = (table_text(&sql), index_text(&sql), super::super::unfit::unfit(&sql));
            let mut end = 0;
            for token in tokens(&sql) {
                proptest::prop_assert!(token.start >= end, "{sql:?}");
                proptest::prop_assert_eq!(&sql[token.start..token.end()], token.text);
                end = token.end();
            }
        }
    }
}
