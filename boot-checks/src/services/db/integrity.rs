use std::time::{Duration, Instant};

use super::virtual_table::damaged_ones;
use super::{Connection, DbError, block_on, quoted};
use crate::model::SqlValue;

/// What a look at every page found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// The pages fit together. Rows whose bytes were changed in place cannot be seen by it.
    Intact,
    /// As [`Integrity::Intact`]; but of some rows SQLite says that their values are not what the table's
    /// definition asks for.
    Contents(Vec<String>),
    /// What could be looked at fits together. The rest SQLite cannot look at, for this reason: it lacks
    /// what only the application registers, or rows that are kept elsewhere.
    Partly {
        /// SQLite's words about what it lacks.
        lacks: String,
        /// As in [`Integrity::Contents`].
        contents: Vec<String>,
    },
    /// The time was over before every page was looked at.
    Unfinished,
    /// SQLite's words about what does not fit.
    Damaged(Vec<String>),
}

impl Integrity {
    /// Whether every page fits, whatever the application wrote into the rows.
    pub fn is_sound(&self) -> bool {
        matches!(self, Integrity::Intact | Integrity::Contents(_))
    }

    fn shortened(mut self) -> Integrity {
        if let Integrity::Contents(words) | Integrity::Damaged(words) = &mut self {
            words.truncate(WORDS_MAX);
        }
        self
    }

    /// As [`Integrity::is_sound`], of what could be looked at.
    pub fn is_sound_where_seen(&self) -> bool {
        self.is_sound() || matches!(self, Integrity::Partly { .. })
    }
}

/// How SQLite begins to speak of values that are not what their column or table asks for. It tells them
/// from damage by these words alone: none of them has a code
/// (<https://www.sqlite.org/pragma.html#pragma_integrity_check>). Whoever wrote the rows wrote them so,
/// with `ignore_check_constraints`, before the definition was changed, or with an older SQLite. All else,
/// entries of an index above all, is damage.
const OF_CONTENTS: [&str; 10] = [
    "CHECK constraint failed in ",
    "NULL value in ",
    "NUMERIC value in ",
    "TEXT value in ",
    "non-ANY value in ",
    "non-BLOB value in ",
    "non-INT value in ",
    "non-INTEGER value in ",
    "non-REAL value in ",
    "non-TEXT value in ",
];

/// Words that are kept; the first few name the place, the rest follow from it.
const WORDS_MAX: usize = 20;

/// Complaints about contents that are read to find an index's damage behind them: some megabytes. The
/// damage of pages comes before any of them.
const CONTENTS_MAX: usize = 100_000;

/// SQLite's steps between two looks at the clock: well below a millisecond.
const STEPS_PER_LOOK: i32 = 1000;

/// SQLite's code for a question that was stopped.
const INTERRUPTED: i32 = 9;

/// `PRAGMA quick_check` within a time budget (<https://www.sqlite.org/pragma.html#pragma_quick_check>):
/// every page of every table and index and the list of free pages, but not each entry of an index
/// against its row.
///
/// Safety: it reads, and what it did not come to within the budget is said to be unfinished, never whole. Damage is
/// what SQLite says in its codes or in words of pages; a lock, a full disk or an error of the system is none.
///
/// # Errors
///
/// SQLite's reason, where that is no damage.
pub fn quick_check(connection: &mut Connection, budget: Duration) -> Result<Integrity, DbError> {
    within(connection, "quick_check", budget)
}

/// What was seen in a look that also compares indexes with tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullLook {
    /// What was found.
    pub seen: Integrity,
    /// Whether there was time for every entry of every index: where not, the pages alone were looked at.
    pub indexes_are_compared: bool,
}

