//! `boot.toml` as it was typed. Every key is optional:
//!
//! ```toml
//! name = "orders"                     # "grace" or no name: Grace's defaults stand under every key
//! port = 8000                         # 1 to 65535
//! env_file = ".env"                   # paths are relative to the application's root
//! required_secrets = ["SECRET_KEY", "DATABASE_URL"]
//! writable_folders = ["logs"]
//!
//! [database]
//! url = "sqlite:///./orders.db"
//!
//! [migrations]                        # exactly one of source, folder and command
//! source = "built-in"                 # Grace's own, or "none": the structure is only checked
//! folder = "migrations"               # sqlx migrations
//! command = ["alembic", "upgrade", "head"]
//! check = ["alembic", "current", "--check-heads"]   # beside command: succeeds when none is pending
//! timeout_seconds = 120               # beside command: 1 to 86400
//!
//! [tables]
//! orders = ["id", "total REAL"]       # columns, with a declared type where it matters
//!
//! [records.orders]
//! fields = ["id", "total"]
//! at_least = 1                        # rows; 0 where not given
//! ```
//!
//! `[python]` is described in its own file.

use std::time::Duration;

use super::raw_python::{self, RawPython};
use super::toml_reader::{Document, TableReader};
use super::{ConfigError, Place, RequiredColumn, RequiredRecords, RequiredTable};

const TOP_KEYS: &[&str] = &[
    "name",
    "port",
    "env_file",
    "required_secrets",
    "writable_folders",
    "database",
    "migrations",
    "tables",
    "records",
    "python",
];
const DATABASE_KEYS: &[&str] = &["url"];
const MIGRATIONS_KEYS: &[&str] = &["source", "folder", "command", "check", "timeout_seconds"];
const RECORDS_KEYS: &[&str] = &["fields", "at_least"];

const BUILT_IN: &str = "built-in";
const NONE: &str = "none";

/// How long a migration command may take where `timeout_seconds` is not given.
const DEFAULT_TIMEOUT_SECONDS: u64 = 120;
/// A day: what takes longer is no part of a boot.
const MAX_TIMEOUT_SECONDS: u64 = 86_400;

/// A value and the place it stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: Place,
}

/// `boot.toml` as it was typed: none where a key is not there.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub(super) name: Option<Located<String>>,
    pub(super) port: Option<u16>,
    pub(super) env_file: Option<Located<String>>,
    pub(super) required_secrets: Option<Vec<Located<String>>>,
    pub(super) writable_folders: Option<Vec<Located<String>>>,
    pub(super) database_url: Option<Located<String>>,
    pub(super) migrations: Option<RawMigrations>,
    pub(super) tables: Option<Vec<RequiredTable>>,
    pub(super) records: Option<Vec<RequiredRecords>>,
    pub(super) python: Option<RawPython>,
}

/// `[migrations]`, with its folder as typed.
#[derive(Debug)]
pub(super) enum RawMigrations {
    BuiltIn,
    Folder(Located<String>),
    Command {
        apply: Vec<String>,
        check: Option<Vec<String>>,
        timeout: Duration,
    },
    None,
}

impl RawConfig {
    /// Reads the text of `boot.toml`; `path` is for messages.
    pub(super) fn read(path: &std::path::Path, text: &str) -> Result<RawConfig, ConfigError> {
        let document = Document::new(path, text);
        let parsed = document.parse()?;
        let top = TableReader::top(&document, parsed.get_ref(), TOP_KEYS)?;
        let database = top.table("database", DATABASE_KEYS)?;
        Ok(RawConfig {
            name: top.filled_string("name")?,
            port: top
                .integer("port", 1..=u16::MAX.into(), PORT_RANGE)?
                .and_then(|port| port.try_into().ok()),
            env_file: top.filled_string("env_file")?,
            required_secrets: top.filled_strings("required_secrets")?,
            writable_folders: top.filled_strings("writable_folders")?,
            database_url: match &database {
                Some(database) => database.filled_string("url")?,
                None => None,
            },
            migrations: top
                .table("migrations", MIGRATIONS_KEYS)?
                .map(read_migrations)
                .transpose()?,
            tables: top.any_table("tables")?.map(read_tables).transpose()?,
            records: top.any_table("records")?.map(read_records).transpose()?,
            python: top
                .table("python", raw_python::KEYS)?
                .map(|table| raw_python::read(&table))
                .transpose()?,
        })
    }
}

