use std::path::Path;

use super::side_files::side_file;
use crate::host::{self, SharedByte};

/// The byte of a log's index that every connection holds in common. Who finds it free takes it alone, and makes the
/// index anew from what can be read of the log (<https://www.sqlite.org/walformat.html#the_wal_index_file_format>).
const IN_USE: u64 = 128;

/// The index of a log that somebody has open, which stays the one that it is as long as this is held.
///
/// Safety: whoever has a log open goes by its index, which may know more than can be read from the log alone. Where
/// its owner is killed, whoever is next to open the log would lose that; who holds this is not the next.
#[derive(Debug)]
pub(super) struct LiveIndex {
    byte: SharedByte,
}

impl LiveIndex {
    /// None where nobody else has the log open, or the system does not tell.
    pub(super) fn join(database: &Path) -> Option<LiveIndex> {
        let byte = host::share_byte(&side_file(database, "-shm"), IN_USE);
        byte.ok().flatten().map(|byte| LiveIndex { byte })
    }

    /// Lets SQLite, which has the log open itself by now, see whether anybody else has: who is the last moves what the
    /// index knows into the main file.
    pub(super) fn let_go(&self) {
        self.byte.let_go();
    }
}
