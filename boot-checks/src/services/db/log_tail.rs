use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::log_frames::{FRAME_HEADER, Frames, HEADER, Salts, is_bare, u32_at};
use super::log_index::{committed_in, index_of, page_of};
use super::owed_sums::OwedSums;
use super::side_file;
use super::stray_log::missing;
use crate::host::{self, read_exact_at};

/// A write-ahead log of which SQLite would take the beginning only, and then delete the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenLog {
    /// Frames that hold.
    pub frames: usize,
    /// Bytes of the log up to the one that does not hold.
    pub bytes: u64,
    /// Frames behind it that a transaction wrote.
    pub behind: usize,
    /// Whether the machine was started since the log was written: the power may have been cut while it was.
    pub may_be_cut: bool,
    /// Whether SQLite itself left it so, and all of what was committed is there.
    pub is_sqlites: bool,
}

/// A frame that does not count any more, as its header has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    pub(super) page: u32,
    /// Pages of the database where it ends a transaction, otherwise 0.
    pub(super) pages_after_commit: u32,
    pub(super) salts: Salts,
    /// Where it begins.
    pub(super) at: u64,
    /// Whether its salts and checksums are zeros: those that SQLite owes to the end of a transaction.
    pub(super) is_bare: bool,
}

impl FrameHeader {
    /// Whether it may end a transaction of this generation that counts.
    pub(super) fn may_end_a_transaction_of(&self, salts: Salts) -> bool {
        self.pages_after_commit > 0 && !self.is_of_another_generation(salts)
    }

    /// Whether neither of its two salts is the log's: a single damage changes one.
    fn is_of_another_generation(&self, salts: Salts) -> bool {
        let (first, second) = self.salts.split_at(4);
        !self.is_bare && first != &salts[..4] && second != &salts[4..]
    }
}

/// The headers of the frames from a place on, as far as the log goes.
pub(super) fn frame_headers(log: &File, from: u64, page_size: u64) -> io::Result<Vec<FrameHeader>> {
    let (bytes, step) = (log.metadata()?.len(), FRAME_HEADER as u64 + page_size);
    let mut headers = Vec::new();
    let mut at = from;
    while at + step <= bytes {
        let mut header = [0; FRAME_HEADER];
        read_exact_at(log, &mut header, at)?;
        headers.push(FrameHeader {
            page: u32_at(&header, 0),
            pages_after_commit: u32_at(&header, 4),
            salts: std::array::from_fn(|byte| header[8 + byte]),
            at,
            is_bare: is_bare(&header),
        });
        at += step;
    }
    Ok(headers)
}

/// What lies behind the frames of a log that hold.
pub(super) struct Tail {
    /// Frames that hold.
    pub(super) held: usize,
    /// Of those, up to the last that ends a transaction.
    ended: usize,
    /// Frames up to the first of another generation, those that do not hold included.
    there: usize,
    /// Where the first begins that does not, its page, and how far it is from one to the next.
    at: u64,
    page: Option<u32>,
    step: u64,
    /// Those of the same generation, the first that does not hold among them.
    own: Vec<FrameHeader>,
    /// Whether one of them may have ended a transaction, but for its salts and checksum.
    has_bare_end: bool,
    /// Whether frames of older generations may be in the log.
    has_older: bool,
}

impl Tail {
    pub(super) fn look(log: &File, mut frames: Frames) -> io::Result<Tail> {
        let (mut held, mut ended) = (0, 0);
        while let Some(frame) = frames.next_frame() {
            held += 1;
            if frame.pages_after_commit > 0 {
                ended = held;
            }
        }
        let (at, salts) = (frames.end(), frames.salts());
        let has_older = frames.checkpoints() > 0;
        let page_size = frames.page_size() as u64;
        let mut own = frame_headers(log, at, page_size)?;
        let page = own.first().map(|frame| frame.page);
        let is_older = |frame: &FrameHeader| frame.is_of_another_generation(salts);
        let there = held + own.iter().take_while(|frame| !is_older(frame)).count();
        let mut to_older = own.iter().take_while(|frame| !is_older(frame));
        let has_bare_end = to_older.any(|frame| frame.is_bare && frame.pages_after_commit > 0);
        let is_own = |frame: &FrameHeader| frame.salts == salts;
        // The one that does not hold may lack the name itself.
        let is_followed = own.iter().skip(1).any(is_own);
        let is_whole = is_followed || (own.len() == 1 && !has_older);
        own.retain(|frame| is_own(frame) || (frame.at == at && is_whole && !frame.is_bare));
        Ok(Tail {
            held,
            ended,
            there,
            at,
            page,
            step: FRAME_HEADER as u64 + page_size,
            own,
            has_bare_end,
            has_older,
        })
    }

