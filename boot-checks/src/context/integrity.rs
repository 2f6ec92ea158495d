//! When every page of the database is looked at, and what was seen.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Context;
use crate::host;
use crate::services::db::salvage::{self, Rehearsal};
use crate::services::db::{self, Due, FileSet, Integrity, LastCheck, Looked};

/// The file, below the gate's own folder, that remembers the last look at every page.
pub const INTEGRITY_FILE: &str = "integrity";

/// What this boot saw of it.
#[derive(Default)]
pub(super) struct Memory {
    left_behind: OnceLock<bool>,
    seen: Mutex<Option<Integrity>>,
    rehearsal: Mutex<Option<Rehearsed>>,
}

type Rehearsed = Result<Arc<Rehearsal>, String>;

impl Memory {
    /// The files may be others by now.
    pub(super) fn forget_rehearsal(&self) {
        let slot = self.rehearsal.lock();
        slot.unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Only the first look at the files tells: SQLite tidies up with the first question.
    pub(super) fn first_look(&self, files: &FileSet) {
        self.left_behind.get_or_init(|| is_left_behind(files));
    }

    /// As it was at the first look.
    pub(super) fn is_left_behind(&self) -> bool {
        self.left_behind.get().copied().unwrap_or_default()
    }
}

impl Context {
    /// The file of the last look at every page.
    pub fn integrity_file(&self) -> PathBuf {
        self.state_folder().join(INTEGRITY_FILE)
    }

    /// What was remembered of the last look at every page.
    fn last_check(&self) -> Option<LastCheck> {
        let text = std::fs::read_to_string(self.integrity_file());
        text.ok().map(LastCheck::parse)
    }

    /// Whether and why every page is to be looked at, and when that was last done.
    pub fn integrity_due(&self) -> (Option<Due>, Option<LastCheck>) {
        let last = self.last_check();
        let due = self.with_looked(|looked| {
            LastCheck::due(last.as_ref(), looked, self.integrity.is_left_behind())
        });
        (due, last)
    }

    /// A look at every page that was just finished.
    pub fn checked_now(&self) -> LastCheck {
        self.with_looked(LastCheck::now)
    }

    /// Whether another file has taken the main file's place since the last look at every page.
    pub(super) fn was_replaced(&self) -> bool {
        let last = self.last_check();
        self.with_looked(|looked| last.is_some_and(|last| last.was_replaced(looked)))
    }

    fn with_looked<T>(&self, tell: impl FnOnce(Looked<'_>) -> T) -> T {
        tell(Looked {
            system_boot: host::system_boot(),
            database: self.database_path().unwrap_or(Path::new("")),
            anchor: &self.state_folder().join("lock"),
        })
    }

    /// Remembers what a look at every page found.
    pub fn note_integrity(&self, seen: &Integrity) {
        let slot = self.integrity.seen.lock();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(seen.clone());
    }

    /// What could be saved of a damaged database, tried on a copy; once until [`Context::refresh`].
    ///
    /// # Errors
    ///
    /// Why nothing would come of it.
    pub fn rehearse_salvage(&self) -> Result<Arc<Rehearsal>, String> {
        let slot = self.integrity.rehearsal.lock();
        let mut slot = slot.unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slot.as_ref() {
            return known.clone();
        }
        self.forget_connection();
        let path = self.database_path().unwrap_or(Path::new(""));
        let backups = self.state_folder().join("backups");
        let rehearsed = salvage::rehearse(path, &backups)
            .map(Arc::new)
            .map_err(|error| error.to_string());
        slot.insert(rehearsed).clone()
    }

    /// What the last look at every page found; none where this boot had no such look.
    pub fn integrity(&self) -> Option<Integrity> {
        let slot = self.integrity.seen.lock();
        slot.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether somebody went away without tidying up. While another process has the database open, its log
/// is no sign of that.
fn is_left_behind(files: &FileSet) -> bool {
    let holds = |bytes: Option<u64>| bytes.is_some_and(|bytes| bytes > 0);
    let is_open = || host::lock_holder(&files.path, db::LOCK_BYTES);
    (holds(files.wal_bytes) || holds(files.journal_bytes)) && !matches!(is_open(), Ok(Some(_)))
}
