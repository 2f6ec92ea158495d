use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::touched::{DATABASE_FILES, KeptOpen};
use super::{Journal, JournalEntry, aside, undo};
use crate::host;
use crate::services::db::{owed_in_use, side_file};

/// Copies of what a run was about to change, in a folder of its own: `var/boot/backups/<run-id>/`.
#[derive(Debug)]
pub struct Backups {
    all: PathBuf,
    run_id: String,
    /// Whether the oldest runs make room for new ones.
    is_pruned: bool,
}

/// Where damaged databases are kept, below the gate's own folder.
pub(super) const QUARANTINE: &str = "quarantine";

/// Runs whose copies are kept. A run that changes nothing has none, so these are the last heals.
pub(super) const RUNS_MAX: usize = 8;

/// How far below the application's root the copies' folder is.
const DEPTH: usize = 3;

/// What must be left for the application when a copy has been made.
const ROOM_LEFT_BYTES: u64 = 4 << 20;

impl Backups {
    /// Those of one run, below the gate's own folder.
    pub fn new(state_folder: &Path, run_id: &str) -> Backups {
        Backups {
            all: state_folder.join("backups"),
            run_id: run_id.to_owned(),
            is_pruned: true,
        }
    }

    /// The quarantine of the same run. The gate never removes anything from a quarantine: it may hold
    /// the last copy of rows that could not be read.
    pub(super) fn quarantine(&self) -> Backups {
        Backups {
            all: self.all.with_file_name(QUARANTINE),
            run_id: self.run_id.clone(),
            is_pruned: false,
        }
    }

    /// The run's folder.
    pub fn folder(&self) -> PathBuf {
        self.all.join(&self.run_id)
    }

    /// Copies a file, flushed to the disk, and gives the copy's name.
    ///
    /// # Errors
    ///
    /// The system's reason, such as no room. Nothing may be changed then.
    pub(super) fn save_file(&self, path: &Path) -> io::Result<String> {
        self.save(path, &[""], &mut KeptOpen::default())
    }

    /// Copies a database with its side files, flushed to the disk, and gives the main copy's name.
    ///
    /// Safety: to be called while this process holds SQLite's write lock and has written nothing.
    /// Then nobody appends to the log or changes the main file but by a checkpoint, which only moves
    /// pages that are also in the log that is copied; so the copy is one committed state. The
    /// descriptors are kept, see [`KeptOpen`].
    ///
    /// # Errors
    ///
    /// As [`Backups::save_file`].
    pub(super) fn save_database(&self, path: &Path, kept: &mut KeptOpen) -> io::Result<String> {
        let name = self.save(path, &DATABASE_FILES, kept)?;
        // The index that counts is not kept.
        let log = side_file(&self.folder().join(&name), "-wal");
        if let Some(index) = kept
            .open(&side_file(path, "-shm"))?
            .filter(|_| log.exists())
        {
            let log = File::options().read(true).write(true).open(log)?;
            if let Some(owed) = owed_in_use(index, &log)? {
                owed.pay(&log)?;
            }
        }
        Ok(name)
    }

    /// Copies a database with everything beside it, readable or not, as [`Backups::save_database`].
    ///
    /// # Errors
    ///
    /// As [`Backups::save_file`].
    pub(super) fn save_set(&self, path: &Path, kept: &mut KeptOpen) -> io::Result<String> {
        self.save(path, &["", "-wal", "-journal", "-shm"], kept)
    }

