//! When every page of the database is looked at, and what was seen.

use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use super::Context;
use crate::host;
use crate::services::db::{self, Due, FileSet, Integrity, LastCheck};

/// The file, below the gate's own folder, that remembers the last look at every page.
pub const INTEGRITY_FILE: &str = "integrity";

impl Context {
    /// The file of the last look at every page.
    pub fn integrity_file(&self) -> PathBuf {
        self.state_folder().join(INTEGRITY_FILE)
    }

    /// Whether and why every page is to be looked at, and when that was last done.
    pub fn integrity_due(&self) -> (Option<Due>, Option<LastCheck>) {
        let last = std::fs::read_to_string(self.integrity_file()).ok();
        let last = last.map(LastCheck::parse);
        let path = self.database_path().unwrap_or(Path::new(""));
        let left_behind = self.left_behind.get().copied().unwrap_or_default();
        let due = LastCheck::due(last.as_ref(), path, &host::system_boot(), left_behind);
        (due, last)
    }

    /// Remembers what a look at every page found.
    pub fn note_integrity(&self, seen: &Integrity) {
        *self.lock_integrity() = Some(seen.clone());
    }

    /// What the last look at every page found; none where this boot had no such look.
    pub fn integrity(&self) -> Option<Integrity> {
        self.lock_integrity().clone()
    }

    fn lock_integrity(&self) -> MutexGuard<'_, Option<Integrity>> {
        self.integrity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody went away without tidying up. While another process has the database open, its log
/// is no sign of that.
pub(super) fn is_left_behind(files: &FileSet) -> bool {
    let holds = |bytes: Option<u64>| bytes.is_some_and(|bytes| bytes > 0);
    let is_open = || host::lock_holder(&files.path, db::LOCK_BYTES);
    (holds(files.wal_bytes) || holds(files.journal_bytes)) && !matches!(is_open(), Ok(Some(_)))
}
