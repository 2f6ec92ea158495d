//! Migrations: which there are, which a database has, and applying what is missing.

mod apply;
mod command;
mod set;
mod status;

pub use apply::{adopt, apply_pending, restamp};
pub(crate) use command::{NotBegun, RunningCommand, ensure_none_is_under_way};
pub use set::{MigrationSet, MigrationSetError};
pub use status::{Drift, MigrationRecord, MigrationStatus, foreign_tool};