    /// Whether a process that was killed while it wrote can have left this. `committed` as the index counts them.
    ///
    /// Some versions of SQLite leave the first frame bare and renew the rest, the end too: killed as it was flushed, it
    /// was not acknowledged ([`Tail::is_one_that_nobody_was_told_of`]).
    ///
    /// Safety: what was written before a kill stays written, and frames are written one behind the other. So behind
    /// one that does not hold there is none of the same generation but of a transaction that was given up, which has
    /// no end. One that outgrew its cache and wrote a page over that was in the log already renews the checksums from
    /// there on, in order, before it counts; what ends it is bare until then, and stays so where some versions of SQLite commit it: the index
    /// tells, and without one nobody knows. And the one that does not hold may be
    /// unfinished: where nothing older is in the log, the log ends within it, or it is written over one that was given
    /// up, and the index does not count it.
    pub(super) fn is_left_by_a_kill(&self, committed: Option<usize>, index: Option<&File>) -> bool {
        let ends = |frame: &FrameHeader| frame.pages_after_commit > 0;
        let (first, behind): (Vec<_>, Vec<_>) =
            self.own.iter().partition(|frame| frame.at == self.at);
        let is_not_counted = committed.is_some_and(|frames| frames <= self.held);
        let may_be_unfinished = is_not_counted || (behind.is_empty() && self.has_older);
        let nobody_knows = committed.is_none() && self.has_bare_end;
        !nobody_knows
            && (!behind.into_iter().any(ends)
                || self.is_one_that_nobody_was_told_of(committed, index))
            && (may_be_unfinished || !first.into_iter().any(ends))
    }

    /// Whether the only transaction that ends behind the frames that hold is known to the index as one that had begun,
    /// and not as one that had ended.
    ///
    /// Safety: a frame comes into the index once it is written: those of a transaction that outgrows its cache as it
    /// goes on, all others with its end, and then it is counted. So this index is of whoever wrote that very
    /// transaction, who had told nobody of its end.
    fn is_one_that_nobody_was_told_of(
        &self,
        committed: Option<usize>,
        index: Option<&File>,
    ) -> bool {
        let mut ends = self.own.iter().filter(|frame| frame.pages_after_commit > 0);
        let (Some(index), Some(end), None) = (index, ends.next(), ends.next()) else {
            return false;
        };
        let behind = usize::try_from((end.at - self.at) / self.step).unwrap_or(usize::MAX);
        let known = |behind: usize| page_of(index, self.held.saturating_add(behind + 1));
        committed == Some(self.ended)
            && behind > 0
            && known(0) == self.page
            && known(behind).is_none_or(|page| page == 0)
    }

    /// How many frames SQLite would pass over that the log's index counts among the committed ones. As far as they
    /// are in the log: a copy of it may be older than that of the index.
    pub(super) fn dropped(&self, committed: Option<usize>) -> usize {
        let there = committed.filter(|frames| *frames <= self.there);
        there.unwrap_or_default().saturating_sub(self.held)
    }

    /// Whether SQLite would replay nothing of it, and nothing of it is wanting: the main file has every page of it.
    fn is_in_the_main_file(
        &self,
        main: &File,
        log: &File,
        page_size: u64,
        committed: Option<usize>,
    ) -> io::Result<bool> {
        let counted = committed.unwrap_or(self.there).min(self.there);
        let frames = frame_headers(log, HEADER as u64, page_size)?;
        let pages = frames.iter().take(counted);
        let pages: BTreeMap<_, _> = pages.map(|frame| (frame.page, vec![frame.at])).collect();
        let may_be = self.ended == 0 && !pages.contains_key(&0);
        Ok(may_be && missing(main, log, &pages, page_size)? == 0)
    }
}