/// First [`quick_check`], then every entry of every index against its row, as far as the time reaches: a sound
/// page in the place of another, or an index that knows of other rows, is seen by that alone.
///
/// # Errors
///
/// SQLite's reason, where that is no damage.
pub fn full_check(connection: &mut Connection, budget: Duration) -> Result<FullLook, DbError> {
    let deadline = Instant::now() + budget;
    let seen = quick_check(connection, budget)?;
    let left = deadline.saturating_duration_since(Instant::now());
    compare_indexes(connection, seen, left)
}

fn compare_indexes(
    connection: &mut Connection,
    seen: Integrity,
    budget: Duration,
) -> Result<FullLook, DbError> {
    let told = |seen, indexes_are_compared| FullLook {
        seen,
        indexes_are_compared,
    };
    if !seen.is_sound_where_seen() {
        return Ok(told(seen, false));
    }
    Ok(match integrity_check_within(connection, budget)? {
        Integrity::Unfinished => told(seen, false),
        compared => told(compared, true),
    })
}

/// As [`quick_check`], with every entry of every index against its row, within a time budget.
///
/// # Errors
///
/// SQLite's reason, where that is no damage.
pub(super) fn integrity_check_within(
    connection: &mut Connection,
    budget: Duration,
) -> Result<Integrity, DbError> {
    within(connection, "integrity_check", budget)
}

fn within(
    connection: &mut Connection,
    pragma: &str,
    budget: Duration,
) -> Result<Integrity, DbError> {
    let deadline = Instant::now() + budget;
    block_on(connection.raw().lock_handle())?
        .set_progress_handler(STEPS_PER_LOOK, move || Instant::now() < deadline);
    let seen = look(connection, pragma);
    block_on(connection.raw().lock_handle())?.remove_progress_handler();
    seen
}

/// `PRAGMA integrity_check`: as [`quick_check`], with every entry of every index, without a limit.
///
/// # Errors
///
/// SQLite's reason, where that is no damage.
pub fn integrity_check(connection: &mut Connection) -> Result<Integrity, DbError> {
    look(connection, "integrity_check")
}

fn look(connection: &mut Connection, pragma: &str) -> Result<Integrity, DbError> {
    let seen = match ask(connection, pragma, None) {
        Err(error) if error.is_mistake() => {
            look_at_the_rest(connection, pragma, error.to_string())?
        }
        seen => seen?,
    };
    if !matches!(seen, Integrity::Partly { .. }) {
        return Ok(seen);
    }
    // A virtual table without its own settings is such a mistake too.
    Ok(match judge_virtual_tables(connection)? {
        Integrity::Intact => seen,
        damaged => damaged,
    })
}

/// What can be looked at without the collations, functions and tokenizers that an application registers: most
/// often everything but the tables' own conditions; else table by table, without those that need them.
fn look_at_the_rest(
    connection: &mut Connection,
    pragma: &str,
    lacks: String,
) -> Result<Integrity, DbError> {
    connection.query("PRAGMA ignore_check_constraints = ON", &[])?;
    let seen = match ask(connection, pragma, None) {
        Err(error) if error.is_mistake() => ask_each_table(connection, pragma),
        seen => seen,
    };
    connection.query("PRAGMA ignore_check_constraints = OFF", &[])?;
    let contents = match seen? {
        Integrity::Intact => Vec::new(),
        Integrity::Contents(contents) | Integrity::Partly { contents, .. } => contents,
        other => return Ok(other),
    };
    Ok(Integrity::Partly { lacks, contents })
}

fn ask_each_table(connection: &mut Connection, pragma: &str) -> Result<Integrity, DbError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0";
    let mut contents = Vec::new();
    for name in connection.query(sql, &[])?.into_iter().flatten() {
        let SqlValue::Text(name) = name else { continue };
        match ask(connection, pragma, Some(&name)) {
            Ok(
                Integrity::Contents(words)
                | Integrity::Partly {
                    contents: words, ..
                },
            ) => {
                contents.extend(words);
            }
            Ok(Integrity::Intact) => {}
            Err(error) if error.is_mistake() => {}
            other => return other,
        }
    }
    Ok(match contents.is_empty() {
        true => Integrity::Intact,
        false => Integrity::Contents(contents).shortened(),
    })
}

