//! A connection and what it can read.

#[path = "../src/services/db/connection.rs"]
mod connection;
#[path = "../src/services/db/error.rs"]
mod error;
/// Whoever builds opens no file that others have open.
mod live_index {
    #[derive(Debug)]
    pub(super) struct LiveIndex;

    impl LiveIndex {
        pub(super) fn join(_database: &std::path::Path) -> Option<LiveIndex> {
            None
        }

        pub(super) fn let_go(&self) {}
    }
}
#[path = "../src/services/db/one_transaction.rs"]
mod one_transaction;
#[path = "../src/services/db/side_files.rs"]
mod side_files;
#[path = "../src/services/db/structure.rs"]
mod structure;
#[path = "../src/services/db/structure_parts.rs"]
mod structure_parts;
#[path = "../src/services/db/table_text.rs"]
mod table_text;
#[path = "../src/services/db/tokens.rs"]
mod tokens;
#[path = "../src/services/db/unfit.rs"]
mod unfit;

pub use connection::Connection;
pub use error::DbError;
pub use one_transaction::stay_in_one_transaction;
pub use structure::Structure;
pub use unfit::{text_of, unfit};
