use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::log_frames::Frames;
use super::log_index::{Committed, committed_in, index_of};
use super::log_tail::Tail;
use super::owed_sums::OwedSums;
use super::{DbError, FileSet, MainFile, side_file};
use crate::host::{self, PrivateFolder};

/// A copy for looking is only made up to here: beyond, it would take longer than a person waits.
const OBSERVED_COPY_BYTES_MAX: u64 = 4 << 30;

/// What is waited before each further try, where somebody wrote during the one before: together two seconds, of
/// which the first lie between the checkpoints of whoever writes without a pause.
const BACK_OFF_MS: [u64; 11] = [5, 10, 20, 40, 80, 160, 320, 320, 320, 320, 320];

/// Two writes within one tick of the system's clock leave the same times; no tick is longer.
const TICK: Duration = Duration::from_millis(20);

/// Whoever writes into a log's index is done with it in a moment.
const LOOKS_AT_AN_INDEX: usize = 100;

/// A copy of the whole set, so that observing a database with a write-ahead log or a hot journal
/// leaves every byte as it is.
pub(crate) fn copy_for_looking(files: &FileSet) -> Result<PrivateFolder, DbError> {
    copy_for_looking_in(files, &std::env::temp_dir())
}

/// As [`copy_for_looking`], below this folder.
pub(super) fn copy_for_looking_in(files: &FileSet, place: &Path) -> Result<PrivateFolder, DbError> {
    // The index of the log is a cache of live processes: SQLite makes it anew beside the copy.
    copy_of(&files.path, &["", "-wal", "-journal"], place)
}

/// As [`copy_for_looking_in`], without what lies beside the main file.
pub(super) fn copy_alone_in(files: &FileSet, place: &Path) -> Result<PrivateFolder, DbError> {
    copy_of(&files.path, &[""], place)
}

/// Tried again for as long as somebody writes meanwhile, within [`BACK_OFF_MS`].
fn copy_of(path: &Path, suffixes: &[&str], place: &Path) -> Result<PrivateFolder, DbError> {
    let mut pauses = BACK_OFF_MS.into_iter();
    loop {
        let copied = Copying::begin(path, suffixes, place).and_then(|mut copying| {
            (0..copying.files.len()).try_for_each(|at| copying.copy(at))?;
            copying.end()
        });
        match (copied, pauses.next()) {
            (Ok(folder), _) => return Ok(folder),
            (Err(NotCopied::For(error)), _) => return Err(error),
            (Err(NotCopied::Written), Some(pause)) => {
                std::thread::sleep(Duration::from_millis(pause));
            }
            (Err(NotCopied::Written), None) => {
                let words = "the database was being written while it was observed";
                return Err(DbError::other(words));
            }
        }
    }
}

/// Why there is no copy.
#[derive(Debug)]
enum NotCopied {
    /// Somebody wrote meanwhile: what was copied may be of two states.
    Written,
    /// There will be none.
    For(DbError),
}

/// A copy that is being made, of one state of the database or it comes to nothing.
///
/// Safety: nothing is locked, since whoever writes must not be kept out, and nothing is taken for one state that
/// may be two. Either no file has another time or length when all are copied, and none was written in the last
/// tick before. Or the main file is copied first and its write-ahead log after it, and the log still has the
/// header that it had before both: then it was not begun anew, so that whatever a checkpoint has moved into the
/// main file meanwhile is in the copied log too, and counts from there; what it did not move was not written
/// (<https://www.sqlite.org/walformat.html>). What is committed meanwhile may be there or not, each as a whole,
/// by the checksums in the log. While a log is in use its index counts instead, and SQLite has left pages without
/// checksums that the index counts: in the copy they get those that they are owed ([`OwedSums`]), or it is none.
struct Copying {
    files: Vec<Source>,
    log: Option<Generation>,
    /// What of it whoever has it open counts as committed.
    committed: Option<Committed>,
    folder: PrivateFolder,
}

