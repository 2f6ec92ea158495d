//! From what was typed to what it means: flags, environment, `.env` and `boot.toml` become one
//! [`BootConfig`]. Nothing below this module sees a raw string.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

/// Where a value came from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment of this process.
    Environment,
    /// The application's `.env`.
    EnvFile,
    /// `boot.toml`.
    ConfigFile,
    /// Built in.
    Default,
}

/// Where the SQLite database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseLocation {
    /// Absolute path of the main file; none for a database in memory.
    pub path: Option<PathBuf>,
    /// The URL as it may be shown: without passwords.
    pub display: String,
    /// The URL as the application spells it, for writing into `.env`.
    pub url: String,
}

/// Who brings the database's structure up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Migrations {
    /// Grace's own, embedded in the gate.
    BuiltIn,
    /// A folder of sqlx migrations: absolute.
    Folder(PathBuf),
    /// The application's own tool.
    External {
        /// Program and arguments that migrate.
        apply: Vec<String>,
        /// Program and arguments that succeed when nothing is pending.
        check: Option<Vec<String>>,
        /// How long either may take.
        timeout: Duration,
    },
    /// Nobody: the structure is only checked.
    None,
}

/// A table that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredTable {
    /// Its name.
    pub name: String,
    /// Columns that must be in it.
    pub columns: Vec<RequiredColumn>,
}

/// A column that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredColumn {
    /// Its name.
    pub name: String,
    /// Its declared type, where it matters; compared by SQLite's affinity.
    pub declared_type: Option<String>,
}

/// Records that must be readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredRecords {
    /// The table.
    pub table: String,
    /// The fields that are read.
    pub fields: Vec<String>,
    /// How many rows there must be at least.
    pub at_least: u64,
}

/// What the application will find in its environment: the process's variables over those of `.env`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, Sourced<String>>,
}

impl Environment {
    /// The value of a variable and where it came from.
    pub fn get(&self, name: &str) -> Option<&Sourced<String>> {
        self.variables.get(name)
    }
}
