//! What a crash left beside the database, judged before SQLite opens either.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::integrity::{Stamps, is_left_behind, was_replaced};
use super::{Context, LOOK_BUDGET};
use crate::model::Mode;
use crate::services::db::{
    Access, BadJournal, BrokenJournal, BrokenLog, Connection, DbError, FileSet, ForeignLog,
    Integrity, MainFile, Recovery, StrayLog, bad_journal, broken_log, foreign_log,
    rehearse_recovery, side_file, stray_log,
};

/// A log or journal beside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftLog {
    /// There is none, or its owner is alive.
    None,
    /// Nothing speaks against it.
    Fits {
        /// What was seen of the outcome; none where it is too large to be tried, as these words say.
        seen: Result<Integrity, String>,
        /// What SQLite passes over, for the power may have been cut while it was written.
        cut: Option<BrokenLog>,
    },
    /// SQLite would throw it away.
    Stray(StrayLog),
    /// SQLite would replay it, and it is another main file's.
    Foreign {
        /// What stands behind the main file's name in its.
        suffix: &'static str,
        /// How that is known.
        foreign: ForeignLog,
    },
    /// SQLite would replay a part of it only, and delete the rest.
    Broken(BrokenLog),
    /// SQLite would roll back a part of a transaction only.
    BrokenJournal(BrokenJournal),
    /// Sound without it, and damaged with it.
    DoesNotFit(Vec<String>),
    /// Damaged with and without it.
    Damaged(Vec<String>),
    /// The outcome could not be tried, for this reason.
    NotTried(String),
    /// It cannot be read.
    Unreadable {
        /// What stands behind the main file's name in its.
        suffix: &'static str,
        /// The system's reason.
        reason: String,
    },
}

/// Remembered until the files may be others.
#[derive(Default)]
pub(super) struct Judged(Mutex<Option<LeftLog>>);

impl Judged {
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn known(&self) -> Option<LeftLog> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn remember(&self, judged: &LeftLog) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(judged.clone());
    }
}

impl Context {
    /// Judges what lies beside the database, once until [`Context::refresh`]. Closes the connection where
    /// that has still to be done.
    pub fn left_log(&self) -> LeftLog {
        if let Some(known) = self.left.known() {
            return known;
        }
        let judged = self.files().map_or(LeftLog::None, |files| {
            let places = self.places_for_a_copy(&files);
            judge(&files, &places, self.integrity.is_left_behind(), || {
                self.was_replaced()
            })
        });
        self.left.remember(&judged);
        judged
    }

    /// Opens the database where it is, once what lies beside it is judged; this run must not have it open.
    ///
    /// Safety: where an application had it open as it was judged, and has gone since, what it left is a crash's, and
    /// is judged as such before SQLite sees it.
    ///
    /// # Errors
    ///
    /// SQLite's reason, or why it is not asked.
    pub fn open_judged(&self, access: Access, wait: Duration) -> Result<Connection, DbError> {
        let path = self
            .database_path()
            .ok_or_else(|| DbError::other("the database is in memory"))?;
        self.forget_connection();
        self.refuse_a_foreign_log()?;
        let connection = Connection::open(path, access, wait)?;
        if !(connection.is_alone() && self.was_judged_in_use(path)) {
            return Ok(connection);
        }
        connection.close();
        self.integrity.forget_first_look();
        self.left.forget();
        self.refuse_a_foreign_log()?;
        Connection::open(path, access, wait)
    }

    /// Whether there is a log of which it was said that its owner is alive.
    fn was_judged_in_use(&self, database: &Path) -> bool {
        let log = std::fs::metadata(side_file(database, "-wal"));
        log.is_ok_and(|it| it.len() > 0) && self.left.known() == Some(LeftLog::None)
    }

