use std::path::Path;
use std::time::{Duration, Instant};

use super::{Connection, DbError, block_on};
use crate::model::SqlValue;

/// What a look at every page found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// The pages fit together. Rows whose bytes were changed in place cannot be seen by it.
    Intact,
    /// The time was over before every page was looked at.
    Unfinished,
    /// SQLite's words about what does not fit.
    Damaged(Vec<String>),
}

/// Words that are kept; the first few name the place, the rest follow from it.
const WORDS_MAX: usize = 20;

/// SQLite's steps between two looks at the clock: well below a millisecond.
const STEPS_PER_LOOK: i32 = 1000;

/// SQLite's code for a question that was stopped.
const INTERRUPTED: i32 = 9;

/// `PRAGMA quick_check` within a time budget (<https://www.sqlite.org/pragma.html#pragma_quick_check>):
/// every page of every table and index and the list of free pages, but not each entry of an index
/// against its row.
///
/// # Errors
///
/// SQLite's reason, where that is no damage.
pub fn quick_check(connection: &mut Connection, budget: Duration) -> Result<Integrity, DbError> {
    within(connection, "quick_check", budget)
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
    let answer = connection.query(&format!("PRAGMA {pragma}({WORDS_MAX})"), &[]);
    block_on(connection.raw().lock_handle())?.remove_progress_handler();
    judge(answer)
}

/// `PRAGMA integrity_check`: as [`quick_check`], with every entry of every index, without a limit.
///
/// # Errors
///
/// SQLite's reason, where that is no damage.
pub fn integrity_check(connection: &mut Connection) -> Result<Integrity, DbError> {
    judge(connection.query(&format!("PRAGMA integrity_check({WORDS_MAX})"), &[]))
}

fn judge(answer: Result<Vec<super::Row>, DbError>) -> Result<Integrity, DbError> {
    match answer {
        Ok(rows) => {
            let words: Vec<String> = rows
                .into_iter()
                .filter_map(|row| match row.into_iter().next() {
                    Some(SqlValue::Text(text)) if text != "ok" => Some(text),
                    _ => None,
                })
                .collect();
            Ok(if words.is_empty() {
                Integrity::Intact
            } else {
                Integrity::Damaged(words)
            })
        }
        Err(DbError::Other {
            code: Some(INTERRUPTED),
            ..
        }) => Ok(Integrity::Unfinished),
        Err(error @ (DbError::Corrupt { .. } | DbError::NotADatabase)) => {
            Ok(Integrity::Damaged(vec![error.to_string()]))
        }
        Err(error) => Err(error),
    }
}

/// Why every page is looked at in this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// No finished check of this database is known, or the last boot did not end well.
    Unknown,
    /// A log or a journal was left behind, and nobody has the database open.
    LeftBehind,
    /// The machine was started anew since the last check.
    Restarted,
    /// That many boots have gone by.
    Routine,
}

/// Boots from one look at every page to the next.
pub const BOOTS_BETWEEN: usize = 50;

/// What is remembered from the last time that every page was looked at: the database, the system's
/// boot, and one byte for each of the gate's boots since. A healthy boot appends one byte to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    text: String,
}

impl LastCheck {
    /// A check that was just finished.
    pub fn now(database: &Path, system_boot: &str) -> LastCheck {
        LastCheck {
            text: format!("{system_boot} {}\n", database.display()),
        }
    }

    /// From what was written down.
    pub fn parse(text: String) -> LastCheck {
        LastCheck { text }
    }

    /// What is written down.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Boots until the next routine check.
    pub fn boots_left(&self) -> usize {
        let boots = self.text.lines().nth(1).map_or(0, str::len);
        BOOTS_BETWEEN.saturating_sub(boots)
    }

    /// Whether every page is to be looked at.
    pub fn due(
        last: Option<&LastCheck>,
        database: &Path,
        system_boot: &str,
        left_behind: bool,
    ) -> Option<Due> {
        let Some(last) = last else {
            return Some(Due::Unknown);
        };
        let mut parts = last.text.lines().next().unwrap_or_default().splitn(2, ' ');
        let (boot, path) = (parts.next(), parts.next());
        if path != Some(database.display().to_string().as_str()) {
            Some(Due::Unknown)
        } else if left_behind {
            Some(Due::LeftBehind)
        } else if boot != Some(system_boot) {
            Some(Due::Restarted)
        } else if last.boots_left() == 0 {
            Some(Due::Routine)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::db::Access;

    #[test]
    fn a_check_is_due_after_an_unclean_end_and_now_and_then() {
        let database = Path::new("/a b/x.db");
        let due = |last: &LastCheck, boot, left| LastCheck::due(Some(last), database, boot, left);
        let last = LastCheck::now(database, "boot-1");
        assert_eq!(due(&last, "boot-1", false), None);
        assert_eq!(due(&last, "boot-1", true), Some(Due::LeftBehind));
        assert_eq!(due(&last, "boot-2", false), Some(Due::Restarted));
        let boots = |n: usize| LastCheck::parse(last.text().to_owned() + &".".repeat(n));
        assert_eq!(due(&boots(BOOTS_BETWEEN - 1), "boot-1", false), None);
        let routine = due(&boots(BOOTS_BETWEEN), "boot-1", false);
        assert_eq!(routine, Some(Due::Routine));
        let other = LastCheck::now(Path::new("/y.db"), "boot-1");
        assert_eq!(due(&other, "boot-1", false), Some(Due::Unknown));
        let none = LastCheck::due(None, database, "boot-1", false);
        assert_eq!(none, Some(Due::Unknown));
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
