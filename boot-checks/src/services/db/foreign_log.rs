use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::log_frames::{Frame, u32_at};
use super::log_index::{checkpoint_was_cut, index_of, nothing_was_moved};
use super::owed_sums::frames_left;
use super::side_file;
use crate::host::{self, read_exact_at};

/// Why a log or a rollback journal is not that of the main file beside it, although SQLite would replay it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignLog {
    /// The main file's change counter cannot be one that the log began from or led to.
    Counter {
        /// The main file's.
        main: u32,
        /// The first that it can be.
        first: u32,
        /// The last that it can be.
        last: u32,
    },
    /// The main file was changed after the log, and by nothing that is in the log.
    PutLater {
        /// By how much.
        later: Duration,
    },
    /// The system's note of the main file was changed after the log, not its contents: its owner, permissions or names
    /// were, or a file with times of its own was put there.
    ChangedLater {
        /// By how much.
        later: Duration,
    },
    /// Another file has the main file's place, and not everything that is in the log is in it.
    Replaced,
    /// The main file has fewer pages than the journal began with.
    Shorter {
        /// Those that it has.
        pages: u64,
        /// Those that it had.
        expected: u32,
    },
    /// A page that the journal's transaction had not written yet is another.
    Page {
        /// Its number.
        page: u32,
    },
}

/// By how much the main file has to be later: the coarsest clock of a file system that is still in use
/// (FAT counts in steps of two seconds). Two files that are copied together are within it.
const LATER_MIN: Duration = Duration::from_secs(2);

/// By how much two times of one and the same change may differ: the kernel's clock ticks at least a hundred times
/// a second.
const TICK: Duration = Duration::from_millis(10);

/// Nothing writes less than this at once; no page is smaller.
const SECTOR: usize = 512;

/// Where a main file's and a first page's change counter stands
/// (<https://www.sqlite.org/fileformat2.html#file_change_counter>).
pub(super) const COUNTER: usize = 24;

/// Looks whether a log that a crash left can be the main file's own. Changes nothing, and must be asked
/// before SQLite opens either.
///
/// Safety: a wrong yes costs rows, so it is exact where it can be. A log begins where a checkpoint had
/// moved everything into the main file. So
///
/// - the first transaction that writes the first page makes its change counter what the main file has, or
///   one more, and it never falls: a main file whose counter is outside of what the log spans is another's;
/// - from then on only a checkpoint of this very log changes the main file, in the order of the pages, each
///   as a transaction in the log left it. So a main file that was changed after the log's last write has
///   the lowest page of some beginning of the log as the log has it, or where the index says that a checkpoint was
///   cut, its beginning: a page of many sectors may be half written. One that has none was put there. Of a
///   checkpoint that the power ended, any page may be the one that reached the disk: where the machine was
///   started since, one page of the log is enough.
///
/// The same is said of a main file that was there when the log was last written and whose contents were written
/// since: this is not so after an owner or permissions of both were changed, nor of a new copy of both.
///
/// And of one that took the place of another since the last boot, which `was_replaced` says, where the log was not
/// written since; that came to be after the log did and after its last write; or that was moved there since:
/// SQLite never does that either, and a page that is the same by chance is no excuse. What excuses it is that
/// every page of the log is in it already.
///
/// The second rests on the system's times of the last change, which no copy takes along, and is wrong where
/// somebody changed nothing but the owner or the permissions of the main file, the clock was turned back
/// between, or the power ended a checkpoint before its first page was on the disk: it refuses then and loses
/// nothing, and `touch` on the log is a person's word against it.
/// So are two files that were copied over others, log first, or copied anew, log first and without their times
/// (with them, where that took more than two seconds), and a main file that was replaced without a boot since,
/// where a crash ended a checkpoint half-way.
/// What none of them sees, where the change counter fits and the machine was started since the last boot: a
/// main file that was put there before the log was last written, or in the same tick of the system's clock, or that
/// is older than the log and was moved there before the times of both were changed together (`chown -R`). In a
/// copy of the whole folder nothing of it is seen.
///
/// # Errors
///
/// When one of the files cannot be read.
pub fn foreign_log(path: &Path, was_replaced: Option<bool>) -> io::Result<Option<ForeignLog>> {
    let log = side_file(path, "-wal");
    let main = File::open(path)?;
    let pages = File::open(&log)?;
    let Some(mut frames) = frames_left(&pages, index_of(path).as_ref())? else {
        return Ok(None);
    };
    let mut seen = Seen::new(&main, &pages, frames.page_size());
    while let Some(frame) = frames.next_frame() {
        seen.note(&frame)?;
    }
    if !seen.has_commit {
        return Ok(None);
    }
    if let Some(foreign) = seen.counters.and_then(|counters| outside(&main, counters)) {
        return Ok(Some(foreign));
    }
    let (of_main, of_log) = (main.metadata()?, pages.metadata()?);
    let changed = host::last_change(&of_main);
    let is_since_start = |time: SystemTime| host::system_start().is_none_or(|start| time >= start);
    let was_started_since = !is_since_start(changed);
    let logged = pages.metadata()?.modified()?;
    let is_torn = seen.begins_as_lowest && checkpoint_was_cut(path, frames.salts());
    let is_its_own = (seen.has_lowest || is_torn || (was_started_since && seen.has_any))
        && !(is_since_start(logged) && nothing_was_moved(path, frames.salts()));
    if let Some(foreign) = put_there(path, &of_main, &of_log, was_replaced) {
        return Ok((!seen.has_all()?).then_some(foreign));
    }
    if is_its_own {
        return Ok(None);
    }
    let written = written_over(&of_main, &of_log).map(|later| ForeignLog::PutLater { later });
    let is_written = written.is_none() && of_main.modified()? > logged;
    let changed = changed_later(&of_main, &of_log).map(|later| match is_written {
        true => ForeignLog::PutLater { later },
        false => ForeignLog::ChangedLater { later },
    });
    Ok(written.or(changed))
}