pub(super) const PORT_RANGE: &str = "a port is a number from 1 to 65535";

fn read_migrations(table: TableReader<'_>) -> Result<RawMigrations, ConfigError> {
    let given: Vec<&'static str> = ["source", "folder", "command"]
        .into_iter()
        .filter(|key| table.has(key))
        .collect();
    let source = match given[..] {
        [] => return Err(ConfigError::NoMigrationSource { at: table.at() }),
        [source] => source,
        [other, key, ..] => {
            return Err(ConfigError::TwoMigrationSources {
                key,
                at: table.key_at(key),
                other,
            });
        }
    };
    if source == "command" {
        return read_command(&table);
    }
    for key in ["check", "timeout_seconds"] {
        if table.has(key) {
            return Err(ConfigError::NoMigrationCommand {
                key,
                at: table.key_at(key),
            });
        }
    }
    if let Some(folder) = table.filled_string("folder")? {
        return Ok(RawMigrations::Folder(folder));
    }
    match table.filled_string("source")? {
        Some(source) if source.value == BUILT_IN => Ok(RawMigrations::BuiltIn),
        Some(source) if source.value == NONE => Ok(RawMigrations::None),
        _ => Err(table.invalid("source", "the sources are \"built-in\" and \"none\"")),
    }
}

fn read_command(table: &TableReader<'_>) -> Result<RawMigrations, ConfigError> {
    const WHY: &str = "a command may take from 1 second to 86400";
    let timeout = table.integer("timeout_seconds", 1..=MAX_TIMEOUT_SECONDS, WHY)?;
    Ok(RawMigrations::Command {
        apply: table.command("command")?.unwrap_or_default(),
        check: table.command("check")?,
        timeout: Duration::from_secs(timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS)),
    })
}

fn read_tables(tables: TableReader<'_>) -> Result<Vec<RequiredTable>, ConfigError> {
    tables
        .keys()
        .into_iter()
        .map(|name| {
            let mut columns: Vec<RequiredColumn> = Vec::new();
            for declaration in tables.filled_strings(name)?.unwrap_or_default() {
                let column = RequiredColumn::parse(&declaration.value).ok_or_else(|| {
                    tables.invalid_at(name, &declaration.at, "a column is `name` or `name TYPE`")
                })?;
                // SQLite compares names of columns without regard to ASCII case.
                if columns
                    .iter()
                    .any(|known| known.name.eq_ignore_ascii_case(&column.name))
                {
                    return Err(tables.invalid_at(
                        name,
                        &declaration.at,
                        "the column is named twice",
                    ));
                }
                columns.push(column);
            }
            Ok(RequiredTable {
                name: name.to_owned(),
                columns,
            })
        })
        .collect()
}

fn read_records(records: TableReader<'_>) -> Result<Vec<RequiredRecords>, ConfigError> {
    records
        .keys()
        .into_iter()
        .map(|name| {
            let table = records.table(name, RECORDS_KEYS)?;
            let table = table.as_ref();
            let fields = table
                .map(|table| table.filled_strings("fields"))
                .transpose()?
                .flatten();
            let at_least = table
                .map(|table| {
                    table.integer(
                        "at_least",
                        0..=i64::MAX.unsigned_abs(),
                        "a count of rows is not negative",
                    )
                })
                .transpose()?
                .flatten();
            Ok(RequiredRecords {
                table: name.to_owned(),
                fields: fields
                    .unwrap_or_default()
                    .into_iter()
                    .map(|field| field.value)
                    .collect(),
                at_least: at_least.unwrap_or(0),
            })
        })
        .collect()
}
