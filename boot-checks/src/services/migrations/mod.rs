//! Migrations: which there are, which a database has, and applying what is missing.

mod apply;
mod beyond;
mod newly_broken;
mod seeds;
mod set;
mod status;

pub use apply::{Adopted, adopt, apply_pending, restamp};
pub use seeds::LackingRows;
pub use set::{MigrationSet, MigrationSetError, NotToBeRun};
pub use status::{Drift, MigrationRecord, MigrationStatus, foreign_tool};