fn judge_virtual_tables(connection: &mut Connection) -> Result<Integrity, DbError> {
    match damaged_ones(connection) {
        Ok(words) => Ok(judge_words(words)),
        Err(error) => judge(Err(error)),
    }
}

/// Of one table alone, the list of free pages is not looked at, and the number of words is SQLite's own.
fn ask(
    connection: &mut Connection,
    pragma: &str,
    table: Option<&str>,
) -> Result<Integrity, DbError> {
    if let Some(table) = table {
        return judge(connection.query(&format!("PRAGMA {pragma}({})", quoted(table)), &[]));
    }
    let mut words = |most| judge(connection.query(&format!("PRAGMA {pragma}({most})"), &[]));
    let seen = match words(WORDS_MAX)? {
        // SQLite stops after so many words, and damage may come after all of them.
        Integrity::Contents(few) if few.len() >= WORDS_MAX => words(CONTENTS_MAX)?,
        seen => seen,
    };
    Ok(seen.shortened())
}

fn judge(answer: Result<Vec<super::Row>, DbError>) -> Result<Integrity, DbError> {
    match answer {
        Ok(rows) => {
            let words = rows.into_iter().filter_map(|row| row.into_iter().next());
            let words = words.filter_map(|value| match value {
                SqlValue::Text(text) if text != "ok" => Some(text),
                _ => None,
            });
            Ok(judge_words(words.collect()))
        }
        Err(DbError::Other {
            code: Some(INTERRUPTED),
            ..
        }) => Ok(Integrity::Unfinished),
        // SQLite's words alone: whoever tells them says what they are.
        Err(DbError::Corrupt { message, .. }) => Ok(Integrity::Damaged(vec![message])),
        Err(DbError::NotADatabase) => Ok(Integrity::Damaged(vec![
            "file is not a database".to_owned(),
        ])),
        Err(error) => Err(error),
    }
}

/// Damage beside complaints of another kind is damage.
fn judge_words(words: Vec<String>) -> Integrity {
    let is_of_contents = |word: &String| OF_CONTENTS.iter().any(|form| word.starts_with(form));
    let (contents, rest): (Vec<_>, Vec<_>) = words.into_iter().partition(is_of_contents);
    let (unseen, damage): (Vec<_>, Vec<_>) = rest.into_iter().partition(|it| could_not_look(it));
    match (damage.is_empty(), unseen.into_iter().next()) {
        (false, _) => Integrity::Damaged(damage),
        (true, Some(lacks)) => Integrity::Partly { lacks, contents },
        (true, None) if contents.is_empty() => Integrity::Intact,
        (true, None) => Integrity::Contents(contents),
    }
}

