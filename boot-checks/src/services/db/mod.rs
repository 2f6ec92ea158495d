//! The application's SQLite database: looking at its files, opening it, reading its structure.

use std::path::Path;

use crate::host::{self, LockHolder, RecordLock};

mod affinity;
mod committed_log;
mod connection;
mod copy;
mod create;
mod difference;
mod difference_keys;
mod difference_named;
mod difference_own;
mod difference_rules;
#[cfg(test)]
mod difference_tests;
mod difference_unique;
mod error;
mod files;
mod foreign_journal;
mod foreign_keys;
mod foreign_log;
mod integrity;
mod journal;
mod last_check;
mod live_index;
mod log_frames;
mod log_index;
mod log_tail;
mod one_transaction;
mod owed_sums;
mod recovery;
mod rows;
pub mod salvage;
mod same_rows;
mod side_files;
mod stray_log;
mod structure;
mod structure_parts;
mod table_text;
mod tokens;
mod unfit;
mod version;
mod virtual_table;

pub use affinity::Affinity;
pub(crate) use committed_log::each_folded;
pub(crate) use connection::block_on;
pub use connection::{Access, Connection, Row, Transaction};
pub(crate) use copy::copy_for_looking;
pub use create::{create_complete, remove_unfinished};
pub use difference::{Difference, Refusal, compare};
pub use error::DbError;
pub(crate) use files::has_unfinished_journal;
pub use files::{FileSet, Header, MainFile};
pub use foreign_journal::{BadJournal, bad_journal};
pub use foreign_keys::{BrokenRow, ForeignKeys, Reference};
pub use foreign_log::{ForeignLog, foreign_log};
pub use integrity::{FullLook, Integrity, full_check, integrity_check, quick_check};
pub use journal::{BrokenJournal, holds_nothing_committed};
pub use last_check::{BOOTS_BETWEEN, Due, LastCheck, Looked};
pub use log_tail::{BrokenLog, broken_log};
pub use one_transaction::stay_in_one_transaction;
pub(crate) use owed_sums::{owed_in_use, owed_sums_of};
pub use recovery::{Recovery, rehearse_recovery};
pub use rows::count_rows;
pub use same_rows::first_table_that_differs;
pub(crate) use side_files::{ensure_may_be_opened, side_file};
pub use stray_log::{StrayLog, stray_log};
pub use structure::{Column, ForeignKey, Index, Structure, Table, TableOptions};
pub use unfit::{Unfit, says_nothing, text_of, unfit};
pub use version::{SqliteVersion, WAL_SAFE_FROM};

/// Called once a transaction has the write lock and has written nothing yet.
pub type OnLock<'a> = dyn FnMut(&mut Connection) -> Result<(), DbError> + 'a;

/// SQLite's lock bytes: PENDING, RESERVED and the SHARED range
/// (<https://www.sqlite.org/src/file/src/os.h>, `PENDING_BYTE`).
pub const LOCK_BYTES: RecordLock = RecordLock {
    start: 0x4000_0000,
    length: 512,
};

/// Of these, the SHARED range: whoever reads holds a part of it, and an exclusive lock is on all of it.
const SHARED_BYTES: RecordLock = RecordLock {
    start: 0x4000_0002,
    length: 510,
};

/// Where a lock keeps a writer out, the byte that only a writer holds first: readers hold parts of the others, and
/// in write-ahead log mode every open connection does. In the main file RESERVED and PENDING, and in the index of
/// a log its write lock (<https://www.sqlite.org/walformat.html#wal_locks>).
const WRITER_BYTES: [(&str, RecordLock); 5] = [
    ("", one_byte(0x4000_0001)),
    ("-shm", one_byte(120)),
    ("", one_byte(0x4000_0000)),
    (
        "-shm",
        RecordLock {
            start: 120,
            length: 8,
        },
    ),
    ("", LOCK_BYTES),
];

const fn one_byte(start: u64) -> RecordLock {
    RecordLock { start, length: 1 }
}

/// Who keeps a writer out of a database, by a lock on its main file or on the index of its log; none where nobody
/// does or nothing can be asked. Not while this process has it open, see [`host::lock_holder`].
pub fn lock_holder(database: &Path) -> Option<LockHolder> {
    let mut asked = WRITER_BYTES.iter();
    asked.find_map(|(suffix, bytes)| {
        let file = side_file(database, suffix);
        host::lock_holder(&file, *bytes).ok().flatten()
    })
}

/// Whether another process keeps readers out: a transaction for the moment of its commit, or, where
/// `locking_mode = EXCLUSIVE`, for as long as it has the database open. Then it keeps no index of a log either. Not
/// while this process has it open, see [`host::lock_holder`].
pub(crate) fn is_held_exclusively(database: &Path) -> bool {
    let holder = host::exclusive_lock_holder(database, SHARED_BYTES);
    matches!(holder, Ok(Some(_)))
}

/// A name as an SQL identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