/// Whether the main file is another one than that which was there when the log, or journal, was last written.
pub(super) fn put_there(
    path: &Path,
    main: &Metadata,
    log: &Metadata,
    was_replaced: Option<bool>,
) -> Option<ForeignLog> {
    let moved = || match was_replaced {
        // A new name beside it, and its permissions, may have been set in one moment too.
        Some(false) => None,
        Some(true) | None => moved_there(path, main, log),
    };
    let later = younger(main, log).or_else(moved);
    let is_replaced = was_replaced == Some(true) && !was_written_since(main, log);
    later
        .map(|later| ForeignLog::PutLater { later })
        .or(is_replaced.then_some(ForeignLog::Replaced))
}

/// How much later the main file, or what the system knows of it, was changed.
fn changed_later(main: &Metadata, log: &Metadata) -> Option<Duration> {
    let changed = host::last_change(main);
    let later = changed.duration_since(host::last_change(log)).ok()?;
    // A time that is still to come says nothing.
    (later > LATER_MIN && changed <= SystemTime::now()).then_some(later)
}

/// Whether the log was still written to after the main file had been put there. That it was moved, linked or
/// given to somebody is no writing.
fn was_written_since(main: &Metadata, log: &Metadata) -> bool {
    let later = log
        .modified()
        .map(|written| written.duration_since(host::last_change(main)));
    later.is_ok_and(|later| later.is_ok_and(|later| later > LATER_MIN))
}

/// How much later the contents of a main file that was there already were written. None also where the file
/// system does not tell.
fn written_over(main: &Metadata, log: &Metadata) -> Option<Duration> {
    let (written, logged) = (main.modified().ok()?, log.modified().ok()?);
    let later = written.duration_since(logged).ok()?;
    let was_there = main.created().ok()? < logged;
    (was_there && !later.is_zero() && is_fine(written) && is_fine(logged)).then_some(later)
}

