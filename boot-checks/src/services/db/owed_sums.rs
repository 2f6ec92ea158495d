use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::log_frames::{FRAME_HEADER, Frame, Frames, Salts, Sum};
use super::log_index::{Committed, committed_in, index_of, page_of};
use super::log_tail::{FrameHeader, frame_headers};
use super::side_file;

/// The salts and checksums that a log lacks of what was committed, so that SQLite would take a part of it only.
///
/// Where a transaction outgrows its cache, SQLite writes a page over that is in the log already, leaves its salts and
/// checksums out ("bare"), and owes them to the end of the transaction. Some versions forgot behind `ROLLBACK TO` from
/// where on, committed, and counted the frames behind on from the zeros. Whoever has the database open goes by the
/// index; whoever opens it next takes the log up to the first of them, and loses the rest.
pub(crate) struct OwedSums {
    salts: Salts,
    /// Where the frames begin that do not have the right ones, and those.
    sums: Vec<(u64, Sum)>,
    /// The right checksum of the log up to the end of its last transaction, and bytes up to there.
    sum: Sum,
    bytes: u64,
    left_out: usize,
}

impl OwedSums {
    /// Of a log, or a copy of one that was made after the index was asked, while the database is open; none where
    /// everything holds, or the index is not of what is there.
    ///
    /// Safety: the index says what counts then, for every reader and for every checkpoint.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub(super) fn in_use(log: &File, committed: Committed) -> io::Result<Option<OwedSums>> {
        let Some(mut frames) = frames_of(log)? else {
            return Ok(None);
        };
        let end = frames.bytes_of(committed.frames);
        while frames.next_frame().is_some() {}
        if frames.end() >= end {
            return Ok(None);
        }
        let Some(frames) = frames_of(log)? else {
            return Ok(None);
        };
        let mut owed = OwedSums::none_of(&frames);
        let mut frames = frames.taken_up_to(end);
        let salts = owed.salts;
        owed.count(&mut frames, |frame| frame.is_bare() || frame.salts == salts);
        Ok((owed.bytes == end).then_some(owed))
    }

    /// Of a log that nobody has open any more; none where it is owed nothing, or where something else may be wrong.
    ///
    /// Safety: the index counts what was committed, if it is whole, the last frame that it counts has the checksum that
    /// it names, and each has the page that it knows it by; and nothing else has changed the log, if each frame up to
    /// there is bare or goes on from the one before it. Transactions that hold behind it count too. One that does not
    /// was not acknowledged by whoever was killed, but where the index was copied before the log. What none of this
    /// sees: a program in exclusive locking mode keeps an
    /// index of its own; one that took the log up to the first bare frame, wrote the same pages over those before it,
    /// and crashed, has left this too. So it is a person's decision.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub(super) fn proven(log: &File, index: &File) -> io::Result<Option<OwedSums>> {
        let Some(frames) = frames_of(log)? else {
            return Ok(None);
        };
        let Some(committed) = committed_in(index, frames.salts()) else {
            return Ok(None);
        };
        if !frames.has_bare(committed.frames)? {
            return Ok(None);
        }
        let mut owed = OwedSums::none_of(&frames);
        let (salts, order, end) = (
            frames.salts(),
            frames.order(),
            frames.bytes_of(committed.frames),
        );
        let (mut before, mut number, mut ends) = (owed.sum, 0, false);
        let mut frames = frames.taken_up_to(end);
        owed.count(&mut frames, |frame| {
            number += 1;
            let goes_on = frame.salts == salts && frame.sum == frame.sum_after(before, order);
            before = frame.sum;
            ends = !frame.is_bare() && frame.pages_after_commit > 0;
            (frame.is_bare() || goes_on) && page_of(index, number) == Some(frame.page)
        });
        if owed.bytes != end || !ends || before != committed.sum {
            return Ok(None);
        }
        let mut frames = frames.and_on();
        owed.count(&mut frames, |_| true);
        let behind = frame_headers(log, frames.end(), frames.page_size() as u64)?;
        let may_count = |frame: &&FrameHeader| frame.may_end_a_transaction_of(salts);
        owed.left_out = behind.iter().filter(may_count).count();
        Ok((!owed.sums.is_empty()).then_some(owed))
    }

    fn none_of(frames: &Frames) -> OwedSums {
        OwedSums {
            salts: frames.salts(),
            sums: Vec::new(),
            sum: frames.sum(),
            bytes: frames.end(),
            left_out: 0,
        }
    }

    /// Goes on with these frames as far as they are right, up to the last that ends a transaction.
    fn count(&mut self, frames: &mut Frames, mut is_right: impl FnMut(&Frame<'_>) -> bool) {
        let (order, mut sum, mut open) = (frames.order(), self.sum, Vec::new());
        while let Some(frame) = frames.next_frame() {
            if !is_right(&frame) {
                return;
            }
            sum = frame.sum_after(sum, order);
            if frame.salts != self.salts || frame.sum != sum {
                open.push((frame.place - FRAME_HEADER as u64, sum));
            }
            if frame.pages_after_commit > 0 {
                self.sums.append(&mut open);
                self.sum = sum;
                self.bytes = frame.place + frame.contents.len() as u64;
            }
        }
    }

    /// How many transactions seem to end behind it.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
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

/// From the first on.
fn frames_of(log: &File) -> io::Result<Option<Frames>> {
    Frames::of(log.try_clone()?)
}

/// Those of a log that count while the database is open, see [`OwedSums::in_use`].
pub(super) fn frames_in_use(log: &File, index: Option<&File>) -> io::Result<Option<Frames>> {
    those_that_count(log, index, |index| owed_in_use(index, log))
}

/// Those of a log that count where nobody has the database open any more, see [`OwedSums::proven`].
pub(super) fn frames_left(log: &File, index: Option<&File>) -> io::Result<Option<Frames>> {
    those_that_count(log, index, |index| OwedSums::proven(log, index))
}

fn those_that_count(
    log: &File,
    index: Option<&File>,
    owed: impl FnOnce(&File) -> io::Result<Option<OwedSums>>,
) -> io::Result<Option<Frames>> {
    let owed = index.map_or(Ok(None), owed)?;
    let frames = frames_of(log)?;
    Ok(frames.map(|frames| match owed {
        Some(owed) => frames.taken_up_to(owed.bytes),
        None => frames,
    }))
}

/// What a copied log is owed while the database is open, by its index.
///
/// # Errors
///
/// As [`OwedSums::in_use`].
pub(crate) fn owed_in_use(index: &File, copy: &File) -> io::Result<Option<OwedSums>> {
    let committed = match frames_of(copy)? {
        Some(frames) => committed_in(index, frames.salts()),
        None => None,
    };
    committed.map_or(Ok(None), |committed| OwedSums::in_use(copy, committed))
}

/// What is owed to the log of a copy of a database with its index, which nobody has open.
///
/// # Errors
///
/// As [`OwedSums::proven`].
pub(crate) fn owed_sums_of(copy: &Path) -> io::Result<Option<OwedSums>> {
    let log = match File::open(side_file(copy, "-wal")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        log => log?,
    };
    index_of(copy).map_or(Ok(None), |index| OwedSums::proven(&log, &index))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::log_frames::{ByteOrder, HEADER, checksum, u32_at};
    use super::super::log_index::count;
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
            self.change("-shm", |index| count(index, frames, sum));
        }

        fn log(&self) -> Vec<u8> {
            std::fs::read(side_file(&self.path(), "-wal")).unwrap()
        }

        /// The first frame being 0.
        fn sum_of(&self, frame: usize) -> Sum {
            let at = HEADER + frame * STEP;
            (u32_at(&self.log(), at + 16), u32_at(&self.log(), at + 20))
        }

        /// How many frames there are to the end of each transaction.
        fn ends(&self) -> Vec<usize> {
            let log = self.log();
            let frames = log[HEADER..].chunks_exact(STEP).enumerate();
            let ends = frames.filter(|(_, frame)| u32_at(frame, 4) > 0);
            ends.map(|(frame, _)| frame + 1).collect()
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

    #[test]
    fn an_index_that_names_another_end_is_another_logs() {
        let left = Left::with_bare(&[2]);
        let ends = left.ends();
        for (frames, sum) in [
            (left.frames + 1, left.sum_of(left.frames - 1)),
            (left.frames, left.sum_of(left.frames - 2)),
            (ends[0], left.sum_of(left.frames - 1)),
        ] {
            left.count(frames, sum);
            assert!(!left.is_owed(), "{frames} {sum:?}");
        }
    }

    /// A copy of the index that was made before that of the log.
    #[test]
    fn what_holds_behind_what_the_index_counts_counts_too() {
        let left = Left::with_bare(&[2]);
        let ends = left.ends();
        let [.., before, last] = ends.as_slice() else {
            panic!("{ends:?}")
        };
        left.count(*before, left.sum_of(before - 1));
        let bytes = HEADER + last * STEP;
        let owed = owed_sums_of(&left.path()).unwrap().unwrap();
        assert_eq!(owed.bytes(), bytes as u64);
        // And what does not hold may count.
        for at in [0, 8, FRAME_HEADER] {
            left.change("-wal", |log| log[bytes - STEP + at] ^= 4);
            let owed = owed_sums_of(&left.path()).unwrap().unwrap();
            assert_eq!(
                (owed.bytes(), owed.left_out),
                ((HEADER + before * STEP) as u64, 1)
            );
            left.change("-wal", |log| log[bytes - STEP + at] ^= 4);
        }
    }

    /// By a program whose own index nobody sees, which took the log up to there.
    #[test]
    fn what_was_written_over_a_part_is_no_debt_of_sqlites() {
        let left = Left::with_bare(&[2]);
        left.change("-wal", |log| {
            let order = match log[3] & 1 {
                1 => ByteOrder::Big,
                _ => ByteOrder::Little,
            };
            let word = |log: &[u8], at: usize| (u32_at(log, at), u32_at(log, at + 4));
            let mut sum = word(log, 24);
            for frame in log[HEADER..].chunks_exact_mut(STEP).take(2) {
                // Another page, and none that could not be.
                frame[3] ^= 8;
                let before = checksum(&frame[..8], sum, order);
                sum = checksum(&frame[FRAME_HEADER..], before, order);
                frame[16..20].copy_from_slice(&sum.0.to_be_bytes());
                frame[20..24].copy_from_slice(&sum.1.to_be_bytes());
            }
        });
        assert!(!left.is_owed());
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