/// Whether SQLite says that it could not look at a full-text index: FTS3 and FTS4 put a mistake in the place of an
/// answer. They make it for each table whose rows are elsewhere, or are kept in a form that only the application
/// reads (<https://www.sqlite.org/fts3.html#the_content_option>,
/// <https://www.sqlite.org/fts3.html#the_compress_and_uncompress_options>).
pub(super) fn could_not_look(word: &str) -> bool {
    word.starts_with("unable to validate the inverted index for FTS")
        && word.ends_with(": SQL logic error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::db::Access;

    #[test]
    fn damage_that_ends_the_look_is_told_once() {
        let message = "database disk image is malformed".to_owned();
        let code = 11;
        let ended = judge(Err(DbError::Corrupt {
            code,
            message: message.clone(),
        }));
        let Ok(Integrity::Damaged(words)) = ended else {
            panic!("{ended:?}")
        };
        let error = DbError::Corrupt {
            code,
            message: words[0].clone(),
        };
        let told = "database is corrupt: database disk image is malformed (SQLite code 11)";
        assert_eq!(error.to_string(), told);
    }

    fn seen_after(sql: &str) -> (Integrity, Integrity) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        connection.execute(sql).unwrap();
        connection.close();
        let mut connection = Connection::open(&path, Access::ReadWrite, Duration::ZERO).unwrap();
        let quick = quick_check(&mut connection, Duration::from_secs(60)).unwrap();
        let whole = integrity_check(&mut connection).unwrap();
        connection.close();
        (quick, whole)
    }

    /// Changes the definition of the table `t` behind SQLite's back.
    fn redefined(from: &str, to: &str) -> String {
        format!(
            "; PRAGMA writable_schema = ON; UPDATE sqlite_schema
             SET sql = replace(sql, '{from}', '{to}'); PRAGMA writable_schema = OFF"
        )
    }

    #[test]
    fn what_the_application_wrote_is_no_damage() {
        let cases = [
            (
                "CREATE TABLE t (x CHECK (x > 0)); PRAGMA ignore_check_constraints = ON;
                 INSERT INTO t VALUES (-1)"
                    .to_owned(),
                "CHECK constraint failed in t",
            ),
            (
                "CREATE TABLE t (x TEXT, y); INSERT INTO t VALUES (NULL, 1)".to_owned()
                    + &redefined("x TEXT", "x TEXT NOT NULL"),
                "NULL value in t.x",
            ),
            (
                "CREATE TABLE t (x ANY, y); INSERT INTO t VALUES (1, 1)".to_owned()
                    + &redefined("x ANY", "x TEXT"),
                "NUMERIC value in t.x",
            ),
            (
                "CREATE TABLE t (x TEXT, y); INSERT INTO t VALUES ('1', 1)".to_owned()
                    + &redefined("x TEXT", "x INT"),
                "TEXT value in t.x",
            ),
            (
                "CREATE TABLE t (x INT, y INT) STRICT; INSERT INTO t VALUES (1, 1)".to_owned()
                    + &redefined("x INT", "x TEXT"),
                "non-TEXT value in t.x",
            ),
        ];
        for (sql, words) in cases {
            let expected = Integrity::Contents(vec![words.to_owned()]);
            assert_eq!(seen_after(&sql), (expected.clone(), expected), "{sql}");
        }
    }

    #[test]
    fn damage_behind_any_number_of_complaints_about_contents_is_damage() {
        let sql = "CREATE TABLE t (x CHECK (x > 0), y); CREATE INDEX i ON t (y);
                   PRAGMA ignore_check_constraints = ON;
                   WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
                   INSERT INTO t SELECT -i, -i FROM n; INSERT INTO t VALUES (1, 2)"
            .to_owned();
        let without = |sql: &str| seen_after(sql).1;
        let seen = without(&sql);
        assert!(
            matches!(&seen, Integrity::Contents(words) if words.len() == WORDS_MAX),
            "{seen:?}"
        );
        // Of the last row alone the index now says something else.
        let sql = sql + &redefined("ON t (y)", "ON t (x)");
        let Integrity::Damaged(words) = without(&sql) else {
            panic!("no damage: {:?}", without(&sql));
        };
        assert!(
            words.iter().all(|word| word.contains("index i")),
            "{words:?}"
        );
    }

    #[test]
    fn what_only_the_application_registers_keeps_nobody_from_the_pages() {
        let sql = "CREATE TABLE t (x CHECK (x > 0)); INSERT INTO t VALUES (1)".to_owned()
            + &redefined("x > 0", "theirs(x)");
        let other = "CREATE TABLE t (x TEXT COLLATE nocase); CREATE INDEX i ON t (x)".to_owned()
            + &redefined("nocase", "theirs");
        for sql in [sql, other] {
            let (quick, whole) = seen_after(&sql);
            for seen in [quick, whole] {
                assert!(
                    matches!(&seen, Integrity::Partly { lacks, .. } if lacks.contains("theirs")),
                    "{seen:?}"
                );
            }
        }
    }

    #[test]
    fn a_full_text_index_that_sqlite_cannot_look_at_is_not_damaged_by_that() {
        let elsewhere = "CREATE VIRTUAL TABLE f USING fts4 (content='', x);
                         INSERT INTO f (docid, x) VALUES (1, 'a b')"
            .to_owned();
        let packed = "CREATE VIRTUAL TABLE f USING fts4 (x); INSERT INTO f VALUES ('a b')"
            .to_owned()
            + &redefined(
                "f USING fts4 (x)",
                "f USING fts4 (x, compress=zip, uncompress=unzip)",
            )
            .replace(
                "PRAGMA writable_schema = OFF",
                "PRAGMA writable_schema = RESET",
            );
        for sql in [&elsewhere, &packed] {
            let (quick, whole) = seen_after(sql);
            for seen in [quick, whole] {
                let Integrity::Partly { lacks, .. } = &seen else {
                    panic!("{sql}: {seen:?}");
                };
                assert!(could_not_look(lacks), "{lacks}");
            }
        }
        let (_, whole) = seen_after(&(elsewhere + "; DROP TABLE f_segdir"));
        assert!(matches!(whole, Integrity::Damaged(_)), "{whole:?}");
    }

    /// One page of an index is a copy of another's: every page holds.
    #[test]
    fn entries_of_another_index_are_seen_where_there_is_time_to_compare_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        connection
            .execute(
                "PRAGMA page_size = 4096; CREATE TABLE t (x, y);
                 CREATE INDEX i ON t (x); CREATE INDEX j ON t (y);
                 INSERT INTO t VALUES ('a', 'b'), ('c', 'd'); CREATE TABLE large (x);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                 INSERT INTO large SELECT hex(i) FROM n",
            )
            .unwrap();
        connection.close();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.copy_within(2 * 4096..3 * 4096, 3 * 4096);
        std::fs::write(&path, bytes).unwrap();
        let mut connection = Connection::open(&path, Access::ReadOnly, Duration::ZERO).unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(
            quick_check(&mut connection, minute).unwrap(),
            Integrity::Intact
        );
        let look = full_check(&mut connection, minute).unwrap();
        assert!(matches!(look.seen, Integrity::Damaged(_)), "{look:?}");
        let hurried = compare_indexes(&mut connection, Integrity::Intact, Duration::ZERO).unwrap();
        assert_eq!(
            (hurried.seen, hurried.indexes_are_compared),
            (Integrity::Intact, false)
        );
        connection.close();
    }

    #[test]
    fn what_one_table_needs_keeps_nobody_from_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        let sql = "PRAGMA page_size = 4096; CREATE TABLE u (x);
                   CREATE TABLE t (x TEXT COLLATE nocase); CREATE INDEX i ON t (x);
                   INSERT INTO u VALUES (1), (2)";
        connection
            .execute(&(sql.to_owned() + &redefined("nocase", "theirs")))
            .unwrap();
        connection.close();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096 + 4] = 1;
        std::fs::write(&path, bytes).unwrap();
        let mut connection = Connection::open(&path, Access::ReadOnly, Duration::ZERO).unwrap();
        let look = full_check(&mut connection, Duration::from_secs(60)).unwrap();
        assert!(matches!(look.seen, Integrity::Damaged(_)), "{look:?}");
        connection.close();
    }

    #[test]
    fn a_check_without_time_is_no_check() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        connection
            .execute(
                "CREATE TABLE t (x); WITH RECURSIVE n(i) AS
                 (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                 INSERT INTO t SELECT hex(i) FROM n",
            )
            .unwrap();
        let mut check = |budget| quick_check(&mut connection, budget).unwrap();
        assert_eq!(check(Duration::ZERO), Integrity::Unfinished);
        assert_eq!(check(Duration::from_secs(60)), Integrity::Intact);
        connection.execute("INSERT INTO t VALUES (1)").unwrap();
        connection.close();
    }
}