/// Looks whether transactions lie behind a frame of a log that does not hold.
///
/// Safety: SQLite goes on from the last transaction of which every frame holds. That is right after the power was
/// cut ([`BrokenLog::may_be_cut`]), for what was not flushed may be lost then; a process that was killed leaves none,
/// so where the system ran on, what was acknowledged is behind a frame that the disk or a copy has changed. Some
/// versions of SQLite write such a log themselves: behind `ROLLBACK TO`, in a transaction that outgrew its cache, they
/// leave frames bare, and commit. A process that was killed leaves the index too, which says how many were committed:
/// there everything is, and only SQLite does not take it (`owed_sums`).
///
/// # Errors
///
/// When the log cannot be read.
pub fn broken_log(database: &Path) -> io::Result<Option<BrokenLog>> {
    let path = side_file(database, "-wal");
    let Some(frames) = Frames::open(&path)? else {
        return Ok(None);
    };
    let log = File::open(&path)?;
    let page_size = frames.page_size() as u64;
    let index = index_of(database);
    let counted = index
        .as_ref()
        .and_then(|index| committed_in(index, frames.salts()));
    let committed = counted.map(|it| it.frames);
    let tail = Tail::look(&log, frames)?;
    let written = log.metadata()?.modified()?;
    let dropped = tail.dropped(committed);
    if dropped == 0 && tail.is_left_by_a_kill(committed, index.as_ref()) {
        return Ok(None);
    }
    match File::open(database) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        main => {
            if tail.is_in_the_main_file(&main?, &log, page_size, committed)? {
                return Ok(None);
            }
        }
    }
    let proven = match index.filter(|_| dropped > 0) {
        Some(index) => OwedSums::proven(&log, &index)?,
        None => None,
    };
    let is_sqlites = proven.is_some();
    let may_be_cut = host::system_start().is_some_and(|start| written < start) && !is_sqlites;
    Ok(Some(BrokenLog {
        may_be_cut,
        is_sqlites,
        frames: tail.held,
        bytes: tail.at,
        behind: tail.own.len().max(dropped),
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::services::db::log_index::count;
    use crate::services::db::{Access, Connection, stray_log};

    const PAGE: u64 = 512;

    const ROWS: &str = "SELECT group_concat(x) FROM t";

    fn open(path: &Path) -> Connection {
        Connection::open(path, Access::Create, Duration::ZERO).unwrap()
    }

    /// What a killed process leaves, and the rows after each transaction in the log.
    struct Killed {
        folder: tempfile::TempDir,
        main: Vec<u8>,
        /// The log before it was begun anew.
        older: Vec<u8>,
        log: Vec<u8>,
        index: Vec<u8>,
        committed: Vec<String>,
    }

    impl Killed {
        fn new(was_begun_anew: bool) -> Killed {
            let folder = tempfile::tempdir().unwrap();
            let live = folder.path().join("live.db");
            let mut connection = open(&live);
            let setup =
                "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                         CREATE TABLE t (x); INSERT INTO t SELECT zeroblob(400)";
            connection.execute(setup).unwrap();
            if was_begun_anew {
                let more = "INSERT INTO t VALUES (zeroblob(7000)); PRAGMA wal_checkpoint(FULL)";
                connection.execute(more).unwrap();
            }
            let read = |suffix| std::fs::read(side_file(&live, suffix)).unwrap();
            let older = read("-wal");
            let mut committed = Vec::new();
            let mut insert = |connection: &mut Connection, number: usize| {
                let insert = format!("INSERT INTO t VALUES ('{number}' || zeroblob(300))");
                connection.execute(&insert).unwrap();
                committed.push(format!("{:?}", connection.query(ROWS, &[])));
            };
            (0..3).for_each(|number| insert(&mut connection, number));
            let (main, log, index) = (read(""), read("-wal"), read("-shm"));
            connection.close();
            Killed {
                folder,
                main,
                older,
                log,
                index,
                committed,
            }
        }

        fn is_refused(&self, log: &[u8]) -> bool {
            let index = side_file(&self.folder.path().join("a.db"), "-shm");
            let _ = std::fs::remove_file(index);
            self.is_refused_as_it_is(log)
        }

        fn is_refused_by_its_index(&self, log: &[u8]) -> bool {
            let index = side_file(&self.folder.path().join("a.db"), "-shm");
            std::fs::write(index, &self.index).unwrap();
            self.is_refused_as_it_is(log)
        }

        fn is_refused_as_it_is(&self, log: &[u8]) -> bool {
            let path = self.folder.path().join("a.db");
            std::fs::write(&path, &self.main).unwrap();
            std::fs::write(side_file(&path, "-wal"), log).unwrap();
            let is_stray = stray_log(&path, PAGE, true).unwrap().is_some();
            is_stray || broken_log(&path).unwrap().is_some()
        }

        fn replayed(&self) -> String {
            let mut connection = open(&self.folder.path().join("a.db"));
            let rows = format!("{:?}", connection.query(ROWS, &[]));
            connection.close();
            rows
        }
    }

    #[test]
    fn what_ends_anywhere_is_a_killed_writers() {
        let killed = Killed::new(false);
        for bytes in 0..=killed.log.len() {
            assert!(!killed.is_refused(&killed.log[..bytes]), "{bytes}");
        }
        assert_eq!(Some(&killed.replayed()), killed.committed.last());
    }

    #[test]
    fn a_frame_that_was_not_finished_over_an_older_one_is_a_killed_writers() {
        let killed = Killed::new(true);
        let step = FRAME_HEADER + PAGE as usize;
        let salts = &killed.log[16..24];
        let frames = killed.log[HEADER..].chunks_exact(step);
        let own = frames.filter(|frame| frame[8..16] == *salts).count();
        let begin = HEADER + (own - 1) * step;
        assert!(begin + step < killed.older.len());
        for written in 0..=step {
            let cut = begin + written;
            let log = [&killed.log[..cut], &killed.older[cut..]].concat();
            assert!(!killed.is_refused(&log), "{written}");
        }
        assert_eq!(Some(&killed.replayed()), killed.committed.last());
    }

    #[test]
    fn one_changed_byte_anywhere_loses_nothing_that_was_acknowledged() {
        for was_begun_anew in [false, true] {
            let killed = Killed::new(was_begun_anew);
            assert!(!killed.is_refused(&killed.log));
            let holds = Frames::open(&side_file(&killed.folder.path().join("a.db"), "-wal"));
            let mut frames = holds.unwrap().unwrap();
            while frames.next_frame().is_some() {}
            // A few of those of older frames, which say nothing.
            let own_bytes = usize::try_from(frames.end()).unwrap();
            let older = (own_bytes..killed.log.len()).step_by(199);
            for at in (0..own_bytes).chain(older) {
                let mut log = killed.log.clone();
                log[at] ^= 0x10;
                if !killed.is_refused_by_its_index(&log) {
                    let rows = killed.replayed();
                    assert_eq!(Some(&rows), killed.committed.last(), "byte {at}");
                }
                if killed.is_refused(&log) {
                    continue;
                }
                let rows = killed.replayed();
                // Over older frames, the last one may be one that was not finished.
                let accepted =
                    &killed.committed[killed.committed.len() - 1 - usize::from(was_begun_anew)..];
                assert!(accepted.contains(&rows), "byte {at}");
            }
        }
    }

    /// As SQLite 3.40 left them behind `ROLLBACK TO` in a transaction that had outgrown its cache.
    #[test]
    fn what_was_committed_with_bare_frames_is_refused() {
        let killed = Killed::new(false);
        let step = FRAME_HEADER + PAGE as usize;
        let bare = |frames: std::ops::Range<usize>| {
            let mut log = killed.log.clone();
            for frame in frames {
                let at = HEADER + frame * step;
                log[at + 8..at + FRAME_HEADER].fill(0);
            }
            log
        };
        let all = (killed.log.len() - HEADER) / step;
        let ends = |frame: &usize| u32_at(&killed.log, HEADER + frame * step + 4) > 0;
        let last = (0..all - 1).rev().find(ends).unwrap() + 1;
        // To the end: only the index says whether it was acknowledged.
        assert!(killed.is_refused_by_its_index(&bare(last..all)));
        assert!(killed.is_refused(&bare(last..all)));
        // What came behind it tells.
        let before = (0..last - 1).rev().find(ends).unwrap() + 1;
        for log in [bare(before..last), bare(before..before + 1)] {
            assert!(killed.is_refused_by_its_index(&log) && killed.is_refused(&log));
        }
    }

    /// As SQLite 3.40 leaves it behind `ROLLBACK TO` where it is killed as it flushes the end of a transaction.
    #[test]
    fn what_had_begun_and_nobody_was_told_the_end_of_is_a_killed_writers() {
        const FIRST_PAGE: usize = 136;
        let killed = Killed::new(false);
        let step = FRAME_HEADER + PAGE as usize;
        let ends = |frame: &usize| u32_at(&killed.log, HEADER + frame * step + 4) > 0;
        let all = (killed.log.len() - HEADER) / step;
        let ends: Vec<usize> = (0..all).filter(ends).map(|frame| frame + 1).collect();
        let [.., before_last, held, end] = ends[..] else {
            panic!("{ends:?}");
        };
        assert!(held + 2 < end);
        let bare = |frame: usize| {
            let mut log = killed.log.clone();
            let at = HEADER + frame * step + 8;
            log[at..at + 16].fill(0);
            log
        };
        let sum = (0, 0);
        let index = |frames: usize, known: usize| {
            let mut index = killed.index.clone();
            index[FIRST_PAGE + known * 4..FIRST_PAGE + all * 4].fill(0);
            count(&mut index, frames, sum);
            index
        };
        let half_written = |mut index: Vec<u8>| {
            index[0] ^= 1;
            index
        };
        for (log, index, is_refused) in [
            (bare(held), index(held, held + 1), false),
            (bare(held + 1), index(held, held + 2), false),
            // The index was just being written.
            (bare(held), half_written(index(held, held + 1)), true),
            // What had begun is none of what the index knows.
            (bare(held), index(held, held), true),
            // Its end is.
            (bare(held), index(held, end), true),
            // It counts.
            (bare(held), index(end, held + 1), true),
            // One more has ended behind it.
            (bare(before_last), index(before_last, before_last + 1), true),
        ] {
            let killed = Killed {
                folder: tempfile::tempdir().unwrap(),
                main: killed.main.clone(),
                older: Vec::new(),
                log: Vec::new(),
                index,
                committed: killed.committed.clone(),
            };
            assert_eq!(killed.is_refused_by_its_index(&log), is_refused);
            if !is_refused {
                let before = killed.committed.iter().nth_back(1);
                assert_eq!(Some(&killed.replayed()), before);
            }
        }
    }

    #[test]
    fn an_index_that_knows_more_than_there_is_says_nothing() {
        let killed = Killed::new(false);
        let cut = killed.log.len() - FRAME_HEADER - PAGE as usize;
        assert!(!killed.is_refused_by_its_index(&killed.log[..cut]));
    }

    #[test]
    fn an_index_of_another_log_says_nothing() {
        let killed = Killed::new(true);
        let step = FRAME_HEADER + PAGE as usize;
        let salts = &killed.log[16..24];
        let frames = killed.log[HEADER..].chunks_exact(step);
        let own = frames.filter(|frame| frame[8..16] == *salts).count();
        let mut unfinished = killed.log.clone();
        unfinished[HEADER + own * step - 1] ^= 1;
        assert!(killed.is_refused_by_its_index(&unfinished));
        let later = Killed::new(true);
        let index = side_file(&killed.folder.path().join("a.db"), "-shm");
        std::fs::write(index, &later.index).unwrap();
        assert!(!killed.is_refused_as_it_is(&unfinished));
    }

    /// A copy whose index was copied later than its log.
    #[test]
    fn an_index_that_counts_over_older_frames_says_nothing() {
        let killed = Killed::new(true);
        let step = FRAME_HEADER + PAGE as usize;
        let salts = &killed.log[16..24];
        let frames = killed.log[HEADER..].chunks_exact(step);
        let own = frames.filter(|frame| frame[8..16] == *salts).count();
        let before = HEADER + (own - 1) * step;
        let log = [&killed.log[..before], &killed.older[before..]].concat();
        assert!(!killed.is_refused_by_its_index(&log));
    }

    #[test]
    fn what_does_not_hold_and_is_in_the_main_file_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let (live, path) = (folder.path().join("live.db"), folder.path().join("a.db"));
        let mut connection = open(&live);
        let setup = "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                     CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(900)); INSERT INTO t VALUES (1);";
        connection.execute(setup).unwrap();
        let mut refused = |moved: &str| {
            connection.execute(moved).unwrap();
            for suffix in ["", "-wal", "-shm"] {
                std::fs::copy(side_file(&live, suffix), side_file(&path, suffix)).unwrap();
            }
            let log = side_file(&path, "-wal");
            let mut bytes = std::fs::read(&log).unwrap();
            for frame in bytes[HEADER..].chunks_exact_mut(FRAME_HEADER + PAGE as usize) {
                frame[8..FRAME_HEADER].fill(0);
            }
            std::fs::write(log, bytes).unwrap();
            broken_log(&path).unwrap().is_some()
        };
        assert!(refused(""));
        assert!(!refused("PRAGMA wal_checkpoint(FULL)"));
        connection.close();
    }
}
