use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::log_frames::{FRAME_HEADER, Frames, Salts, Sum};
use super::log_index::{Committed, committed_in, index_of};
use super::side_file;

/// The salts and checksums that SQLite left out of a log in which everything was committed.
pub(crate) struct OwedSums {
    salts: Salts,
    /// Where the frames begin that do not have the right ones, and those.
    sums: Vec<(u64, Sum)>,
    bytes: u64,
}

/// What SQLite owes to a log or a copy of one, by what its index counts; none where it owes nothing, or where
/// something else is wrong with it.
///
/// Safety: where a transaction outgrows its cache, SQLite writes a page over that is in the log already, leaves its
/// salts and checksums out, and owes them to the end of the transaction. Some versions forgot behind `ROLLBACK TO` from
/// where on, committed, and counted the frames behind on from the zeros. Whoever had the database open read those
/// frames by the index, and would have moved them into the main file; whoever opens it next takes the log up to the
/// first of them, and loses the rest. So what the index counts is what was committed, if the index is whole and the
/// last frame that it counts has the checksum that it names; and nothing else has changed it, if each frame up to there
/// is bare or goes on from the one before it.
pub(super) fn owed_sums(log: &Path, committed: Option<Committed>) -> io::Result<Option<OwedSums>> {
    match (Frames::open(log)?, committed) {
        (Some(frames), Some(committed)) => OwedSums::of(frames, committed),
        _ => Ok(None),
    }
}

/// The frames of a log up to the last whose checksum holds, or where SQLite owes some, up to the last that is committed.
pub(super) fn frames_that_count(log: &File, index: Option<&File>) -> io::Result<Option<Frames>> {
    let frames = || Frames::of(log.try_clone()?);
    let Some(held) = frames()? else {
        return Ok(None);
    };
    let committed = index.and_then(|index| committed_in(index, held.salts()));
    let owed = match (frames()?, committed) {
        (Some(frames), Some(committed)) => OwedSums::of(frames, committed)?,
        _ => None,
    };
    Ok(Some(match owed {
        Some(owed) => held.even_bare_up_to(owed.bytes),
        None => held,
    }))
}

/// The same of a log by an index that is open; none where there is no log.
///
/// # Errors
///
/// When the log cannot be read.
pub(crate) fn owed_sums_by(index: &File, log: &Path) -> io::Result<Option<OwedSums>> {
    match Frames::open(log) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        frames => match frames? {
            Some(frames) => owed_sums(log, committed_in(index, frames.salts())),
            None => Ok(None),
        },
    }
}

/// The same of a copy of a database with its index, which nobody has open.
///
/// # Errors
///
/// As [`owed_sums_by`].
pub(crate) fn owed_sums_of(copy: &Path) -> io::Result<Option<OwedSums>> {
    match index_of(copy) {
        Some(index) => owed_sums_by(&index, &side_file(copy, "-wal")),
        None => Ok(None),
    }
}

impl OwedSums {
    /// Of a log from its first frame on.
    pub(super) fn of(frames: Frames, committed: Committed) -> io::Result<Option<OwedSums>> {
        match frames.has_bare(committed.frames)? {
            true => Ok(OwedSums::of_bare(
                frames.even_bare_up_to(u64::MAX),
                committed,
            )),
            false => Ok(None),
        }
    }

    fn of_bare(mut frames: Frames, committed: Committed) -> Option<OwedSums> {
        let (salts, order) = (frames.salts(), frames.order());
        let (mut right, mut sums) = (frames.sum(), Vec::new());
        let mut ends = false;
        for _ in 0..committed.frames {
            let frame = frames.next_frame()?;
            right = frame.sum_after(right, order);
            if frame.is_bare || frame.sum != right {
                sums.push((frame.place - FRAME_HEADER as u64, right));
            }
            ends = !frame.is_bare && frame.pages_after_commit > 0;
        }
        let counts = ends && frames.sum() == committed.sum;
        (counts && !sums.is_empty()).then(|| OwedSums {
            salts,
            sums,
            bytes: frames.end(),
        })
    }