    fn save(&self, path: &Path, suffixes: &[&str], kept: &mut KeptOpen) -> io::Result<String> {
        let folder = self.make_folder()?;
        if let Err(error) = self.refuse_without_room(path, suffixes) {
            // Where it is empty: it would count as a run, and a kept one give way to nothing each time.
            let _ = fs::remove_dir(&folder);
            return Err(error);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = fs::read_dir(&folder)?.count();
        let copy_name = format!("{number}-{name}");
        for suffix in suffixes {
            let Some(source) = kept.open(&side_file(path, suffix))? else {
                continue;
            };
            let copy = side_file(&folder.join(&copy_name), suffix);
            // Never over what is there: an original set aside is not replaced.
            let mut target = File::options().write(true).create_new(true).open(copy)?;
            host::restrict_to_owner(&target)?;
            io::copy(source, &mut target)?;
            // When a log was written says whether the power may have been cut since.
            target.set_modified(source.metadata()?.modified()?)?;
            target.sync_all()?;
        }
        host::files::sync_folder(&folder)?;
        Ok(copy_name)
    }

    fn make_folder(&self) -> io::Result<PathBuf> {
        let folder = self.folder();
        if !folder.is_dir() {
            if self.is_pruned {
                self.prune();
            }
            fs::create_dir_all(&folder)?;
            host::files::sync_folder(&self.all)?;
        }
        Ok(folder)
    }

    fn refuse_without_room(&self, path: &Path, suffixes: &[&str]) -> io::Result<()> {
        let bytes: u64 = suffixes
            .iter()
            .filter_map(|suffix| fs::metadata(side_file(path, suffix)).ok())
            .map(|metadata| metadata.len())
            .sum();
        let free = host::free_bytes(&self.all)?;
        if free < bytes.saturating_add(ROOM_LEFT_BYTES) {
            let words = format!("a backup needs {bytes} bytes and {free} are free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, words));
        }
        Ok(())
    }

    /// Removes the oldest runs' copies, so that there is a place for one more; first those of runs that left
    /// nothing of what they did, of which a restart loop makes many. Run ids begin with the time, so that their
    /// names are in its order; one that is much later than this run's is from before the clock went backwards, and
    /// older than all others.
    fn prune(&self) {
        let mut runs = host::files::names_in(&self.all, usize::MAX).unwrap_or_default();
        runs.retain(|name| is_of_a_run(name));
        let excess = (runs.len() + 1).saturating_sub(RUNS_MAX);
        if excess == 0 {
            return;
        }
        let journal = Journal::new(&self.all.with_file_name(""), &self.run_id);
        // Where it cannot be read, the oldest go.
        let entries = journal.read_all_runs().unwrap_or_default();
        let leaves_something = |run: &String| {
            let of_run = entries.iter().filter(|entry| entry.run_id == *run);
            undo::leaves_something(of_run)
        };
        runs.sort_by_cached_key(|run| {
            let is_past = !is_much_later(run, &self.run_id);
            (leaves_something(run), is_past, run.clone())
        });
        for run in runs.into_iter().take(excess) {
            // What stays is tried again by the next run; a heal must not fail for it.
            let _ = fs::remove_dir_all(self.all.join(&run));
            if !leaves_something(&run) {
                self.remove_beside(entries.iter().filter(|entry| entry.run_id == run));
            }
        }
    }

    /// What a run replaced that left nothing of what it did, where that is beside the database because the copies
    /// are on another file system.
    fn remove_beside<'a>(&self, of_run: impl Iterator<Item = &'a JournalEntry>) {
        let root = self.all.ancestors().nth(DEPTH);
        let Some(root) = root else {
            return;
        };
        for entry in of_run {
            let databases = entry.touched.iter().filter(|it| it.kind.is_database());
            for touched in databases {
                let folder = self.all.join(&entry.run_id);
                for name in aside::names_of(&touched.place(root), &folder) {
                    let _ = fs::remove_file(name);
                }
            }
        }
    }
}

/// Whether a run would have named its folder so. Whatever else lies there is a person's.
pub(super) fn is_of_a_run(name: &str) -> bool {
    name.split_at_checked(TIME_CHARS)
        .is_some_and(|(time, rest)| {
            let is_time = DateTime::strptime(TIME, time).is_ok();
            is_time && (rest.is_empty() || rest.starts_with('_'))
        })
}

/// Whether one run's time is later than another's by more than clocks are set back where summer ends.
fn is_much_later(run: &str, than: &str) -> bool {
    let time = |run: &str| {
        let time = run.get(..TIME_CHARS)?;
        DateTime::strptime(TIME, time).ok()
    };
    match (time(run), time(than)) {
        (Some(run), Some(than)) => run.duration_since(than) > SUMMER_TIME_MAX,
        _ => run > than,
    }
}

/// Of a run id, those that say when it began.
const TIME: &str = "%Y%m%d_%H%M%S";
const TIME_CHARS: usize = "20260101_000000".len();

/// Twice as much as by any law.
const SUMMER_TIME_MAX: SignedDuration = SignedDuration::from_hours(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names = host::files::names_in(folder, usize::MAX).unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_copy_is_never_replaced_and_only_the_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join(".env");
        let backups = Backups::new(folder.path(), "run");
        for contents in ["first", "second"] {
            fs::write(&original, contents).unwrap();
            backups.save_file(&original).unwrap();
        }
        assert_eq!(names(&backups.folder()), ["0-.env", "1-.env"]);
        let first = backups.folder().join("0-.env");
        assert_eq!(fs::read_to_string(&first).unwrap(), "first");
        #[cfg(unix)]
        assert_eq!(host::unix_mode(&first).unwrap(), Some(0o600));
    }