    /// Where a copy may be made: among the temporary files, and where a boot may write, below the gate's own folder
    /// or beside the database.
    fn places_for_a_copy(&self, files: &FileSet) -> Vec<PathBuf> {
        let mut places = vec![std::env::temp_dir()];
        if self.mode == Mode::Heal {
            places.push(self.state_folder());
            places.extend(files.path.parent().map(Path::to_owned));
        }
        places
    }

    /// Whether SQLite may open the database: what it would make of a log that is not the database's own
    /// cannot be taken back.
    pub(super) fn refuse_a_foreign_log(&self) -> Result<(), DbError> {
        self.left_log().refusal().map_or(Ok(()), Err)
    }
}

impl LeftLog {
    /// Why SQLite may not open the database beside it.
    pub fn refusal(self) -> Option<DbError> {
        let words = match self {
            LeftLog::None | LeftLog::Fits { .. } => return None,
            LeftLog::Damaged(words) => {
                let message = words.into_iter().next().unwrap_or_default();
                return Some(DbError::Corrupt { code: 11, message });
            }
            LeftLog::Unreadable { reason, .. } => format!("its log cannot be read: {reason}"),
            LeftLog::NotTried(reason) => format!("its log cannot be tried on a copy: {reason}"),
            LeftLog::Broken(_) => "its log does not hold, and is not opened".to_owned(),
            LeftLog::BrokenJournal(_) => "its journal does not hold, and is not opened".to_owned(),
            LeftLog::Stray(_) | LeftLog::Foreign { .. } | LeftLog::DoesNotFit(_) => {
                "its log may not belong to it, and is not opened".to_owned()
            }
        };
        Some(DbError::other(words))
    }

    /// As [`Context::left_log`], of a database for which there is no context. This process must not have it open.
    pub fn of(database: &Path, state_folder: &Path) -> LeftLog {
        let files = FileSet::look(database);
        let mut places = vec![std::env::temp_dir(), state_folder.to_owned()];
        places.extend(database.parent().map(Path::to_owned));
        judge(&files, &places, is_left_behind(&files), || {
            was_replaced(state_folder, database)
        })
    }
}

/// Safety: what is said against a log counts where nobody has come meanwhile and every file is the one that was judged:
/// an application that has started since the first look has taken the log up, and goes on in it.
fn judge(
    files: &FileSet,
    places: &[PathBuf],
    was_left_behind: bool,
    was_replaced: impl Fn() -> Option<bool>,
) -> LeftLog {
    let (mut files, mut was_left_behind) = (files.clone(), was_left_behind);
    for _ in 1..JUDGEMENTS_MAX {
        let stamps = Stamps::of(&files.path);
        let judged = judge_once(&files, places, was_left_behind, &was_replaced);
        if judged.clone().refusal().is_none() {
            return judged;
        }
        let is_so_still = was_left_behind && is_left_behind(&files);
        if is_so_still == was_left_behind && Stamps::of(&files.path) == stamps {
            return judged;
        }
        was_left_behind = is_so_still;
        files = FileSet::look(&files.path);
    }
    judge_once(&files, places, was_left_behind, &was_replaced)
}

/// As often a log is judged that changes meanwhile.
const JUDGEMENTS_MAX: usize = 5;

