use std::fs::File;
use std::io;
use std::path::Path;

use super::log_frames::{FRAME_HEADER, Frames, Salts, u32_at};
use super::side_file;
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
        });
        at += step;
    }
    Ok(headers)
}

/// What lies behind the frames of a log that hold.
pub(super) struct Tail {
    /// Frames that hold.
    pub(super) held: usize,
    /// Where the first begins that does not.
    at: u64,
    /// Pages of the transaction that is not ended by any that holds.
    open: Vec<u32>,
    /// Those of the same generation, the first that does not hold among them.
    own: Vec<FrameHeader>,
    /// Whether frames of older generations may be in the log.
    has_older: bool,
}

impl Tail {
    pub(super) fn look(log: &File, mut frames: Frames) -> io::Result<Tail> {
        let (mut held, mut open) = (0, Vec::new());
        while let Some(frame) = frames.next_frame() {
            held += 1;
            open.push(frame.page);
            if frame.pages_after_commit > 0 {
                open.clear();
            }
        }
        let (at, salts) = (frames.end(), frames.salts());
        let has_older = frames.checkpoints() > 0;
        let mut own = frame_headers(log, at, frames.page_size() as u64)?;
        let is_own = |frame: &FrameHeader| frame.salts == salts;
        // The one that does not hold may lack the name itself.
        let is_followed = own.iter().skip(1).any(is_own);
        let is_whole = is_followed || (own.len() == 1 && !has_older);
        own.retain(|frame| is_own(frame) || (frame.at == at && is_whole));
        Ok(Tail {
            held,
            at,
            open,
            own,
            has_older,
        })
    }

    /// Whether a process that was killed while it wrote can have left this.
    ///
    /// Safety: what was written before a kill stays written, and frames are written one behind the other. So behind
    /// one that does not hold there is none of the same generation, with two exceptions: a transaction that was given
    /// up, which has no end; and one that outgrew its cache, wrote a page over that was in the log already, and is
    /// killed while it renews the checksums from there on. That one has its only end at the end of all, and as it was
    /// not written in one go, its pages are in no order. And the last frame itself may be unfinished: where nothing
    /// older is in the log, the log ends within it then.
    pub(super) fn is_left_by_a_kill(&self) -> bool {
        let ends = |frame: &FrameHeader| frame.pages_after_commit > 0;
        let Some((last, before)) = self.own.split_last() else {
            return true;
        };
        if before.iter().any(ends) {
            return false;
        }
        if !ends(last) {
            return true;
        }
        if last.at == self.at && self.has_older {
            return true;
        }
        let behind = self.own.iter().filter(|frame| frame.at != self.at);
        let pages = self.open.iter().copied();
        !pages
            .chain(behind.map(|frame| frame.page))
            .is_sorted_by(|page, next| page < next)
    }
}

/// Looks whether transactions lie behind a frame of a log that does not hold.
///
/// Safety: SQLite goes on from the last transaction of which every frame holds. That is right after the power was
/// cut ([`BrokenLog::may_be_cut`]), for what was not flushed may be lost then; a process that was killed leaves none,
/// so where the system ran on, what was acknowledged is behind a frame that the disk or a copy has changed.
///
/// # Errors
///
/// When the log cannot be read.
pub fn broken_log(path: &Path) -> io::Result<Option<BrokenLog>> {
    let path = side_file(path, "-wal");
    let Some(frames) = Frames::open(&path)? else {
        return Ok(None);
    };
    let log = File::open(&path)?;
    let tail = Tail::look(&log, frames)?;
    let written = log.metadata()?.modified()?;
    if tail.is_left_by_a_kill() {
        return Ok(None);
    }
    let may_be_cut = host::system_start().is_some_and(|start| written < start);
    Ok(Some(BrokenLog {
        may_be_cut,
        frames: tail.held,
        bytes: tail.at,
        behind: tail.own.len(),
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::log_frames::HEADER;
    use super::*;
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
            let (main, log) = (read(""), read("-wal"));
            connection.close();
            Killed {
                folder,
                main,
                older,
                log,
                committed,
            }
        }

        fn is_refused(&self, log: &[u8]) -> bool {
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
}