    #[test]
    fn the_oldest_runs_make_room_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("x");
        fs::write(&original, "x").unwrap();
        for run in 0..RUNS_MAX + 3 {
            let run = format!("20260101_0000{run:02}");
            Backups::new(folder.path(), &run)
                .save_file(&original)
                .unwrap();
        }
        let left = names(&folder.path().join("backups"));
        assert_eq!(left.len(), RUNS_MAX);
        assert_eq!(left[0], "20260101_000003");
    }

    /// The folder may be a link to where a person keeps backups too.
    #[test]
    fn what_is_no_runs_makes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("x");
        fs::write(&original, "x").unwrap();
        let theirs = ["2019", "20190101_000000-mine", "photos", "zz"];
        for name in theirs {
            let own = folder.path().join("backups").join(name);
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("all that there is"), "x").unwrap();
        }
        for run in 0..RUNS_MAX + 1 {
            let run = format!("20260101_0000{run:02}");
            let backups = Backups::new(folder.path(), &run);
            backups.save_file(&original).unwrap();
        }
        let left = names(&folder.path().join("backups"));
        assert_eq!(left.len(), RUNS_MAX + theirs.len());
        assert!(theirs.iter().all(|name| left.contains(&(*name).to_owned())));
    }

    #[test]
    fn runs_from_the_future_make_room_first() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("x");
        fs::write(&original, "x").unwrap();
        let future = (0..RUNS_MAX).map(|run| format!("20990101_0000{run:02}"));
        let now = (0..RUNS_MAX - 1).map(|run| format!("20260101_0000{run:02}"));
        for run in future.chain(now) {
            let backups = Backups::new(folder.path(), &run);
            backups.save_file(&original).unwrap();
        }
        let left = names(&folder.path().join("backups"));
        assert_eq!(left.len(), RUNS_MAX);
        assert_eq!(left[0], "20260101_000000", "the runs since are kept");
    }

    #[test]
    fn where_summer_ends_the_newest_runs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("x");
        fs::write(&original, "x").unwrap();
        let days_before = (0..RUNS_MAX - 2).map(|run| format!("20261020_0000{run:02}"));
        let newest = ["20261025_025000", "20261025_025900", "20261025_020500_2"];
        for run in days_before.chain(newest.map(str::to_owned)) {
            let backups = Backups::new(folder.path(), &run);
            backups.save_file(&original).unwrap();
        }
        let left = names(&folder.path().join("backups"));
        assert_eq!(left.len(), RUNS_MAX);
        assert_eq!(left[0], "20261020_000001", "the oldest made room");
    }

    #[test]
    fn a_copy_of_what_cannot_fit_is_refused_before_a_byte_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("huge");
        // A file with a hole: its size is more than any disk has free.
        File::create(&original).unwrap().set_len(8 << 40).unwrap();
        let backups = Backups::new(folder.path(), "run");
        let error = backups.save_file(&original).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!backups.folder().exists());
    }

    #[test]
    fn what_is_refused_drives_out_no_more_than_one_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (small, huge) = (folder.path().join("small"), folder.path().join("huge"));
        fs::write(&small, "x").unwrap();
        File::create(&huge).unwrap().set_len(8 << 40).unwrap();
        let run = |number: usize| Backups::new(folder.path(), &format!("20260101_0000{number:02}"));
        for number in 0..RUNS_MAX {
            run(number).save_file(&small).unwrap();
        }
        for number in 0..RUNS_MAX {
            run(RUNS_MAX + number).save_file(&huge).unwrap_err();
        }
        let left = names(&folder.path().join("backups"));
        assert_eq!(left.len(), RUNS_MAX - 1, "{left:?}");
    }
}
