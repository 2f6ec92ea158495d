//! One file for each boot, `boot_YYYYMMDD_HHMMSS.json` (SPEC.md, "Boot Data Collection").

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::host::files::{self, Durability, Staged, names_in, read_limited};
use crate::model::{BootRecord, RECORD_FORMAT_VERSION};

/// Where records stand, below the application's root.
pub const FOLDER: &str = "grace_training/startup_failures";

/// Records that are kept: at some boots a day, a good part of a year, in some tens of megabytes.
const MAX_RECORDS: usize = 1_000;

/// Names that are looked at in the folder. Ten times what we keep, so that what others put there
/// does not hide our own.
const MAX_NAMES: usize = 10_000;

/// A record of forty steps has some 20 KiB; one with a thousand problems stays below this.
const MAX_RECORD_BYTES: u64 = 16 * 1024 * 1024;

/// Boots that can share a second.
const MAX_SUFFIX: u32 = 10_000;

/// A name that belongs to one boot and to no other, on this machine or on another that shares the
/// folder. Dropped without [`Reservation::write`], the name is free again.
#[derive(Debug)]
pub struct Reservation {
    run_id: String,
    staged: Staged,
}

/// Takes a free name for a boot that began at `timestamp` (`YYYYMMDD_HHMMSS`), with the next suffix `_2`,
/// `_3`, … where boots share a second. The folder is made when it is missing.
///
/// What is reserved is the name of the temporary file, made with `O_EXCL`. The record itself comes
/// to be by a rename, so a boot that is killed leaves no record at all rather than half of one.
///
/// # Errors
///
/// Whatever the system says of the folder.
pub fn reserve(folder: &Path, timestamp: &str) -> io::Result<Reservation> {
    let name = |number| match number {
        1 => timestamp.to_owned(),
        _ => format!("{timestamp}_{number}"),
    };
    let is_taken = |number| path_of(folder, &name(number)).symlink_metadata().is_ok();
    for number in next_suffix(is_taken)..=MAX_SUFFIX {
        let run_id = name(number);
        let target = path_of(folder, &run_id);
        let temporary = folder.join(format!(".boot_{run_id}.json.tmp"));
        let staged = match Staged::create(temporary.clone(), target.clone(), None) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                Staged::create(temporary, target, None)
            }
            other => other,
        };
        match staged {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            // Whoever wrote that record held this reservation and has given it back: only now, with
            // the reservation ours, does a look at the record's name mean anything.
            Ok(staged) if staged.target().symlink_metadata().is_ok() => drop(staged),
            Ok(staged) => {
                staged.lock_while_alive();
                return Ok(Reservation { run_id, staged });
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("{MAX_SUFFIX} boots began at {timestamp}"),
    ))
}

/// The number after the last that is taken, found in few looks: they are taken one after the other.
fn next_suffix(is_taken: impl Fn(u32) -> bool) -> u32 {
    let mut free = 1;
    while free <= MAX_SUFFIX && is_taken(free) {
        free *= 2;
    }
    let mut taken = free / 2;
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        *(if is_taken(middle) {
            &mut taken
        } else {
            &mut free
        }) = middle;
    }
    free
}

impl Reservation {
    /// Names the run: the timestamp, with the suffix where there is one.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Where the record will stand.
    pub fn path(&self) -> &Path {
        self.staged.target()
    }

    /// Writes the record, already rendered ([`crate::report::record_json`] spells it).
    ///
    /// # Errors
    ///
    /// Whatever the system says; then there is no record.
    pub fn write(self, json: &str, durability: Durability) -> io::Result<()> {
        self.staged.commit(json.as_bytes(), durability)
    }
}