/// A file to be copied, as it was before.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
    identity: (u64, u64),
}

/// A log's header: two numbers in it are new each time that it is begun anew.
type Generation = [u8; 32];

impl Copying {
    fn begin(path: &Path, suffixes: &[&str], place: &Path) -> Result<Copying, NotCopied> {
        let mut files = sources(path, suffixes)?;
        if files.iter().map(|it| it.bytes).sum::<u64>() > OBSERVED_COPY_BYTES_MAX {
            let words = "the database is too large to observe without touching it";
            return Err(NotCopied::For(DbError::other(words)));
        }
        let log = live_log(path, &files);
        if log.is_none() && files.iter().any(Source::was_just_written) {
            std::thread::sleep(TICK);
            let now = sources(path, suffixes)?;
            if std::mem::replace(&mut files, now) != files {
                return Err(NotCopied::Written);
            }
        }
        let folder = PrivateFolder::new_in(place).map_err(failed)?;
        Ok(Copying {
            files,
            log,
            committed: None,
            folder,
        })
    }

    fn copy(&mut self, at: usize) -> Result<(), NotCopied> {
        // Whatever is in the copied main file was counted by now, and whatever is counted by now is in the log.
        if at == 1 {
            self.committed = self.counted();
        }
        let source = &self.files[at];
        let name = source.path.file_name().unwrap_or_default();
        let copied = std::fs::copy(&source.path, self.folder.path().join(name));
        copied.map(|_| ()).map_err(vanished)
    }

    fn counted(&self) -> Option<Committed> {
        let salts = self
            .log
            .map(|log| std::array::from_fn(|byte| log[16 + byte]))?;
        let index = index_of(&self.files[0].path)?;
        // None while it is just being written.
        (0..LOOKS_AT_AN_INDEX).find_map(|_| committed_in(&index, salts))
    }

    fn end(self) -> Result<PrivateFolder, NotCopied> {
        let is_one_state = self.files.iter().all(|before| {
            let now = Source::look(&before.path);
            now.is_ok_and(|now| match self.log {
                Some(_) => now.identity == before.identity,
                None => now == *before,
            })
        });
        let main = &self.files[0].path;
        if !is_one_state || (self.log.is_some() && self.log != generation(main)) {
            return Err(NotCopied::Written);
        }
        match self.is_whole().map_err(failed)? {
            true => Ok(self.folder),
            false => {
                let words = "a part of its log counts only for those who have the database open";
                Err(NotCopied::For(DbError::other(words)))
            }
        }
    }

    /// Whether SQLite takes every part of the copied log that counts, once what it owes to it is paid.
    fn is_whole(&self) -> io::Result<bool> {
        let Some(committed) = self.committed else {
            return Ok(true);
        };
        let name = self.files[0].path.file_name().unwrap_or_default();
        let log = side_file(&self.folder.path().join(name), "-wal");
        let Some(frames) = Frames::open(&log)? else {
            return Ok(true);
        };
        let tail = Tail::look(&File::open(&log)?, frames)?;
        if tail.dropped(Some(committed.frames)) == 0 {
            return Ok(true);
        }
        let log = File::options().read(true).write(true).open(log)?;
        match OwedSums::in_use(&log, committed)? {
            Some(owed) => owed.pay(&log).map(|()| true),
            None => Ok(false),
        }
    }
}

impl Source {
    fn look(path: &Path) -> io::Result<Source> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            // Copying a pipe would wait for somebody to write into it.
            let words = "a file of the database is no regular file";
            return Err(io::Error::new(ErrorKind::InvalidInput, words));
        }
        Ok(Source {
            path: path.to_owned(),
            bytes: metadata.len(),
            modified: metadata.modified()?,
            identity: host::file_identity(&metadata),
        })
    }

    fn was_just_written(&self) -> bool {
        let now = SystemTime::now();
        let since = now.duration_since(self.modified);
        since.unwrap_or_else(|ahead| ahead.duration()) < TICK
    }
}

