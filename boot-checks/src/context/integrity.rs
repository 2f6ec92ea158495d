//! When every page of the database is looked at, and what was seen.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::Context;
use crate::host;
use crate::services::db::salvage::{self, KeptCopy, Rehearsal};
use crate::services::db::{self, DbError, Due, FileSet, Integrity, LastCheck, Looked};

/// The file, below the gate's own folder, that remembers the last look at every page.
pub const INTEGRITY_FILE: &str = "integrity";

/// How long every page is looked at.
pub const LOOK_BUDGET: Duration = Duration::from_secs(2);

/// From this size on it takes so long to try what can be saved that it is said first.
const SAID_FROM_BYTES: u64 = 8 << 20;

/// What this boot saw of it.
#[derive(Default)]
pub(super) struct Memory {
    left_behind: Mutex<Option<bool>>,
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
        self.known().get_or_insert_with(|| is_left_behind(files));
    }

    /// Whoever was met then has gone.
    pub(super) fn forget_first_look(&self) {
        self.known().take();
    }

    fn known(&self) -> MutexGuard<'_, Option<bool>> {
        self.left_behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// As it was at the first look.
    pub(super) fn is_left_behind(&self) -> bool {
        self.known().unwrap_or_default()
    }
}

impl Context {
    /// The file of the last look at every page.
    pub fn integrity_file(&self) -> PathBuf {
        self.state_folder().join(INTEGRITY_FILE)
    }

    /// What was remembered of the last look at every page.
    fn last_check(&self) -> Option<LastCheck> {
        last_check(&self.state_folder())
    }

    /// Whether and why every page is to be looked at, and when that was last done.
    pub fn integrity_due(&self) -> (Option<Due>, Option<LastCheck>) {
        let last = self.last_check();
        let due = self.with_looked(|looked| {
            LastCheck::due(last.as_ref(), looked, self.integrity.is_left_behind())
        });
        let asked = self.looks_at_every_page.then_some(Due::Asked);
        (due.or(asked), last)
    }

    /// A look at every page that was just finished.
    pub fn checked_now(&self) -> LastCheck {
        self.with_looked(LastCheck::now)
    }

    /// Whether another file has taken the main file's place since the last look at every page, where that is known.
    pub(super) fn was_replaced(&self) -> Option<bool> {
        was_replaced(&self.state_folder(), self.database_path()?)
    }

