//! What a crash left beside the database, judged before SQLite opens either.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Context;
use crate::services::db::{
    BadJournal, DbError, FileSet, ForeignLog, Integrity, MainFile, Recovery, StrayLog, bad_journal,
    broken_log, foreign_log, rehearse_recovery, stray_log,
};

/// A log or journal beside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftLog {
    /// There is none, or its owner is alive.
    None,
    /// Nothing speaks against it. What was seen of the outcome; none where it could not be tried, for
    /// this reason.
    Fits(Result<Integrity, String>),
    /// SQLite would throw it away.
    Stray(StrayLog),
    /// SQLite would replay it, and it is another main file's.
    Foreign(ForeignLog),
    /// Sound without it, and damaged with it.
    DoesNotFit(Vec<String>),
    /// Damaged with and without it.
    Damaged(Vec<String>),
    /// It does not hold up to where it was written: SQLite would take a part of it for all of it.
    Broken {
        /// The side file's suffix.
        suffix: &'static str,
        /// What does not hold.
        reason: String,
    },
    /// What SQLite would make of it could not be tried.
    NotTried(String),
    /// It cannot be read.
    Unreadable(String),
}

/// How long the outcome is looked at.
const BUDGET: Duration = Duration::from_secs(2);

/// Remembered until the files may be others.
#[derive(Default)]
pub(super) struct Judged(Mutex<Option<LeftLog>>);

impl Judged {
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Context {
    /// Judges what lies beside the database, once until [`Context::refresh`]. Closes the connection where
    /// that has still to be done.
    pub fn left_log(&self) -> LeftLog {
        let mut slot = self.left.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slot.as_ref() {
            return known.clone();
        }
        let judged = self.files().map_or(LeftLog::None, |files| {
            judge(&files, self.integrity.is_left_behind(), || {
                self.was_replaced()
            })
        });
        slot.insert(judged).clone()
    }

    /// Whether SQLite may open the database: what it would make of a log that is not the database's own
    /// cannot be taken back.
    pub(super) fn refuse_a_foreign_log(&self) -> Result<(), DbError> {
        let words = match self.left_log() {
            LeftLog::None | LeftLog::Fits(_) => return Ok(()),
            LeftLog::Damaged(words) => {
                let message = words.into_iter().next().unwrap_or_default();
                return Err(DbError::Corrupt { code: 11, message });
            }
            LeftLog::Unreadable(reason) => format!("its log cannot be read: {reason}"),
            LeftLog::Broken { suffix, reason } => format!("its {suffix} does not hold: {reason}"),
            LeftLog::NotTried(reason) => {
                format!("what lies beside it could not be tried on a copy: {reason}")
            }
            LeftLog::Stray(_) | LeftLog::Foreign(_) | LeftLog::DoesNotFit(_) => {
                "its log does not belong to it, and is not opened".to_owned()
            }
        };
        Err(DbError::other(words))
    }
}

fn judge(files: &FileSet, is_left_behind: bool, was_replaced: impl Fn() -> bool) -> LeftLog {
    let holds = |bytes: Option<u64>| bytes.is_some_and(|bytes| bytes > 0);
    let (has_log, has_journal) = (holds(files.wal_bytes), holds(files.journal_bytes));
    if !matches!(files.main, MainFile::Database(_)) {
        return LeftLog::None;
    }
    // Whatever its length: it may be no file at all.
    if files.wal_bytes.is_some() {
        match stray_log(&files.path) {
            Err(error) => return LeftLog::Unreadable(error.to_string()),
            Ok(Some(stray)) => return LeftLog::Stray(stray),
            Ok(None) => {}
        }
    }
    // While another process has the database open, the log is no crash's.
    if !is_left_behind || !(has_log || has_journal) {
        return LeftLog::None;
    }
    if has_log {
        match foreign_log(&files.path, was_replaced()) {
            Err(error) => return LeftLog::Unreadable(error.to_string()),
            Ok(Some(foreign)) => return LeftLog::Foreign(foreign),
            Ok(None) => {}
        }
        match broken_log(&files.path) {
            Err(error) => return LeftLog::Unreadable(error.to_string()),
            Ok(Some(reason)) => {
                let suffix = "-wal";
                return LeftLog::Broken { suffix, reason };
            }
            Ok(None) => {}
        }
    }
    if has_journal {
        match bad_journal(&files.path, was_replaced()) {
            Err(error) => return LeftLog::Unreadable(error.to_string()),
            Ok(Some(BadJournal::Foreign(foreign))) => return LeftLog::Foreign(foreign),
            Ok(Some(BadJournal::Broken(reason))) => {
                let suffix = "-journal";
                return LeftLog::Broken { suffix, reason };
            }
            Ok(None) => {}
        }
    }
    match rehearse_recovery(files, BUDGET) {
        Ok(Recovery::Holds(seen)) => LeftLog::Fits(Ok(seen)),
        Ok(Recovery::DoesNotFit(words)) => LeftLog::DoesNotFit(words),
        Ok(Recovery::Damaged(words)) => LeftLog::Damaged(words),
        Err(error @ DbError::NotCopied { .. }) => LeftLog::NotTried(error.to_string()),
        Err(error) => LeftLog::Fits(Err(error.to_string())),
    }
}