/// How much later than the log the main file came to be, which was not written to since: SQLite never makes a
/// main file anew. None also where the file system does not tell.
///
/// Two files that are copied together come to be one after the other too. A log with a time of its own contents
/// from before it came to be was copied.
fn younger(main: &Metadata, log: &Metadata) -> Option<Duration> {
    let (born, log_born) = (main.created().ok()?, log.created().ok()?);
    let later = born.duration_since(log_born).ok()?;
    let logged = log.modified().ok()?;
    let is_copied = logged < log_born || !is_fine(born) || !is_fine(logged);
    let least = if is_copied { LATER_MIN } else { Duration::ZERO };
    (later > least && logged <= born).then_some(later)
}

/// How much later than the log an older file was moved to the main file's place. It shows in the time of the
/// folder's own last change, as a change of owner or permissions does not; and no such change was made to the log
/// since its last write, as programs make it that give a whole folder away.
fn moved_there(path: &Path, main: &Metadata, log: &Metadata) -> Option<Duration> {
    let folder = path.parent()?.metadata().ok()?.modified().ok()?;
    let (moved, logged) = (host::last_change(main), host::last_change(log));
    let later = moved.duration_since(logged).ok()?;
    let apart = folder
        .duration_since(moved)
        .unwrap_or_else(|earlier| earlier.duration());
    let is_written = main.modified().ok()? >= moved;
    let is_log_as_written = log.modified().ok()? == logged && folder > logged;
    let is_moved = apart <= TICK && !is_written && is_log_as_written;
    (is_moved && !later.is_zero() && is_fine(moved)).then_some(later)
}

/// Whether the file system counts in fractions of a second.
fn is_fine(time: SystemTime) -> bool {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.is_ok_and(|since| since.subsec_nanos() != 0)
}

/// Whether the main file's counter is one that the log can have begun from or led to. It wraps around.
pub(super) fn outside(file: &File, (first, last): (u32, u32)) -> Option<ForeignLog> {
    let mut counter = [0; 4];
    read_exact_at(file, &mut counter, COUNTER as u64).ok()?;
    let main = u32::from_be_bytes(counter);
    let span = last.wrapping_sub(first).saturating_add(1);
    let is_within = main.wrapping_sub(first.wrapping_sub(1)) <= span;
    (!is_within).then_some(ForeignLog::Counter {
        main,
        first: first.wrapping_sub(1),
        last,
    })
}

/// What the frames say about the main file.
struct Seen<'a> {
    main: &'a File,
    log: &'a File,
    page_size: usize,
    /// Frames of the transaction that has not ended yet.
    open: Vec<(u32, u64)>,
    /// The first and the last change counter.
    counters: Option<(u32, u32)>,
    /// Pages that were the lowest of the log when a transaction ended.
    lowest: BTreeSet<u32>,
    /// Where each page stands as the last transaction left it.
    last: BTreeMap<u32, u64>,
    has_commit: bool,
    /// Whether one of these is in the main file as a transaction left it.
    has_lowest: bool,
    /// Whether one of these begins there as a transaction left it.
    begins_as_lowest: bool,
    /// Whether any page is.
    has_any: bool,
}