    /// Bytes of the log up to the end of its last transaction.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes them into a copy of the log that is open for that, flushed to the disk; it ends with its last transaction
    /// then.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn pay(&self, mut copy: &File) -> io::Result<()> {
        for (at, sum) in &self.sums {
            let sum = [sum.0, sum.1].map(u32::to_be_bytes).concat();
            copy.seek(SeekFrom::Start(at + 8))?;
            copy.write_all(&[&self.salts[..], &sum].concat())?;
        }
        copy.set_len(self.bytes)?;
        copy.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::log_frames::{ByteOrder, HEADER, checksum, u32_at};
    use super::*;
    use crate::services::db::{Access, Connection, FileSet, copy_for_looking};

    const STEP: usize = FRAME_HEADER + 512;

    const ROWS: &str = "SELECT count(*) || ' ' || sum(length(x)) FROM t";

    /// A database that a killed process leaves, with a log of which SQLite left some frames bare.
    struct Left {
        folder: tempfile::TempDir,
        rows: String,
        frames: usize,
    }

    impl Left {
        fn with_bare(bare: &[usize]) -> Left {
            let folder = tempfile::tempdir().unwrap();
            let (live, path) = (folder.path().join("live.db"), folder.path().join("a.db"));
            let mut connection = Connection::open(&live, Access::Create, Duration::ZERO).unwrap();
            let setup =
                "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                         CREATE TABLE t (x)";
            connection.execute(setup).unwrap();
            for bytes in [300, 2000, 400] {
                let insert = format!("INSERT INTO t VALUES (zeroblob({bytes}))");
                connection.execute(&insert).unwrap();
            }
            let rows = format!("{:?}", connection.scalar(ROWS));
            for suffix in ["", "-wal", "-shm"] {
                std::fs::copy(side_file(&live, suffix), side_file(&path, suffix)).unwrap();
            }
            connection.close();
            let bytes = std::fs::metadata(side_file(&path, "-wal")).unwrap().len();
            let frames = (usize::try_from(bytes).unwrap() - HEADER) / STEP;
            let left = Left {
                folder,
                rows,
                frames,
            };
            left.leave_bare(bare);
            left
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("a.db")
        }

        fn change(&self, suffix: &str, change: impl FnOnce(&mut Vec<u8>)) {
            let file = side_file(&self.path(), suffix);
            let mut bytes = std::fs::read(&file).unwrap();
            change(&mut bytes);
            std::fs::write(file, bytes).unwrap();
        }

        /// As SQLite 3.40 did.
        fn leave_bare(&self, bare: &[usize]) {
            let mut sum = None;
            self.change("-wal", |log| {
                let order = match log[3] & 1 {
                    1 => ByteOrder::Big,
                    _ => ByteOrder::Little,
                };
                for (number, frame) in log[HEADER..].chunks_exact_mut(STEP).enumerate() {
                    let from_here = sum.or(bare.contains(&number).then_some((0, 0)));
                    sum = match from_here {
                        _ if bare.contains(&number) => {
                            frame[8..FRAME_HEADER].fill(0);
                            Some((0, 0))
                        }
                        None => None,
                        Some(before) => {
                            let sum = checksum(&frame[..8], before, order);
                            let sum = checksum(&frame[FRAME_HEADER..], sum, order);
                            frame[16..20].copy_from_slice(&sum.0.to_be_bytes());
                            frame[20..24].copy_from_slice(&sum.1.to_be_bytes());
                            Some(sum)
                        }
                    };
                }
            });
            if let Some(sum) = sum {
                self.count(self.frames, sum);
            }
        }

        fn count(&self, frames: usize, sum: Sum) {
            self.change("-shm", |index| {
                let mut put = |at: usize, word: u32| {
                    index[at..at + 4].copy_from_slice(&word.to_ne_bytes());
                };
                put(16, u32::try_from(frames).unwrap());
                put(24, sum.0);
                put(28, sum.1);
                let own = checksum(&index[..40], (0, 0), ByteOrder::NATIVE);
                index[40..44].copy_from_slice(&own.0.to_ne_bytes());
                index[44..48].copy_from_slice(&own.1.to_ne_bytes());
                index.copy_within(..48, 48);
            });
        }

