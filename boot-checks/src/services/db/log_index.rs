use std::fs::File;
use std::path::Path;

use super::log_frames::{Salts, checksum};
use super::side_file;
use crate::host::read_exact_at;

/// Bytes of the index up to and with the count of frames that a checkpoint began to move
/// (<https://www.sqlite.org/walformat.html#the_wal_index_file_format>).
const HEAD: usize = 132;

/// Bytes of each of the two copies of the header.
const COPY: usize = 48;

/// Where the salts stand in each of the two copies of the header.
const SALTS: [usize; 2] = [32, 80];

/// Where the frames are counted that were committed, and where the header's own checksum stands.
const COMMITTED: usize = 16;
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

/// How many frames of this log its index, which a killed process leaves as it was, counts as committed. None where it
/// is another log's, or was just being written.
///
/// Safety: SQLite counts a transaction there once its last frame is in the log, and both copies are the same then. The
/// index is not flushed: after a crash of the machine it may count what never reached the disk.
pub(super) fn committed_frames(path: &Path, salts: Salts) -> Option<usize> {
    let head = head_of(path, salts)?;
    let (header, copy) = head[..2 * COPY].split_at(COPY);
    let sum = checksum(&header[..CHECKSUM], (0, 0), cfg!(target_endian = "big"));
    let is_whole =
        header == copy && sum == (count_at(&head, CHECKSUM), count_at(&head, CHECKSUM + 4));
    let frames = count_at(&head, COMMITTED);
    usize::try_from(frames).ok().filter(|_| is_whole)
}

/// Frames that are in the main file, and those that a checkpoint began to move; none of another log's index.
fn moved(path: &Path, salts: Salts) -> Option<[u32; 2]> {
    let head = head_of(path, salts)?;
    Some(MOVED.map(|at| count_at(&head, at)))
}

/// None of another log's index.
fn head_of(path: &Path, salts: Salts) -> Option<[u8; HEAD]> {
    let mut head = [0; HEAD];
    let file = File::open(side_file(path, "-shm")).ok()?;
    read_exact_at(&file, &mut head, 0).ok()?;
    let is_this_logs = SALTS.iter().all(|at| head[*at..at + 8] == salts);
    is_this_logs.then_some(head)
}

/// In the order of the machine's own bytes.
fn count_at(head: &[u8; HEAD], at: usize) -> u32 {
    u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}
