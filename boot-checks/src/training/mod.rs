//! Boot records on disk and what is learnt from them.

mod history;
mod records;

pub use history::{FrequentIssue, History, Trend};
pub use records::{FOLDER, RecordError, Reservation, list, prune, read, reserve};
