//! What stage 3 starts: database, migrations, trigger mesh, metrics, governance. Only this layer
//! knows sqlx.

pub mod command;
pub mod command_files;
pub mod db;
pub mod governance;
pub mod interpreter;
pub mod mesh;
pub mod metrics;
pub mod migrations;
pub mod notices;
mod seen;

pub use seen::SeenDatabases;
