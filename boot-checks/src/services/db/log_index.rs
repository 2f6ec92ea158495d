use std::fs::File;
use std::path::Path;

use super::log_frames::Salts;
use super::side_file;
use crate::host::read_exact_at;

/// Bytes of the index up to and with the count of frames that a checkpoint began to move
/// (<https://www.sqlite.org/walformat.html#the_wal_index_file_format>).
const HEAD: usize = 132;

/// Where the salts stand in each of the two copies of the header.
const SALTS: [usize; 2] = [32, 80];

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

/// Frames that are in the main file, and those that a checkpoint began to move; none of another log's index.
fn moved(path: &Path, salts: Salts) -> Option<[u32; 2]> {
    let mut head = [0; HEAD];
    let file = File::open(side_file(path, "-shm")).ok()?;
    read_exact_at(&file, &mut head, 0).ok()?;
    let is_this_logs = SALTS.iter().all(|at| head[*at..at + 8] == salts);
    // In the order of the machine's own bytes.
    let count =
        |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    is_this_logs.then(|| MOVED.map(count))
}