fn judge_once(
    files: &FileSet,
    places: &[PathBuf],
    is_left_behind: bool,
    was_replaced: impl Fn() -> Option<bool>,
) -> LeftLog {
    let holds = |bytes: Option<u64>| bytes.is_some_and(|bytes| bytes > 0);
    let (has_log, has_journal) = (holds(files.wal_bytes), holds(files.journal_bytes));
    let MainFile::Database(header) = &files.main else {
        return LeftLog::None;
    };
    // Whatever its length: it may be no file at all.
    if files.wal_bytes.is_some() {
        match stray_log(&files.path, header.page_size, is_left_behind) {
            Err(error) => return unreadable("-wal", &error),
            Ok(Some(stray)) => return LeftLog::Stray(stray),
            Ok(None) => {}
        }
    }
    // While another process has the database open, the log is no crash's.
    if !is_left_behind || !(has_log || has_journal) {
        return LeftLog::None;
    }
    let broken = match has_log {
        true => broken_log(&files.path),
        false => Ok(None),
    };
    let broken = match broken {
        Err(error) => return unreadable("-wal", &error),
        Ok(broken) => broken,
    };
    // One that SQLite left so can be healed, so that what speaks against it counts first.
    if let Some(broken) = broken.filter(|it| !it.may_be_cut && !it.is_sqlites) {
        return LeftLog::Broken(broken);
    }
    let against_log = || match has_log {
        true => against_log(&files.path, was_replaced()),
        false => Ok(None),
    };
    let against_journal = || match has_journal {
        true => against_journal(&files.path, was_replaced()),
        false => Ok(None),
    };
    let against = match against_log() {
        Err(error) => Some(unreadable("-wal", &error)),
        Ok(Some(against)) => Some(against),
        Ok(None) => against_journal().unwrap_or_else(|error| Some(unreadable("-journal", &error))),
    };
    if let Some(against) = against {
        return against;
    }
    if let Some(unfinished) = broken.filter(|it| it.is_sqlites) {
        return LeftLog::Broken(unfinished);
    }
    match rehearse_recovery(files, places, LOOK_BUDGET) {
        Ok(Recovery::Holds(seen)) => LeftLog::Fits {
            seen: Ok(seen),
            cut: broken,
        },
        Ok(Recovery::DoesNotFit(words)) => LeftLog::DoesNotFit(words),
        Ok(Recovery::Damaged(words)) => LeftLog::Damaged(words),
        Ok(Recovery::TooLarge(words)) => LeftLog::Fits {
            seen: Err(words),
            cut: broken,
        },
        Err(error) => LeftLog::NotTried(error.to_string()),
    }
}

fn unreadable(suffix: &'static str, error: &io::Error) -> LeftLog {
    let reason = error.to_string();
    LeftLog::Unreadable { suffix, reason }
}

fn against_log(path: &Path, was_replaced: Option<bool>) -> io::Result<Option<LeftLog>> {
    let suffix = "-wal";
    let foreign = foreign_log(path, was_replaced)?;
    Ok(foreign.map(|foreign| LeftLog::Foreign { suffix, foreign }))
}

fn against_journal(path: &Path, was_replaced: Option<bool>) -> io::Result<Option<LeftLog>> {
    let suffix = "-journal";
    Ok(bad_journal(path, was_replaced)?.map(|bad| match bad {
        BadJournal::Broken(broken) => LeftLog::BrokenJournal(broken),
        BadJournal::Foreign(foreign) => LeftLog::Foreign { suffix, foreign },
    }))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    /// What a killed process leaves.
    fn left() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (live, path) = (folder.path().join("live.db"), folder.path().join("a.db"));
        let mut connection = Connection::open(&live, Access::Create, Duration::ZERO).unwrap();
        let setup = "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)";
        connection.execute(setup).unwrap();
        for suffix in ["", "-wal"] {
            std::fs::copy(side_file(&live, suffix), side_file(&path, suffix)).unwrap();
        }
        connection.close();
        (folder, path)
    }

    #[test]
    fn a_log_that_is_written_as_it_is_judged_is_judged_again() {
        for (is_written, judgements) in [(false, 1), (true, 2)] {
            let (_folder, path) = left();
            let asked = Cell::new(0);
            let was_replaced = || {
                asked.set(asked.get() + 1);
                if is_written && asked.get() == 1 {
                    let mut options = File::options();
                    let log = options.append(true).open(side_file(&path, "-wal"));
                    let time = SystemTime::now() + Duration::from_secs(1);
                    log.unwrap().set_modified(time).unwrap();
                }
                Some(true)
            };
            let files = FileSet::look(&path);
            let judged = judge(&files, &[std::env::temp_dir()], true, was_replaced);
            assert_eq!(asked.get(), judgements, "{judged:?}");
            assert!(judged.refusal().is_some());
        }
    }
}
