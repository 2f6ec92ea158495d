//! The gate's own lock: a separate file, locked by the kernel, never removed. Its contents only
//! say who holds it; the lock itself ends with the process, so a kill leaves nothing to clean up.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::open_own;

/// The contents of a lock file are a few words; more is not ours.
const HOLDER_BYTES_MAX: u64 = 512;

/// How long to sleep between two tries: short at first, so that a boot of milliseconds is not
/// waited for much longer than it takes.
const BACK_OFF: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
];

/// What a holder's description begins with.
pub(super) const HOLDER: &str = "pid ";

/// What a holder leaves instead of its description when there is nothing to tidy up after it, before the
/// name of this run of the system: after a power cut the file may say what was so before.
const TIDY: &str = "nothing was left behind, in system run ";

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct GateLock {
    file: File,
    found: String,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another boot has it.
    #[error("another boot holds {} ({holder})", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}: {source}", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl GateLock {
    /// Takes the lock, waiting at most `budget`; `on_wait` is told once who is waited for.
    ///
    /// Safety: the system holds it for the open file and lets go of it with the process, however that ends, so
    /// that no dead holder is waited for. The file is never removed: two processes that lock two files of one
    /// name would both have it. What stands in it is for people, and nothing is decided by it; but what no lock ever
    /// held is not written over, for the file may have another name too, and be the database.
    ///
    /// # Errors
    ///
    /// When another boot still holds it after `budget`, or the file cannot be used.
    pub fn acquire(
        path: &Path,
        holder: &str,
        budget: Duration,
        mut on_wait: impl FnMut(&str),
    ) -> Result<GateLock, LockError> {
        let unusable = |source| LockError::Unusable {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(unusable)?;
        }
        let mut file = open_own(path).map_err(unusable)?;
        let deadline = Instant::now() + budget;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if tries == 0 || left.is_zero() {
                let holder = read_holder(&mut file);
                if left.is_zero() {
                    return Err(LockError::Held {
                        path: path.to_owned(),
                        holder,
                    });
                }
                on_wait(&holder);
            }
            std::thread::sleep(BACK_OFF[tries.min(BACK_OFF.len() - 1)].min(left));
            tries += 1;
        }
        let found = read_holder(&mut file);
        if !is_of_a_lock(&mut file).map_err(unusable)? {
            let words = "it holds something else than a lock does; move it away";
            return Err(unusable(io::Error::new(io::ErrorKind::InvalidData, words)));
        }
        // Diagnostics only: a full disk must not keep the gate from looking. But what the last holder said
        // of itself is not true of this one.
        if write(&mut file, holder).is_err() {
            let _ = file.set_len(0);
        }
        Ok(GateLock { file, found })
    }

    /// Whether the last holder went by [`GateLock::leave_tidy`], in this run of the system.
    pub fn was_left_tidy(&self) -> bool {
        tidy_words().is_some_and(|words| self.found == words)
    }

    /// Gives the lock back, and tells the next holder that this one was not interrupted and left nothing
    /// that would have to be tidied up.
    pub fn leave_tidy(mut self) {
        if let Some(words) = tidy_words() {
            // Where it cannot be said, the next holder looks.
            let _ = write(&mut self.file, &words);
        }
    }
}

/// None where runs of the system have no names.
fn tidy_words() -> Option<String> {
    let system = super::system_boot();
    (!system.is_empty()).then(|| format!("{TIDY}{system}"))
}

/// Cut to length after the writing and not before: giving a file's only block back to the disk and
/// asking for one again costs more than the rest of the lock.
fn write(file: &mut File, words: &str) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(words.as_bytes())?;
    file.set_len(words.len() as u64)
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(length) if length > 0 => text.trim().to_owned(),
        _ => "it has not said who it is".to_owned(),
    }
}

/// Whether it holds what one that had the lock wrote, perhaps not to its end, or the nothing that a power cut leaves.
fn is_of_a_lock(file: &mut File) -> io::Result<bool> {
    let mut held = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(HOLDER_BYTES_MAX + 1).read_to_end(&mut held)?;
    let begins = [HOLDER, TIDY].iter().any(|words| {
        let shared = held.len().min(words.len());
        held[..shared] == words.as_bytes()[..shared]
    });
    let is_short = held.len() as u64 <= HOLDER_BYTES_MAX;
    Ok(is_short && (begins || held.iter().all(|byte| *byte == 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/lock");
        let first = GateLock::acquire(&path, "pid 1", Duration::ZERO, |_| {}).unwrap();
        let error = GateLock::acquire(&path, "pid 2", Duration::ZERO, |_| {}).unwrap_err();
        assert!(
            matches!(&error, LockError::Held { holder, .. } if holder == "pid 1"),
            "{error}"
        );
        drop(first);
        let _second = GateLock::acquire(&path, "pid 2", Duration::ZERO, |_| {}).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "pid 2");
    }

    #[test]
    fn what_no_lock_held_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let long = format!("pid 1{}", " ".repeat(600));
        for contents in ["SECRET=1", "pidgin", &long] {
            std::fs::write(&path, contents).unwrap();
            let error = GateLock::acquire(&path, "pid 2", Duration::ZERO, |_| {}).unwrap_err();
            assert!(matches!(error, LockError::Unusable { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), contents);
        }
        let left = format!("{TIDY}x");
        for contents in ["", "pi", "pid 17 on host since", "\0\0\0\0", &left] {
            std::fs::write(&path, contents).unwrap();
            GateLock::acquire(&path, "pid 2", Duration::ZERO, |_| {}).unwrap();
        }
    }

    #[test]
    fn only_who_leaves_it_tidy_is_taken_for_tidy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let take = || GateLock::acquire(&path, "pid 1", Duration::ZERO, |_| {}).unwrap();
        assert!(!take().was_left_tidy());
        take().leave_tidy();
        let lock = take();
        assert_eq!(
            lock.was_left_tidy(),
            !super::super::system_boot().is_empty()
        );
        drop(lock);
        assert!(!take().was_left_tidy());
        std::fs::write(&path, format!("{TIDY}another")).unwrap();
        assert!(!take().was_left_tidy());
    }

    #[test]
    fn a_lock_that_is_given_back_in_time_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = GateLock::acquire(&path, "pid 1", Duration::ZERO, |_| {}).unwrap();
        let mut held = Some(first);
        let mut waited_for = String::new();
        GateLock::acquire(&path, "pid 2", Duration::from_secs(10), |holder| {
            waited_for = holder.to_owned();
            held.take();
        })
        .unwrap();
        assert_eq!(waited_for, "pid 1");
    }
}
