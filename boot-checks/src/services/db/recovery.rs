use std::path::{Path, PathBuf};
use std::time::Duration;

use super::copy::{copy_alone_in, copy_for_looking_in};
use super::integrity::integrity_check_within;
use super::{Access, Connection, DbError, FileSet, Integrity, MainFile};
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
    /// Not looked at: it is larger than what a boot may wait for.
    TooLarge(String),
}

/// Lets SQLite replay a log or roll a journal back in a copy, and looks at every page and every index of
/// what comes of it.
///
/// Safety: the last one to close a database moves its log into it and removes it, and the first one to
/// open it rolls its journal back. Where the two do not belong together, that mixes two states and takes
/// the evidence along. So it is tried where nothing can be lost: in the first of these places, folders, that has
/// the room.
///
/// # Errors
///
/// When it cannot be copied, or SQLite's reason where that is no damage.
pub fn rehearse_recovery(
    files: &FileSet,
    places: &[PathBuf],
    budget: Duration,
) -> Result<Recovery, DbError> {
    let bytes = bytes(files);
    if bytes > COPY_BYTES_MAX {
        let (bytes, most) = (bytes >> 20, COPY_BYTES_MAX >> 20);
        let words = format!("it has {bytes} MiB, and {most} MiB at most are copied");
        return Ok(Recovery::TooLarge(words));
    }
    let place = place_for(bytes, places)?;
    let copy = copy_for_looking_in(files, place)?;
    let name = files.path.file_name().unwrap_or_default();
    let words = match look(&copy.path().join(name), budget)? {
        Integrity::Damaged(words) => words,
        holds => return Ok(Recovery::Holds(holds)),
    };
    // In write-ahead log mode a main file is sound at each checkpoint, and only there.
    drop(copy);
    let copy = copy_alone_in(files, place)?;
    let is_sound = matches!(files.main, MainFile::Database(_))
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

fn bytes(files: &FileSet) -> u64 {
    let main = match &files.main {
        MainFile::Database(header) => header.bytes,
        _ => 0,
    };
    main + files.wal_bytes.unwrap_or(0) + files.journal_bytes.unwrap_or(0)
}

/// A folder that takes the copy. The last is for where nowhere is more room: what is left for everybody else is
/// then little, for as long as a look takes.
fn place_for(bytes: u64, places: &[PathBuf]) -> Result<&Path, DbError> {
    // A boot that was killed may have had another one.
    places
        .iter()
        .for_each(|place| host::PrivateFolder::tidy(place));
    // What is replayed may make the copy larger by all of the log.
    let has_room = |place: &&PathBuf, left: u64| {
        // Where the system does not tell, the copy does.
        let free = host::free_bytes(place).unwrap_or(u64::MAX);
        free >= 2 * bytes + left && host::PrivateFolder::new_in(place).is_ok()
    };
    let found = [ROOM_LEFT_BYTES, 0]
        .iter()
        .find_map(|left| places.iter().find(|place| has_room(place, *left)));
    found.map(PathBuf::as_path).ok_or_else(|| {
        let named: Vec<_> = places.iter().map(|it| it.display().to_string()).collect();
        let (wanted, named) = ((2 * bytes).div_ceil(1 << 20), named.join(" or "));
        DbError::other(format!("{wanted} MiB are wanted for a copy, in {named}"))
    })
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
            // The first that takes it, and nothing is left there.
            let places = [folder.path().join("missing"), folder.path().to_owned()];
            let seen = rehearse_recovery(&files, &places, Duration::from_secs(60)).unwrap();
            match is_old {
                true => assert!(matches!(seen, Recovery::DoesNotFit(_)), "{seen:?}"),
                false => assert_eq!(seen, Recovery::Holds(Integrity::Intact)),
            }
            assert!(read() == before);
            let nowhere = rehearse_recovery(&files, &places[..1], Duration::from_secs(60));
            assert!(nowhere.is_err());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        }
    }
}