impl<'a> Seen<'a> {
    fn new(main: &'a File, log: &'a File, page_size: usize) -> Seen<'a> {
        Seen {
            main,
            log,
            page_size,
            open: Vec::new(),
            counters: None,
            lowest: BTreeSet::new(),
            last: BTreeMap::new(),
            has_commit: false,
            has_lowest: false,
            begins_as_lowest: false,
            has_any: false,
        }
    }

    fn note(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        self.open.push((frame.page, frame.place));
        if frame.page == 1 {
            let counter = u32_at(frame.contents, COUNTER);
            let (first, _) = self.counters.unwrap_or((counter, counter));
            self.counters = Some((first, counter));
        }
        if frame.pages_after_commit > 0 {
            self.has_commit = true;
            self.last.extend(self.open.iter().copied());
            self.last
                .retain(|page, _| *page <= frame.pages_after_commit);
            self.end_transaction()?;
        }
        Ok(())
    }

    /// A page that a transaction wrote more than once is compared as it left it.
    fn end_transaction(&mut self) -> io::Result<()> {
        let lowest = self.open.iter().map(|(page, _)| *page).min();
        if let Some(page) = lowest.filter(|page| self.lowest.first().is_none_or(|it| page < it)) {
            self.lowest.insert(page);
        }
        for (page, place) in std::mem::take(&mut self.open) {
            let is_lowest = self.lowest.contains(&page);
            let says_more = !self.has_any || (is_lowest && !self.has_lowest);
            if says_more && self.is_same(page, place, self.page_size)? {
                self.has_any = true;
                self.has_lowest |= is_lowest;
            }
            if is_lowest && !self.begins_as_lowest {
                self.begins_as_lowest = self.is_same(page, place, SECTOR)?;
            }
        }
        Ok(())
    }

    /// Whether replaying the log would change nothing.
    fn has_all(&self) -> io::Result<bool> {
        for (page, place) in &self.last {
            if !self.is_same(*page, *place, self.page_size)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether so many of its bytes are in the main file as they stand at this place of the log.
    fn is_same(&self, page: u32, place: u64, bytes: usize) -> io::Result<bool> {
        let (mut there, mut logged) = (vec![0; bytes], vec![0; bytes]);
        read_exact_at(self.log, &mut logged, place)?;
        let at = (u64::from(page) - 1) * self.page_size as u64;
        Ok(match read_exact_at(self.main, &mut there, at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => false,
            read => read.map(|()| there == logged)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::log_frames::Frames;
    use super::*;
    use crate::services::db::{Access, Connection};

    fn open(path: &Path) -> Connection {
        let mut connection = Connection::open(path, Access::Create, Duration::ZERO).unwrap();
        let setup = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0";
        connection.execute(setup).unwrap();
        connection
    }

    /// The main file as it was this many checkpoints before the log began.
    fn crashed(folder: &Path, checkpoints: usize) -> PathBuf {
        let (live, path) = (folder.join("live.db"), folder.join("a.db"));
        let mut connection = open(&live);
        let old = std::fs::read(&live).unwrap();
        for number in 0..checkpoints {
            connection.close();
            connection = open(&live);
            let sql = format!("CREATE TABLE t{number} (x); PRAGMA wal_checkpoint(TRUNCATE)");
            connection.execute(&sql).unwrap();
        }
        let main = match checkpoints {
            0 => std::fs::read(&live).unwrap(),
            _ => old,
        };
        connection.execute("CREATE TABLE last (x)").unwrap();
        std::fs::write(&path, main).unwrap();
        std::fs::copy(side_file(&live, "-wal"), side_file(&path, "-wal")).unwrap();
        connection.close();
        path
    }

    #[test]
    fn a_main_file_from_before_what_the_log_began_with_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = crashed(folder.path(), 3);
        let foreign = foreign_log(&path, None).unwrap();
        assert!(
            matches!(foreign, Some(ForeignLog::Counter { main, first, .. }) if main < first),
            "{foreign:?}"
        );
    }

    #[test]
    fn a_main_file_from_after_the_log_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = crashed(folder.path(), 0);
        assert_eq!(foreign_log(&path, None).unwrap(), None);
        let mut main = std::fs::read(&path).unwrap();
        main[COUNTER + 3] += 9;
        std::fs::write(&path, main).unwrap();
        let foreign = foreign_log(&path, None).unwrap();
        assert!(
            matches!(foreign, Some(ForeignLog::Counter { .. })),
            "{foreign:?}"
        );
    }

    #[test]
    fn counters_wrap_around() {
        let folder = tempfile::tempdir().unwrap();
        let main = |counter: u32| {
            let path = folder.path().join("main");
            let bytes = [&[0; COUNTER][..], &counter.to_be_bytes()].concat();
            std::fs::write(&path, bytes).unwrap();
            File::open(path).unwrap()
        };
        assert_eq!(outside(&main(u32::MAX), (0, 5)), None);
        assert_eq!(outside(&main(u32::MAX - 1), (u32::MAX, 1)), None);
        assert!(outside(&main(u32::MAX - 1), (0, 5)).is_some());
    }

    /// An older main file whose lowest page happens to be as a transaction in the log left it, written over the
    /// one that was there after the log's last write; and the index that the killed writer left.
    fn toggled(folder: &Path, with_checkpoint: bool) -> PathBuf {
        let (live, path) = (folder.join("live.db"), folder.join("a.db"));
        let mut connection = open(&live);
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)";
        let work = |version: u8| {
            format!("UPDATE held SET x = 1; UPDATE t SET x = {version}; UPDATE held SET x = 0;")
        };
        let setup = format!(
            "CREATE TABLE held (x); INSERT INTO held VALUES (0); CREATE TABLE t (x, y);
             {rows} INSERT INTO t SELECT 0, zeroblob(99) FROM n; PRAGMA wal_checkpoint(TRUNCATE)"
        );
        connection.execute(&setup).unwrap();
        let old = std::fs::read(&live).unwrap();
        let day = work(1) + "PRAGMA wal_checkpoint(TRUNCATE)";
        connection.execute(&day).unwrap();
        connection.execute(&work(2)).unwrap();
        let main = if with_checkpoint {
            connection
                .execute("PRAGMA wal_checkpoint(PASSIVE)")
                .unwrap();
            std::fs::read(&live).unwrap()
        } else {
            old
        };
        std::fs::write(&path, main).unwrap();
        for suffix in ["-wal", "-shm"] {
            std::fs::copy(side_file(&live, suffix), side_file(&path, suffix)).unwrap();
        }
        connection.close();
        // As if each had come to be a second after the other.
        let born = path.metadata().unwrap().created().unwrap();
        for (file, seconds) in [(side_file(&path, "-wal"), 1), (path.clone(), 2)] {
            let file = File::options().write(true).open(file).unwrap();
            let tick = Duration::from_nanos(1);
            file.set_modified(born + Duration::from_secs(seconds) + tick)
                .unwrap();
        }
        path
    }

    #[test]
    fn a_page_that_is_the_same_by_chance_makes_no_older_main_file_the_logs_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = toggled(folder.path(), false);
        let foreign = foreign_log(&path, None).unwrap();
        assert!(
            matches!(foreign, Some(ForeignLog::PutLater { .. })),
            "{foreign:?}"
        );
        // Without the index, only that no other file has its place speaks for it.
        std::fs::remove_file(side_file(&path, "-shm")).unwrap();
        assert_eq!(foreign_log(&path, None).unwrap(), None);
        let foreign = foreign_log(&path, Some(true)).unwrap();
        assert_eq!(foreign, Some(ForeignLog::Replaced));
    }

    /// A kill comes within the write of the first page that a checkpoint moves.
    #[test]
    fn half_of_the_first_page_that_a_checkpoint_moves_is_the_logs_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = toggled(folder.path(), false);
        let [main, log, index] = ["", "-wal", "-shm"].map(|suffix| side_file(&path, suffix));
        let mut frames = Frames::open(&log).unwrap().unwrap();
        let frame = frames.next_frame().unwrap();
        let (page, half) = (frame.page as usize - 1, frame.contents[..2048].to_vec());
        let mut bytes = std::fs::read(&main).unwrap();
        let at = page * 4096;
        bytes[at..at + 2048].copy_from_slice(&half);
        bytes[at + 4000] ^= 1;
        let modified = main.metadata().unwrap().modified().unwrap();
        std::fs::write(&main, bytes).unwrap();
        File::options()
            .write(true)
            .open(&main)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        let foreign = foreign_log(&path, None).unwrap();
        assert!(
            matches!(foreign, Some(ForeignLog::PutLater { .. })),
            "{foreign:?}"
        );
        let mut bytes = std::fs::read(&index).unwrap();
        bytes[128..132].copy_from_slice(&1_u32.to_ne_bytes());
        std::fs::write(&index, bytes).unwrap();
        assert_eq!(foreign_log(&path, None).unwrap(), None);
    }

    #[test]
    fn what_a_checkpoint_moved_later_is_the_logs_own_also_in_another_file() {
        for was_replaced in [None, Some(false), Some(true)] {
            let folder = tempfile::tempdir().unwrap();
            let path = toggled(folder.path(), true);
            assert_eq!(foreign_log(&path, was_replaced).unwrap(), None);
        }
    }
}