/// The main file and what is there beside it.
fn sources(path: &Path, suffixes: &[&str]) -> Result<Vec<Source>, NotCopied> {
    let mut files = Vec::new();
    for suffix in suffixes {
        let file = side_file(path, suffix);
        match Source::look(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound && !suffix.is_empty() => {
                if std::fs::symlink_metadata(&file).is_ok_and(|it| it.is_symlink()) {
                    return Err(failed(ErrorKind::NotFound.into()));
                }
            }
            found => files.push(found.map_err(failed)?),
        }
    }
    Ok(files)
}

/// The generation of a log that counts beside its main file, whoever writes.
fn live_log(path: &Path, files: &[Source]) -> Option<Generation> {
    let has = |suffix| {
        let file = side_file(path, suffix);
        files.iter().any(|it| it.path == file && it.bytes > 0)
    };
    let is_wal = matches!(FileSet::look(path).main, MainFile::Database(header) if header.is_wal());
    let counts = is_wal && has("-wal") && !has("-journal");
    counts.then(|| generation(path)).flatten()
}

/// None where the header does not hold.
fn generation(path: &Path) -> Option<Generation> {
    let log = File::open(side_file(path, "-wal")).ok()?;
    let mut header = [0; 32];
    host::read_exact_at(&log, &mut header, 0).ok()?;
    Frames::of(log).ok()?.map(|_| header)
}

fn failed(error: io::Error) -> NotCopied {
    NotCopied::For(DbError::other(format!("copying for observation: {error}")))
}

