use std::path::PathBuf;

use super::{
    DatabaseLocation, Environment, Migrations, PythonConfig, RequiredRecords, RequiredTable,
    Sourced,
};

/// Everything the gate knows about the application that it guards.
#[derive(Clone, Debug, PartialEq)]
pub struct BootConfig {
    /// The application's name.
    pub application: String,
    /// The application's root: absolute.
    pub root: PathBuf,
    /// The `boot.toml` that was read, if there was one.
    pub config_file: Option<PathBuf>,
    /// The database.
    pub database: Sourced<DatabaseLocation>,
    /// Who brings the database's structure up to date.
    pub migrations: Migrations,
    /// Tables that must be there.
    pub tables: Vec<RequiredTable>,
    /// Records that the smoke tests read.
    pub records: Vec<RequiredRecords>,
    /// Names of environment variables that must be set.
    pub required_secrets: Vec<String>,
    /// The `.env` file: absolute; it need not exist.
    pub env_file: PathBuf,
    /// What the application will find in its environment.
    pub environment: Environment,
    /// Folders that the application writes to: absolute.
    pub writable_folders: Vec<PathBuf>,
    /// The port that the application listens on.
    pub port: Option<u16>,
    /// The application's Python sources, where it has any.
    pub python: Option<PythonConfig>,
}
