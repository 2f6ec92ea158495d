use std::fs::File;
use std::path::Path;

use super::log_frames::{ByteOrder, Salts, Sum, checksum};
use super::side_file;
use crate::host::read_exact_at;

/// Bytes of the index up to and with the count of frames that a checkpoint began to move
/// (<https://www.sqlite.org/walformat.html#the_wal_index_file_format>).
const HEAD: usize = 132;

/// Bytes of the whole header, of a block that tells pages of frames (the first has the header within), and how many
/// it tells.
const HEADER: usize = 136;
const BLOCK: usize = 32_768;
const FRAMES_OF_BLOCK: usize = 4_096;
const FRAMES_OF_FIRST: usize = FRAMES_OF_BLOCK - HEADER / 4;

/// Bytes of each of the two copies of the header.
const COPY: usize = 48;

/// Where the salts stand in each of the two copies of the header.
const SALTS: [usize; 2] = [32, 80];

/// Where the frames are counted that were committed, where the checksum of the last of them stands, and where the
/// header's own.
const COMMITTED: usize = 16;
const LAST_SUM: usize = 24;
const CHECKSUM: usize = 40;

/// Where the frames are counted that are in the main file, and those that a checkpoint began to move.
const MOVED: [usize; 2] = [96, 128];

/// Whether the index of a log, which a killed process leaves as it was, says that no checkpoint of this log
/// was ever begun. Not where it is another log's, or there is none.
///
/// Safety: SQLite writes down how far a checkpoint will go before it writes the first page, and a recovery writes
/// down the whole log. The index is not flushed: after a crash of the machine it says nothing.
pub(super) fn nothing_was_moved(path: &Path, salts: Salts) -> bool {
    moved(path, salts).is_some_and(|counts| counts == [0, 0])
}

/// Whether it says that a checkpoint of this log was begun and did not come to its end.
pub(super) fn checkpoint_was_cut(path: &Path, salts: Salts) -> bool {
    moved(path, salts).is_some_and(|[done, begun]| begun > done)
}

/// What an index counts as committed of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) frames: usize,
    /// As the last of them has it.
    pub(super) sum: Sum,
}

/// What the index of this log, which a killed process leaves as it was, counts as committed. None where it is another
/// log's, or was just being written.
///
/// Safety: SQLite counts a transaction there once its last frame is in the log, and both copies are the same then. The
/// index is not flushed: after a crash of the machine it may count what never reached the disk.
pub(super) fn committed_in(index: &File, salts: Salts) -> Option<Committed> {
    let head = head_of(index, salts)?;
    let (header, copy) = head[..2 * COPY].split_at(COPY);
    let sum_at = |at| (count_at(&head, at), count_at(&head, at + 4));
    let sum = checksum(&header[..CHECKSUM], (0, 0), ByteOrder::NATIVE);
    let is_whole = header == copy && sum == sum_at(CHECKSUM);
    let frames = usize::try_from(count_at(&head, COMMITTED)).ok()?;
    is_whole.then_some(Committed {
        frames,
        sum: sum_at(LAST_SUM),
    })
}

/// The page that the index knows a frame by, the first being 1; none where it knows no such frame
/// (<https://www.sqlite.org/walformat.html#the_wal_index_file_format>).
pub(super) fn page_of(index: &File, frame: usize) -> Option<u32> {
    let place = match frame.checked_sub(FRAMES_OF_FIRST + 1) {
        None => HEADER + frame.checked_sub(1)? * 4,
        Some(behind) => (1 + behind / FRAMES_OF_BLOCK) * BLOCK + behind % FRAMES_OF_BLOCK * 4,
    };
    let mut page = [0; 4];
    read_exact_at(index, &mut page, place as u64).ok()?;
    Some(u32::from_ne_bytes(page))
}

/// Frames that are in the main file, and those that a checkpoint began to move; none of another log's index.
fn moved(path: &Path, salts: Salts) -> Option<[u32; 2]> {
    let head = head_of(&index_of(path)?, salts)?;
    Some(MOVED.map(|at| count_at(&head, at)))
}

/// Safety: locks of whoever has the database open are on the index, so that a process that has it open itself must not
/// come here: closing a descriptor would drop its own.
pub(super) fn index_of(path: &Path) -> Option<File> {
    File::open(side_file(path, "-shm")).ok()
}

/// None of another log's index.
fn head_of(index: &File, salts: Salts) -> Option<[u8; HEAD]> {
    let mut head = [0; HEAD];
    read_exact_at(index, &mut head, 0).ok()?;
    let is_this_logs = SALTS.iter().all(|at| head[*at..at + 8] == salts);
    is_this_logs.then_some(head)
}

/// In the order of the machine's own bytes.
fn count_at(head: &[u8; HEAD], at: usize) -> u32 {
    u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

/// Lets an index count these frames as committed.
#[cfg(test)]
pub(super) fn count(index: &mut [u8], frames: usize, sum: Sum) {
    let mut put = |at: usize, word: u32| {
        index[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    };
    put(COMMITTED, u32::try_from(frames).unwrap());
    put(LAST_SUM, sum.0);
    put(LAST_SUM + 4, sum.1);
    let own = checksum(&index[..CHECKSUM], (0, 0), ByteOrder::NATIVE);
    index[CHECKSUM..CHECKSUM + 4].copy_from_slice(&own.0.to_ne_bytes());
    index[CHECKSUM + 4..COPY].copy_from_slice(&own.1.to_ne_bytes());
    index.copy_within(..COPY, COPY);
}
