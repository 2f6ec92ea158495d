use std::path::Path;
use std::time::Duration;

use super::integrity::integrity_check_within;
use super::{Access, Connection, DbError, FileSet, Integrity, MainFile, copy_for_looking};
use crate::host;

/// What comes of a main file and the log or journal that a crash left beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A sound database, or one of which nothing unsound was seen within the time.
    Holds(Integrity),
    /// The main file alone is sound, and with what lies beside it no more: the two do not belong together.
    DoesNotFit(Vec<String>),
    /// Neither with nor without it.
    Damaged(Vec<String>),
}

/// Lets SQLite replay a log or roll a journal back in a copy, and looks at every page and every index of
/// what comes of it.
///
/// Safety: the last one to close a database moves its log into it and removes it, and the first one to
/// open it rolls its journal back. Where the two do not belong together, that mixes two states and takes
/// the evidence along. So it is tried where nothing can be lost.
///
/// # Errors
///
/// When it cannot be copied, or SQLite's reason where that is no damage.
pub fn rehearse_recovery(files: &FileSet, budget: Duration) -> Result<Recovery, DbError> {
    refuse_what_is_too_large(files)?;
    let copy = copy_for_looking(files)?;
    let name = files.path.file_name().unwrap_or_default();
    let words = match look(&copy.path().join(name), budget)? {
        Integrity::Damaged(words) => words,
        holds => return Ok(Recovery::Holds(holds)),
    };
    let alone = FileSet {
        wal_bytes: None,
        journal_bytes: None,
        shm_bytes: None,
        ..files.clone()
    };
    // In write-ahead log mode a main file is sound at each checkpoint, and only there.
    let copy = copy_for_looking(&alone)?;
    let is_sound = matches!(alone.main, MainFile::Database(_))
        && look(&copy.path().join(name), budget)?.is_sound_where_seen();
    Ok(match is_sound {
        true => Recovery::DoesNotFit(words),
        false => Recovery::Damaged(words),
    })
}

/// Larger files would keep a boot waiting for longer than the look itself may take.
const COPY_BYTES_MAX: u64 = 512 << 20;

/// What is left for everybody else.
const ROOM_LEFT_BYTES: u64 = 64 << 20;

fn refuse_what_is_too_large(files: &FileSet) -> Result<(), DbError> {
    let main = match &files.main {
        MainFile::Database(header) => header.bytes,
        _ => 0,
    };
    let bytes = main + files.wal_bytes.unwrap_or(0) + files.journal_bytes.unwrap_or(0);
    if bytes > COPY_BYTES_MAX {
        let (bytes, most) = (bytes >> 20, COPY_BYTES_MAX >> 20);
        return Err(DbError::other(format!(
            "it is {bytes} MiB with what lies beside it, and {most} MiB are copied at most"
        )));
    }
    let beside = files.path.parent().unwrap_or(&files.path);
    let places = [std::env::temp_dir(), beside.to_owned()];
    let free = places.map(|place| host::free_bytes(&place).unwrap_or(0));
    // The main file is copied a second time where the first outcome is not sound.
    let wanted = 2 * bytes + ROOM_LEFT_BYTES;
    match free.iter().max() {
        Some(free) if *free < wanted => Err(DbError::NotCopied {
            reason: format!("{wanted} bytes are needed for a while, and {free} are free"),
        }),
        _ => Ok(()),
    }
}

fn look(copy: &Path, budget: Duration) -> Result<Integrity, DbError> {
    let mut connection = Connection::open(copy, Access::ReadWrite, Duration::ZERO)?;
    let seen = integrity_check_within(&mut connection, budget);
    connection.close();
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::db::side_file;

    const NUMBERS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)";

    /// A database and its log as a crash leaves them; with an older main file where that is asked for.
    fn crashed(folder: &Path, is_old: bool) -> FileSet {
        let (live, path) = (folder.join("live.db"), folder.join("a.db"));
        let mut connection = Connection::open(&live, Access::Create, Duration::ZERO).unwrap();
        connection
            .execute(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                 CREATE TABLE t (x TEXT); CREATE INDEX i ON t (x);
                 {NUMBERS} INSERT INTO t SELECT 'old ' || i FROM n;
                 PRAGMA wal_checkpoint(TRUNCATE)"
            ))
            .unwrap();
        let old = std::fs::read(&live).unwrap();
        connection
            .execute(&format!(
                "DELETE FROM t WHERE rowid % 2; {NUMBERS} INSERT INTO t SELECT 'mid ' || i FROM n;
                 PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET x = 'new' WHERE rowid = 90"
            ))
            .unwrap();
        let main = if is_old {
            old
        } else {
            std::fs::read(&live).unwrap()
        };
        std::fs::write(&path, main).unwrap();
        std::fs::copy(side_file(&live, "-wal"), side_file(&path, "-wal")).unwrap();
        connection.close();
        FileSet::look(&path)
    }

    #[test]
    fn a_log_that_damages_a_sound_main_file_is_not_its_own_and_nothing_is_touched() {
        for is_old in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let files = crashed(folder.path(), is_old);
            let read = || ["", "-wal"].map(|it| std::fs::read(side_file(&files.path, it)).unwrap());
            let before = read();
            let seen = rehearse_recovery(&files, Duration::from_secs(60)).unwrap();
            match is_old {
                true => assert!(matches!(seen, Recovery::DoesNotFit(_)), "{seen:?}"),
                false => assert_eq!(seen, Recovery::Holds(Integrity::Intact)),
            }
            assert!(read() == before);
        }
    }
}