/// What was there a moment ago: SQLite removes a side file when a transaction ends, or the last one leaves.
fn vanished(error: io::Error) -> NotCopied {
    match error.kind() {
        ErrorKind::NotFound => NotCopied::Written,
        _ => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SqlValue;
    use crate::services::db::{Access, Connection};

    #[test]
    fn the_copy_is_of_what_holds_rows() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("a.db");
        for suffix in ["", "-wal", "-shm"] {
            std::fs::write(side_file(&database, suffix), "bytes").unwrap();
        }
        let copy = copy_for_looking(&FileSet::look(&database)).unwrap();
        let is_there = |suffix| side_file(&copy.path().join("a.db"), suffix).exists();
        assert_eq!(["", "-wal", "-shm"].map(is_there), [true, true, false]);
    }

    /// Changes most pages, of the table and of its index.
    const CHANGE: &str =
        "SAVEPOINT s; UPDATE t SET x = x + 1; INSERT INTO t (x) SELECT max(x) FROM t; RELEASE s;";

    /// Begins a copy of a database after the statements of `before`, copies the main file, lets `meanwhile` run, and
    /// copies the rest. How many changes are in the copy; none where it came to nothing.
    fn across(mode: &str, before: &str, meanwhile: &str) -> Option<SqlValue> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        let setup = format!(
            "PRAGMA journal_mode = {mode}; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE t (id INTEGER PRIMARY KEY, x INT, y); CREATE INDEX i ON t (x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO t SELECT i, 0, zeroblob(200) FROM n; PRAGMA wal_checkpoint(TRUNCATE); {before}"
        );
        connection.execute(&setup).unwrap();
        let suffixes = ["", "-wal", "-journal"];
        let mut copying = Copying::begin(&path, &suffixes, folder.path()).unwrap();
        copying.copy(0).unwrap();
        match meanwhile {
            "close" => connection.close(),
            statements => connection.execute(statements).unwrap(),
        }
        let copied = (1..copying.files.len()).try_for_each(|at| copying.copy(at));
        let folder = match copied.and_then(|()| copying.end()) {
            Ok(folder) => folder,
            Err(NotCopied::Written) => return None,
            Err(NotCopied::For(error)) => panic!("{error}"),
        };
        let copy = folder.path().join("a.db");
        let mut connection = Connection::open(&copy, Access::ReadWrite, Duration::ZERO).unwrap();
        let whole = connection.scalar("PRAGMA integrity_check").unwrap();
        assert_eq!(whole, "ok".into(), "{mode} {before} {meanwhile}");
        let is_one = "SELECT min(x) = max(x) AND count(*) = 2000 + max(x) FROM t";
        assert_eq!(
            connection.scalar(is_one),
            Ok(1.into()),
            "{mode} {before} {meanwhile}"
        );
        Some(connection.scalar("SELECT max(x) FROM t").unwrap())
    }

    #[test]
    fn a_copy_is_of_one_state_or_comes_to_nothing() {
        let moved = format!("{CHANGE} PRAGMA wal_checkpoint(PASSIVE)");
        let begun_anew = format!("PRAGMA wal_checkpoint(PASSIVE); {CHANGE}");
        let emptied = format!("{CHANGE} PRAGMA wal_checkpoint(TRUNCATE)");
        let open = format!("BEGIN; {CHANGE}");
        for (mode, before, meanwhile, changes) in [
            // What is appended may be there; what a checkpoint moves is in the log.
            ("WAL", CHANGE, "", Some(1)),
            ("WAL", CHANGE, CHANGE, Some(2)),
            ("WAL", CHANGE, &moved, Some(2)),
            ("WAL", &moved, "", Some(1)),
            // The log is another by then, or gone.
            ("WAL", CHANGE, &begun_anew, None),
            ("WAL", &moved, CHANGE, None),
            ("WAL", CHANGE, &emptied, None),
            ("WAL", CHANGE, "close", None),
            ("WAL", "", CHANGE, None),
            ("WAL", "", &emptied, None),
            // With a rollback journal nothing may change.
            ("DELETE", "", "", Some(0)),
            ("DELETE", "", CHANGE, None),
            ("DELETE", &open, "COMMIT", None),
            ("DELETE", &open, "ROLLBACK", None),
            ("PERSIST", CHANGE, CHANGE, None),
            ("TRUNCATE", &open, "COMMIT", None),
        ] {
            let copied = across(mode, before, meanwhile);
            let expected = changes.map(SqlValue::Integer);
            assert_eq!(copied, expected, "{mode}: {before}, then {meanwhile}");
        }
    }

    /// As SQLite 3.40 left them behind `ROLLBACK TO` in a transaction that had outgrown its cache, up to its end:
    /// what was committed last counts by the index alone.
    #[test]
    fn what_counts_by_the_index_alone_is_in_the_copy() {
        for checkpoint in ["", "PRAGMA wal_checkpoint(PASSIVE)"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
            let setup = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                         CREATE TABLE t (x); CREATE INDEX i ON t (x); INSERT INTO t VALUES (1)";
            connection.execute(setup).unwrap();
            let log = side_file(&path, "-wal");
            let begun = usize::try_from(std::fs::metadata(&log).unwrap().len()).unwrap();
            let suffixes = ["", "-wal", "-journal"];
            let mut copying = Copying::begin(&path, &suffixes, folder.path()).unwrap();
            connection.execute("INSERT INTO t VALUES (2)").unwrap();
            let mut bytes = std::fs::read(&log).unwrap();
            for frame in bytes[begun..].chunks_exact_mut(24 + 4096) {
                frame[8..24].fill(0);
            }
            std::fs::write(&log, bytes).unwrap();
            connection.execute(checkpoint).unwrap();
            (0..2).for_each(|at| copying.copy(at).unwrap());
            let folder = copying.end().unwrap();
            let copied = folder.path().join("a.db");
            let mut looking = Connection::open(&copied, Access::ReadWrite, Duration::ZERO).unwrap();
            let seen = ["PRAGMA integrity_check", "SELECT count(*) FROM t"];
            let seen = seen.map(|sql| looking.scalar(sql).unwrap());
            assert_eq!(seen, ["ok".into(), 2.into()], "{checkpoint}");
            looking.close();
            connection.close();
        }
    }
}