/// The record of the boot with this name.
pub(super) fn path_of(folder: &Path, run_id: &str) -> PathBuf {
    folder.join(format!("boot_{run_id}.json"))
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read, or is larger than any record.
    #[error("boot record `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no boot record.
    #[error("boot record `{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A newer gate wrote it.
    #[error(
        "boot record `{}` has format version {version}, and this gate reads up to {RECORD_FORMAT_VERSION}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// Reads one record.
///
/// # Errors
///
/// One variant of [`RecordError`] for each way in which it can be unreadable; all name the file.
pub fn read(path: &Path) -> Result<BootRecord, RecordError> {
    read_with_text(path).map(|(record, _)| record)
}

/// Reads one record, and as it stands in its file: with what another version wrote into it.
///
/// # Errors
///
/// As [`read`].
pub fn read_with_text(path: &Path) -> Result<(BootRecord, String), RecordError> {
    /// Read first: of a newer record nothing else can be relied on.
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }

    let path = || path.to_owned();
    let damaged = |source| RecordError::Damaged {
        path: path(),
        source,
    };
    let bytes =
        read_limited(&path(), MAX_RECORD_BYTES).map_err(|source| RecordError::Unreadable {
            path: path(),
            source,
        })?;
    let Version { format_version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format_version > RECORD_FORMAT_VERSION {
        return Err(RecordError::Newer {
            path: path(),
            version: format_version,
        });
    }
    let record = serde_json::from_slice(&bytes).map_err(damaged)?;
    // What serde_json has read is UTF-8.
    Ok((record, String::from_utf8_lossy(&bytes).into_owned()))
}

/// The newest records, newest first, at most `limit`. A folder that is not there has none.
///
/// # Errors
///
/// Whatever the system says of the folder.
pub fn list(folder: &Path, limit: usize) -> io::Result<Vec<PathBuf>> {
    let mut records = sorted(folder)?;
    records.truncate(limit);
    let names = records.into_iter().map(|record| folder.join(record.name));
    Ok(names.collect())
}

/// Names of the runs that left a record, newest first.
///
/// # Errors
///
/// Whatever the system says of the folder.
pub(super) fn run_ids(folder: &Path) -> io::Result<Vec<String>> {
    let records = sorted(folder)?.into_iter();
    Ok(records
        .filter_map(|record| run_id_of(&record.name).map(str::to_owned))
        .collect())
}

/// Whether we would have named a run so. Such a name leads to no other folder.
pub(super) fn is_run_id(text: &str) -> bool {
    parse(format!("boot_{text}.json")).is_some()
}

/// The run, from a record's file name.
pub(super) fn run_id_of(name: &str) -> Option<&str> {
    name.strip_prefix("boot_")?.strip_suffix(".json")
}

/// Removes the oldest records beyond those that are kept, and nothing else; says how many.
///
/// # Errors
///
/// Whatever the system says of the folder, or of the first file that will not go.
pub fn prune(folder: &Path) -> io::Result<usize> {
    prune_to(folder, MAX_RECORDS)
}

fn prune_to(folder: &Path, keep: usize) -> io::Result<usize> {
    let records = sorted(folder)?;
    let mut removed = remove_reservations_of_the_dead(folder)?;
    for record in records.iter().skip(keep) {
        match fs::remove_file(folder.join(&record.name)) {
            Ok(()) => removed += 1,
            // Another boot was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// Removes the reservations of boots that were killed before they could write their record.
///
/// Safety: a live boot holds the lock on its reservation from just after it made it; one that is not
/// locked and not new is nobody's, and never held more than half of a record.
fn remove_reservations_of_the_dead(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for name in names_in(folder, MAX_NAMES)? {
        let record = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".tmp"));
        if record.is_none_or(|record| parse(record.to_owned()).is_none()) {
            continue;
        }
        // What cannot be removed today is tried again by a later boot.
        let is_removed = files::remove_abandoned(&folder.join(name), RESERVATION_AGE_MIN);
        removed += usize::from(is_removed.unwrap_or(false));
    }
    Ok(removed)
}

/// Between making a reservation and locking it lie microseconds.
const RESERVATION_AGE_MIN: Duration = Duration::from_secs(60);

/// A record's file name, taken apart so that it sorts by time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RecordName {
    timestamp: String,
    suffix: u32,
    name: String,
}

/// Newest first.
fn sorted(folder: &Path) -> io::Result<Vec<RecordName>> {
    let names = names_in(folder, MAX_NAMES)?;
    let mut records: Vec<RecordName> = names.into_iter().filter_map(parse).collect();
    records.sort_unstable_by(|a, b| b.cmp(a));
    Ok(records)
}

/// None for a name that we would not have given.
fn parse(name: String) -> Option<RecordName> {
    const TIMESTAMP: usize = "YYYYMMDD_HHMMSS".len();
    let stem = run_id_of(&name)?;
    let (timestamp, rest) = stem.split_at_checked(TIMESTAMP)?;
    let is_timestamp = timestamp.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'_',
        _ => byte.is_ascii_digit(),
    });
    let suffix = match rest.strip_prefix('_') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None if rest.is_empty() => 1,
        _ => return None,
    };
    let timestamp = timestamp.to_owned();
    is_timestamp.then_some(RecordName {
        timestamp,
        suffix,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::report::{record_json, sample};

    fn record() -> BootRecord {
        BootRecord::fold(&sample::aborted()).unwrap()
    }

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            fs::write(folder.join(name), "").unwrap();
        }
    }

    fn listed(folder: &Path, limit: usize) -> Vec<String> {
        let paths = list(folder, limit).unwrap();
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        paths.into_iter().map(name).collect()
    }

    #[test]
    fn the_next_suffix_comes_after_the_last() {
        for last in [0, 1, 2, 3, 7, 8, 9, 100, MAX_SUFFIX - 1, MAX_SUFFIX] {
            assert_eq!(next_suffix(|number| number <= last), last + 1);
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        let reservation = reserve(&folder, "20251109_183015").unwrap();
        let path = reservation.path().to_owned();
        assert!(!path.exists(), "a killed boot leaves no record");
        let json = record_json(&record());
        reservation.write(&json, Durability::Unsynced).unwrap();
        assert_eq!(read(&path).unwrap(), record());
        assert_eq!(listed(&folder, 10), ["boot_20251109_183015.json"]);
    }

    #[test]
    fn boots_of_one_second_get_a_name_each_written_or_not() {
        let root = tempfile::tempdir().unwrap();
        let take = || reserve(root.path(), "20251109_183015").unwrap();
        let (first, second) = (take(), take());
        assert_eq!(first.run_id(), "20251109_183015");
        assert_eq!(second.run_id(), "20251109_183015_2");
        first.write("{}", Durability::Unsynced).unwrap();
        assert_eq!(take().run_id(), "20251109_183015_3", "the first is written");
        drop(second);
        assert_eq!(
            take().run_id(),
            "20251109_183015_2",
            "the second gave it back"
        );
    }

    #[test]
    fn many_boots_at_once_never_share_a_name() {
        let root = tempfile::tempdir().unwrap();
        let boot = || {
            let reservation = reserve(root.path(), "20251109_183015").unwrap();
            let run_id = reservation.run_id().to_owned();
            reservation.write(&run_id, Durability::Unsynced).unwrap();
        };
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| (0..8).for_each(|_| boot()));
            }
        });
        let all = list(root.path(), usize::MAX).unwrap();
        assert_eq!(all.len(), 16 * 8);
        for path in all {
            let run_id = fs::read_to_string(&path).unwrap();
            assert_eq!(path, path_of(root.path(), &run_id));
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named_with_the_reason() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("boot_20251109_183015.json");
        let message = |contents: &str| {
            fs::write(&path, contents).unwrap();
            let error = read(&path).unwrap_err().to_string();
            error.replace(&format!("boot record `{}` ", path.display()), "")
        };
        assert_eq!(message(""), "is damaged");
        assert_eq!(message("{\"format_version\": 1, \"run"), "is damaged");
        assert_eq!(message("{\"format_version\": 1}"), "is damaged");
        assert_eq!(
            message("{\"format_version\": 2, \"other\": []}"),
            "has format version 2, and this gate reads up to 1"
        );
        fs::File::create(&path)
            .unwrap()
            .set_len(MAX_RECORD_BYTES + 1)
            .unwrap();
        assert!(matches!(read(&path), Err(RecordError::Unreadable { .. })));
    }

    #[test]
    fn the_newest_come_first_and_strangers_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &[
                "boot_20251109_183015.json",
                "boot_20251109_183015_2.json",
                "boot_20251109_183015_10.json",
                "boot_20241231_235959.json",
                "boot_20251109_183015_x.json",
                "boot_20251109-183015.json",
                "boot_latest.json",
                ".boot_20251109_183016.json.tmp",
                "_metadata.json",
            ],
        );
        let expect = [
            "boot_20251109_183015_10.json",
            "boot_20251109_183015_2.json",
            "boot_20251109_183015.json",
            "boot_20241231_235959.json",
        ];
        assert_eq!(listed(root.path(), 10), expect);
        assert_eq!(listed(root.path(), 2), expect[..2]);
        assert_eq!(listed(&root.path().join("missing"), 2), [""; 0]);
    }

    #[test]
    fn reservations_of_the_dead_go_and_those_of_the_living_stay() {
        let root = tempfile::tempdir().unwrap();
        let living = reserve(root.path(), "20250101_000000").unwrap();
        let names = [
            ".boot_20250101_000000.json.tmp",
            ".boot_20250102_000000.json.tmp",
            ".boot_20250103_000000_2.json.tmp",
            ".boot_latest.json.tmp",
        ];
        touch(root.path(), &names[1..]);
        assert_eq!(prune_to(root.path(), 3).unwrap(), 0, "they are new");
        let long_ago = std::time::SystemTime::now() - 2 * RESERVATION_AGE_MIN;
        for name in names {
            let file = fs::File::options()
                .append(true)
                .open(root.path().join(name));
            file.unwrap().set_modified(long_ago).unwrap();
        }
        assert_eq!(prune_to(root.path(), 3).unwrap(), 2);
        let mut left = names_in(root.path(), MAX_NAMES).unwrap();
        left.sort();
        assert_eq!(left, [names[0], names[3]]);
        living.write("{}", Durability::Unsynced).unwrap();
    }

    #[test]
    fn pruning_removes_the_oldest_records_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &[
                "boot_20250101_000000.json",
                "boot_20250102_000000.json",
                "boot_20250103_000000.json",
                "boot_1.json",
                "_metadata.json",
            ],
        );
        assert_eq!(prune_to(root.path(), 3).unwrap(), 0);
        assert_eq!(prune_to(root.path(), 2).unwrap(), 1);
        assert!(!root.path().join("boot_20250101_000000.json").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 4);
    }
}
