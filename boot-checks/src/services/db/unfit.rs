//! What the text of a migration may not hold: what a transaction cannot take back, and what is no SQL text.

use std::fmt;

use super::tokens::{Kind, Token, tokens};

/// Pragmas that only read, and those that change what a transaction takes back or what ends with the connection.
/// `foreign_keys` has no effect within a transaction.
const HARMLESS: [&str; 29] = [
    "analysis_limit",
    "application_id",
    "cache_size",
    "cache_spill",
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "defer_foreign_keys",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "legacy_alter_table",
    "module_list",
    "optimize",
    "page_count",
    "pragma_list",
    "quick_check",
    "recursive_triggers",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// Pragmas that change how the file under the transaction is written, kept or locked.
const OF_THE_FILE: [&str; 20] = [
    "auto_vacuum",
    "cell_size_check",
    "checkpoint_fullfsync",
    "data_store_directory",
    "fullfsync",
    "incremental_vacuum",
    "journal_mode",
    "journal_size_limit",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "page_size",
    "secure_delete",
    "synchronous",
    "temp_store",
    "temp_store_directory",
    "wal_autocheckpoint",
    "wal_checkpoint",
    "default_cache_size",
    "shrink_memory",
];

/// Pragmas that switch off what SQLite checks, or let a statement write past it.
const OF_THE_RULES: [&str; 6] = [
    "case_sensitive_like",
    "ignore_check_constraints",
    "query_only",
    "schema_version",
    "trusted_schema",
    "writable_schema",
];

const ITS_FILE: &str =
    "it changes how the database's file is kept, which no transaction takes back";
const ITS_RULES: &str = "it switches off what SQLite checks, for all that follows too";
const ANOTHER_FILE: &str = "what it does to another file is neither kept before nor taken back";
const UNKNOWN: &str = "it is none that is known to be taken back with the transaction";

/// Something that a migration may not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// From 1.
    pub line: usize,
    /// Such as `PRAGMA journal_mode`.
    pub what: String,
    /// Why it is refused.
    pub why: &'static str,
    /// What a person does about it.
    pub action: &'static str,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.what, self.why)
    }
}

/// The text of a migration file.
///
/// # Errors
///
/// Where its bytes are no text that SQLite would read to its end.
pub fn text_of(bytes: &[u8]) -> Result<&str, Unfit> {
    let unfit = |at: usize, what: &str, why: &'static str| Unfit {
        line: line_of(bytes, at),
        what: what.to_owned(),
        why,
        action: "save it as UTF-8, without that byte",
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(unfit(0, "UTF-16", "a migration is read as UTF-8"));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let why = "SQLite would take it for the end of the text";
        return Err(unfit(at, "a NUL byte", why));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let what = format!("the byte 0x{:02x}", bytes.get(at).copied().unwrap_or(0));
        unfit(at, &what, "it is no UTF-8")
    })
}

/// What SQL must not say in a migration, whatever its spelling; none where it says nothing of the kind.
///
/// Safety: a statement begins behind a `;` or at the beginning, and within a trigger no pragma may stand. Words are
/// told apart as SQLite does, so that no comment, quote or schema before the name hides one.
pub fn unfit(sql: &str) -> Option<Unfit> {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let mut begins = true;
    for (at, token) in all.iter().enumerate() {
        let rest = &all[at..];
        let refused = match begins {
            true => refused_statement(rest),
            false => refused_function(token),
        };
        if let Some((what, why, action)) = refused {
            let line = line_of(sql.as_bytes(), token.start);
            return Some(Unfit {
                line,
                what,
                why,
                action,
            });
        }
        // `EXPLAIN` explains a pragma by doing it.
        let explains = ["EXPLAIN", "QUERY", "PLAN"].iter().any(|it| token.is(it));
        begins = token.is(";") || (begins && explains);
    }
    None
}

/// Whether SQL has no statement and no word of anybody why.
pub fn says_nothing(sql: &str) -> bool {
    let has_comment = sql.contains("--") || sql.contains("/*");
    !has_comment && tokens(sql).all(|token| token.is(";"))
}

type Refused = (String, &'static str, &'static str);