        fn is_owed(&self) -> bool {
            owed_sums_of(&self.path()).unwrap().is_some()
        }

        fn rows_of(path: &Path) -> String {
            let mut connection = Connection::open(path, Access::ReadWrite, Duration::ZERO).unwrap();
            let rows = format!("{:?}", connection.scalar(ROWS));
            connection.close();
            rows
        }
    }

    #[test]
    fn what_is_paid_sqlite_takes_to_the_last_transaction() {
        for bare in [vec![0], vec![2], vec![2, 3, 5]] {
            let left = Left::with_bare(&bare);
            let path = left.path();
            let copy = left.folder.path().join("copy.db");
            for suffix in ["", "-wal"] {
                std::fs::copy(side_file(&path, suffix), side_file(&copy, suffix)).unwrap();
            }
            let without = left.folder.path().join("without.db");
            for suffix in ["", "-wal"] {
                std::fs::copy(side_file(&path, suffix), side_file(&without, suffix)).unwrap();
            }
            assert_ne!(Left::rows_of(&without), left.rows, "{bare:?}");
            let owed = owed_sums_of(&path).unwrap().unwrap();
            let log = File::options().write(true).open(side_file(&copy, "-wal"));
            owed.pay(&log.unwrap()).unwrap();
            assert_eq!(Left::rows_of(&copy), left.rows, "{bare:?}");
            let observed = copy_for_looking(&FileSet::look(&path)).unwrap();
            assert_eq!(
                Left::rows_of(&observed.path().join("a.db")),
                left.rows,
                "{bare:?}"
            );
        }
    }

    #[test]
    fn nothing_is_owed_to_a_log_that_holds() {
        assert!(!Left::with_bare(&[]).is_owed());
    }

    /// Nobody has committed it yet, or nobody knows whether.
    #[test]
    fn a_bare_end_is_none() {
        let left = Left::with_bare(&[]);
        assert!(!Left::with_bare(&[left.frames - 1]).is_owed());
    }

    #[test]
    fn without_the_index_that_counts_it_nothing_is_owed() {
        let left = Left::with_bare(&[2]);
        assert!(left.is_owed());
        left.change("-shm", |index| index[40] ^= 1);
        assert!(!left.is_owed());
        std::fs::remove_file(side_file(&left.path(), "-shm")).unwrap();
        assert!(!left.is_owed());
    }

    /// Of a transaction behind which another one was written that SQLite did not know of, or the other way round.
    #[test]
    fn an_index_that_counts_otherwise_is_another_logs() {
        let left = Left::with_bare(&[2]);
        let log = std::fs::read(side_file(&left.path(), "-wal")).unwrap();
        let sum_of = |frame: usize| {
            let at = HEADER + frame * STEP;
            (u32_at(&log, at + 16), u32_at(&log, at + 20))
        };
        let last = left.frames - 1;
        for (frames, sum) in [
            (last, sum_of(last - 1)),
            (last, sum_of(last)),
            (left.frames + 1, sum_of(last)),
            (left.frames, sum_of(last - 1)),
        ] {
            left.count(frames, sum);
            let ends = u32_at(&log, HEADER + (frames.min(left.frames) - 1) * STEP + 4) > 0;
            let is_right = ends && frames <= left.frames && sum == sum_of(frames - 1);
            assert_eq!(left.is_owed(), is_right, "{frames} {sum:?}");
        }
    }

    #[test]
    fn a_changed_byte_is_no_debt_of_sqlites() {
        let left = Left::with_bare(&[2]);
        for frame in (0..left.frames).filter(|frame| *frame != 2) {
            for at in [0, 7, 8, 16, 23, FRAME_HEADER, FRAME_HEADER + 300] {
                let place = HEADER + frame * STEP + at;
                left.change("-wal", |log| log[place] ^= 4);
                assert!(!left.is_owed(), "frame {frame}, byte {at}");
                left.change("-wal", |log| log[place] ^= 4);
            }
        }
        assert!(left.is_owed());
    }
}