    fn with_looked<T>(&self, tell: impl FnOnce(Looked<'_>) -> T) -> T {
        let database = self.database_path().unwrap_or(Path::new(""));
        with_looked(&self.state_folder(), database, tell)
    }

    /// Remembers what a look at every page found.
    pub fn note_integrity(&self, seen: &Integrity) {
        let slot = self.integrity.seen.lock();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(seen.clone());
    }

    /// Whether an earlier run has kept a copy of the database that is still whole.
    pub fn has_kept_copies(&self) -> bool {
        let copies = self.database_path().map(|path| self.copies_of(path));
        let copies = copies.and_then(Result::ok);
        copies.is_some_and(|mut copies| copies.any(|copy| copy.is_whole))
    }

    fn copies_of(&self, database: &Path) -> io::Result<Box<dyn Iterator<Item = KeptCopy>>> {
        (self.kept_copies)(&self.config.root, database)
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
        let main = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let log =
            std::fs::metadata(db::side_file(path, "-wal")).map_or(0, |metadata| metadata.len());
        let bytes = main.saturating_add(log);
        if bytes >= SAID_FROM_BYTES {
            let size = bytes.div_ceil(1 << 20);
            self.tell_wait(&format!(
                "what can be saved of the damaged database ({size} MiB) is tried on a copy"
            ));
        }
        let rehearsed = salvage::rehearse(path, &|| self.copies_of(path))
            .map(Arc::new)
            .map_err(|error| error.to_string());
        slot.insert(rehearsed).clone()
    }

    /// Whether the database may be written to: its pages are looked at where that is due and this run has not yet.
    ///
    /// Safety: a damaged file may name pages as free that hold rows. The next row that is written goes there.
    ///
    /// # Errors
    ///
    /// What does not fit, or why nobody could look.
    pub fn ensure_not_damaged(&self) -> Result<(), DbError> {
        let seen = match self.integrity() {
            Some(seen) => Some(seen),
            None if self.integrity_due().0.is_some() => {
                let look = self.look(|connection| db::full_check(connection, LOOK_BUDGET));
                self.forget_connection();
                let seen = look?.seen;
                self.note_integrity(&seen);
                Some(seen)
            }
            None => None,
        };
        match seen {
            Some(Integrity::Damaged(words)) => Err(DbError::Corrupt {
                code: 11,
                message: words.into_iter().next().unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// What the last look at every page found; none where this boot had no such look.
    pub fn integrity(&self) -> Option<Integrity> {
        let slot = self.integrity.seen.lock();
        slot.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn last_check(state_folder: &Path) -> Option<LastCheck> {
    let text = host::files::read_regular(&state_folder.join(INTEGRITY_FILE)).ok()?;
    String::from_utf8(text).ok().map(LastCheck::parse)
}

fn with_looked<T>(state_folder: &Path, database: &Path, tell: impl FnOnce(Looked<'_>) -> T) -> T {
    tell(Looked {
        system_boot: host::system_boot(),
        database,
        anchor: &state_folder.join("lock"),
    })
}

/// As [`Context::was_replaced`].
pub(super) fn was_replaced(state_folder: &Path, database: &Path) -> Option<bool> {
    let last = last_check(state_folder)?;
    with_looked(state_folder, database, |looked| last.was_replaced(looked))
}

/// Whether somebody went away without tidying up. While another process has the database open, its log
/// is no sign of that.
///
/// Safety: between two transactions a live process holds no lock either, and what was seen of the one before is gone
/// by then. So it is believed when nobody is met in several looks, and each sees the very same files.
pub(super) fn is_left_behind(files: &FileSet) -> bool {
    let first = Stamps::of(&files.path);
    (0..LOOKS_FOR_AN_OWNER).all(|look| {
        if look > 0 {
            std::thread::sleep(BETWEEN_LOOKS);
        }
        seems_left_behind(files) && Stamps::of(&files.path) == first
    })
}

/// Which files there are.
#[derive(PartialEq)]
pub(super) struct Stamps([Option<Stamp>; 3]);

/// Which one it is, how long, and when it was last written.
type Stamp = ((u64, u64), u64, SystemTime);

impl Stamps {
    pub(super) fn of(database: &Path) -> Stamps {
        Stamps(["", "-wal", "-journal"].map(|suffix| {
            let metadata = std::fs::metadata(db::side_file(database, suffix)).ok()?;
            let identity = host::file_identity(&metadata);
            Some((identity, metadata.len(), metadata.modified().ok()?))
        }))
    }
}

/// As often a live process, and what it writes, would have to be missed.
const LOOKS_FOR_AN_OWNER: usize = 3;

/// Longer than a tick of the system's clock, within which two writes leave the same times.
const BETWEEN_LOOKS: Duration = Duration::from_millis(11);

fn seems_left_behind(files: &FileSet) -> bool {
    let holds = |bytes: Option<u64>| bytes.is_some_and(|bytes| bytes > 0);
    // A finished transaction leaves its journal where `journal_mode` is `PERSIST`.
    let is_interrupted = holds(files.journal_bytes) && db::has_unfinished_journal(&files.path);
    let is_open = || host::lock_holder(&files.path, db::LOCK_BYTES);
    (holds(files.wal_bytes) || is_interrupted) && !matches!(is_open(), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;

    use super::*;
    use crate::config::{Inputs, load};
    use crate::host::{Clock, Host};
    use crate::model::Mode;

    #[test]
    fn what_takes_long_to_be_tried_is_said_first() {
        for (bytes, expect) in [(SAID_FROM_BYTES - 4096, 0), (SAID_FROM_BYTES, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let inputs = Inputs {
                root: Some(folder.path().to_owned()),
                config: None,
                database_url: Some("sqlite:///./damaged.db".to_owned()),
                variables: BTreeMap::new(),
                current_dir: folder.path().to_owned(),
            };
            let file = File::create(folder.path().join("damaged.db")).unwrap();
            file.set_len(bytes).unwrap();
            let said = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&said);
            let cx = Context::new(
                load(&inputs).unwrap(),
                Host::new(Clock::System, BTreeMap::new(), folder.path().to_owned()),
                Mode::Observe,
                Vec::new(),
                Duration::ZERO,
                move |words: &str| heard.lock().unwrap().push(words.to_owned()),
            );
            for _ in 0..2 {
                let _ = cx.rehearse_salvage();
            }
            let said = said.lock().unwrap();
            assert_eq!(said.len(), expect, "{said:?}");
            assert!(
                said.iter().all(|words| words.contains("(8 MiB)")),
                "{said:?}"
            );
        }
    }

    #[test]
    fn a_journal_that_changes_is_not_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let journal = db::side_file(&path, "-journal");
        std::fs::write(&path, "main").unwrap();
        std::fs::write(&journal, "begun").unwrap();
        let files = FileSet::look(&path);
        assert!(is_left_behind(&files));
        for meanwhile in [Some("begun again"), None] {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(BETWEEN_LOOKS / 2);
                    match meanwhile {
                        Some(words) => std::fs::write(&journal, words).unwrap(),
                        None => std::fs::remove_file(&journal).unwrap(),
                    }
                });
                assert!(!is_left_behind(&files), "{meanwhile:?}");
            });
        }
    }
}