fn refused_statement(words: &[Token<'_>]) -> Option<Refused> {
    let first = words.first()?;
    for word in ["ATTACH", "DETACH"] {
        if first.is(word) {
            let action = "take it out; move rows between files outside of migrations";
            return Some((word.to_owned(), ANOTHER_FILE, action));
        }
    }
    if !first.is("PRAGMA") {
        return None;
    }
    let is_prefixed = words.get(2).is_some_and(|word| word.is("."));
    let place = if is_prefixed { 3 } else { 1 };
    let name = words.get(place)?.name().to_ascii_lowercase();
    if name == "encoding" {
        let value = words.get(place + 2).map(|word| word.name());
        let is_usual = value.is_none_or(|value| value.eq_ignore_ascii_case("UTF-8"));
        return (!is_usual || has_more_words(words, place + 3)).then(|| refusal(&name, ITS_FILE));
    }
    if HARMLESS.contains(&name.as_str()) {
        return None;
    }
    Some(refusal(&name, why_not(&name).unwrap_or(UNKNOWN)))
}

fn has_more_words(words: &[Token<'_>], from: usize) -> bool {
    let rest = words.get(from).filter(|word| !word.is(")"));
    rest.is_some_and(|word| !word.is(";"))
}

fn refusal(pragma: &str, why: &'static str) -> Refused {
    let action = "take it out, and set it where the application opens its database";
    (format!("PRAGMA {pragma}"), why, action)
}

/// The same asked as a table, `pragma_journal_mode`.
fn refused_function(word: &Token<'_>) -> Option<Refused> {
    if !matches!(word.kind, Kind::Word | Kind::Quoted) {
        return None;
    }
    let name = word.name().to_ascii_lowercase();
    let pragma = name.strip_prefix("pragma_")?;
    why_not(pragma).map(|why| refusal(pragma, why))
}

fn why_not(pragma: &str) -> Option<&'static str> {
    if OF_THE_FILE.contains(&pragma) {
        Some(ITS_FILE)
    } else if OF_THE_RULES.contains(&pragma) {
        Some(ITS_RULES)
    } else {
        None
    }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    let before = bytes.iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::super::Connection;
    use super::*;

    #[test]
    fn no_spelling_hides_a_pragma() {
        for sql in [
            "PRAGMA journal_mode=OFF",
            "CREATE TABLE a (x);\npragma Journal_Mode = memory;",
            "PRAGMA main.journal_mode(delete)",
            "PRAGMA /* ; */ \"main\" . [journal_mode] = 'off'",
            "-- x\n;;PRAGMA\n`synchronous`=0",
            "\u{feff}PRAGMA locking_mode=EXCLUSIVE",
            " \u{b}PRAGMA\u{c}locking_mode=EXCLUSIVE",
            "EXPLAIN PRAGMA writable_schema=1",
            "EXPLAIN QUERY PLAN PRAGMA writable_schema=1",
            "SELECT * FROM pragma_journal_mode()",
            "SELECT * FROM \"pragma_wal_checkpoint\"",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; END; PRAGMA page_size=512",
            "INSERT INTO a VALUES ('''); --'); PRAGMA mmap_size=1",
            "PRAGMA key='x'",
            "PRAGMA encoding='UTF-16'",
            "PRAGMA busy_timeout=1",
            "ATTACH 'other.db' AS o",
            "detach o",
        ] {
            assert!(unfit(sql).is_some(), "{sql}");
        }
    }

    #[test]
    fn what_is_harmless_may_be_said() {
        for sql in [
            "PRAGMA foreign_keys=OFF; CREATE TABLE a (x); PRAGMA foreign_keys=ON;",
            "PRAGMA main.user_version = 7",
            "PRAGMA encoding = \"UTF-8\"; PRAGMA encoding('utf-8');",
            "INSERT INTO a VALUES ('PRAGMA journal_mode=OFF; PRAGMA synchronous=0')",
            "CREATE TABLE a (pragma TEXT, attach INT); -- PRAGMA journal_mode=OFF\n/* ; ATTACH */",
            "SELECT name FROM pragma_table_info('a')",
        ] {
            assert_eq!(unfit(sql), None, "{sql}");
        }
    }

    #[test]
    fn the_place_is_named() {
        let seen = unfit("CREATE TABLE a (x);\n\nPRAGMA journal_mode=OFF;").unwrap();
        assert!(
            seen.to_string()
                .starts_with("line 3: PRAGMA journal_mode: it changes"),
            "{seen}"
        );
    }

    #[test]
    fn every_pragma_of_this_sqlite_is_decided() {
        let mut connection = Connection::in_memory().unwrap();
        let rows = connection
            .query("SELECT name FROM pragma_pragma_list", &[])
            .unwrap();
        assert!(rows.len() > 40);
        let undecided = [
            "automatic_index",
            "busy_timeout",
            "count_changes",
            "empty_result_callbacks",
            "encoding",
            "full_column_names",
            "hard_heap_limit",
            "read_uncommitted",
            "reverse_unordered_selects",
            "short_column_names",
            "soft_heap_limit",
            "threads",
        ];
        for row in rows {
            let crate::model::SqlValue::Text(name) = &row[0] else {
                panic!("no name: {row:?}");
            };
            let is_decided = HARMLESS.contains(&name.as_str())
                || why_not(name).is_some()
                || undecided.contains(&name.as_str());
            assert!(is_decided, "{name}");
        }
    }

    #[test]
    fn odd_bytes_are_named_with_their_line() {
        for (bytes, what) in [
            (&b"a;\nb\0c"[..], "line 2: a NUL byte"),
            (b"a;\n\n\xff", "line 3: the byte 0xff"),
            (b"\xff\xfea\0", "line 1: UTF-16"),
        ] {
            let seen = text_of(bytes).unwrap_err().to_string();
            assert!(seen.starts_with(what), "{seen}");
        }
        assert!(text_of("\u{feff}CREATE TABLE \u{e9} (x)".as_bytes()).is_ok());
    }

    #[test]
    fn a_comment_says_something() {
        for sql in ["", " \n;\n", "\u{feff}"] {
            assert!(says_nothing(sql), "{sql:?}");
        }
        assert!(!says_nothing("-- nothing to do") && !says_nothing("SELECT 1"));
    }
}
