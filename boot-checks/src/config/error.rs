use std::path::PathBuf;

use super::database_url::UrlProblem;
use super::{Place, env_names, text_file};

/// Why the configuration cannot be used: one variant per situation. The message reads "what:
/// which (where): why", and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields are what the message says they are")]
pub enum ConfigError {
    /// The application's root is not there.
    #[error("missing root: {} ({at}): there is no such folder", root.display())]
    RootMissing { root: PathBuf, at: Place },

    /// The application's root is something else than a folder.
    #[error("root is not a folder: {} ({at}): it is a file", root.display())]
    RootNotAFolder { root: PathBuf, at: Place },

    /// A configuration file that was named is not there.
    #[error("missing file: {} ({at}): there is no such file", path.display())]
    FileMissing { path: PathBuf, at: Place },

    /// A folder, a pipe or a device stands where a file is expected.
    #[error("not a file: {} ({at}): it is {is}", path.display())]
    NotAFile {
        path: PathBuf,
        at: Place,
        is: &'static str,
    },

    /// A file or folder cannot be read.
    #[error("unreadable: {} ({at}): {why}", path.display())]
    Unreadable {
        path: PathBuf,
        at: Place,
        why: String,
    },

    /// A file is larger than any configuration is.
    #[error("file too large: {} ({at}): over {} bytes", path.display(), text_file::MAX_FILE_BYTES)]
    FileTooLarge { path: PathBuf, at: Place },

    /// A file is not UTF-8.
    #[error("not UTF-8: {0}:{line}: the line has a byte that is not UTF-8", path.display())]
    NotUtf8 { path: PathBuf, line: usize },

    /// `boot.toml` is not TOML.
    #[error("invalid TOML: {at}: {why}")]
    TomlSyntax { at: Place, why: String },

    /// A key that means nothing here.
    #[error("unknown key: `{key}` ({at}): {table} has no such key")]
    UnknownKey {
        key: String,
        at: Place,
        /// `boot.toml`, or `[database]` and the like.
        table: Box<str>,
        /// The known key that is nearest in spelling, if one is near.
        suggestion: Option<&'static str>,
        known: &'static [&'static str],
    },

    /// A value of another type than its key has.
    #[error("wrong type: `{key}` ({at}): expected {expected}, found {found}")]
    WrongType {
        key: String,
        at: Place,
        expected: &'static str,
        found: &'static str,
    },

    /// A value that its key or variable cannot have.
    #[error("invalid value: `{key}` ({at}): {why}")]
    InvalidValue {
        key: String,
        at: Place,
        why: &'static str,
    },

    /// Two sources of migrations.
    #[error("contradicting keys: `migrations.{key}` ({at}): `migrations.{other}` is given too")]
    TwoMigrationSources {
        key: &'static str,
        at: Place,
        other: &'static str,
    },

    /// `[migrations]` without a source of migrations.
    #[error("missing key: `[migrations]` ({at}): it names no source of migrations")]
    NoMigrationSource { at: Place },

    /// A key of an external command without the command.
    #[error("missing key: `migrations.{key}` ({at}): it stands beside a command only")]
    NoMigrationCommand { key: &'static str, at: Place },

    /// A command without a program.
    #[error("empty command: `{key}` ({at}): its first item must name a program")]
    EmptyCommand { key: String, at: Place },

    /// The folder of migrations is not there, or no folder.
    #[error("missing folder: {} ({at}): there is no such folder of migrations", folder.display())]
    MigrationsFolderMissing { folder: PathBuf, at: Place },

    /// A line of `.env` that cannot be understood.
    #[error("invalid line: {0}:{line}: neither NAME=value nor a comment", path.display())]
    EnvLine { path: PathBuf, line: usize },

    /// No database is named, and there is no default for this application.
    #[error(
        "no database: application `{application}` ({}): neither {} nor `[database] url` is set",
        config_file.display(), env_names::DATABASE_URL
    )]
    NoDatabase {
        application: String,
        config_file: PathBuf,
    },

    /// The database URL cannot be understood.
    #[error("invalid database URL: {at}: {problem}")]
    DatabaseUrl { at: Place, problem: UrlProblem },

    /// An option of the database URL that the gate will not open a database with.
    #[error("unsafe database option: `{option}` ({at}): {why}")]
    UnsafeDatabaseOption {
        option: &'static str,
        at: Place,
        why: &'static str,
    },

    /// A database of an engine that the gate does not know how to look into.
    #[error("unsupported database engine: {engine}{} ({at}): only SQLite is supported yet", named(database.as_deref(), host.as_deref()))]
    UnsupportedEngine {
        engine: &'static str,
        /// None where it cannot be told apart from a password for sure.
        host: Option<String>,
        /// None where it is not given or cannot be told apart from a password for sure.
        database: Option<String>,
        at: Place,
    },
}

fn named(database: Option<&str>, host: Option<&str>) -> String {
    let database = database.map_or_else(String::new, |name| format!(" database `{name}`"));
    let host = host.map_or_else(String::new, |host| format!(" on `{host}`"));
    database + &host
}

impl ConfigError {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            ConfigError::RootMissing { .. } | ConfigError::RootNotAFolder { .. } => {
                "name the application's folder with --root or BOOT_ROOT".into()
            }
            ConfigError::FileMissing { .. } => {
                "name an existing file, or leave it out: without boot.toml Grace's defaults hold"
                    .into()
            }
            ConfigError::NotAFile { .. } => "move it away, or name another file".into(),
            ConfigError::Unreadable { .. } => {
                "let the user that runs the boot read it, or name another path".into()
            }
            ConfigError::FileTooLarge { .. } => "check that this is the file that was meant".into(),
            ConfigError::NotUtf8 { .. } => "save the file as UTF-8".into(),
            ConfigError::TomlSyntax { .. } => "correct the line; the syntax is TOML 1.1".into(),
            ConfigError::UnknownKey {
                suggestion, known, ..
            } => unknown_key_hint(*suggestion, known),
            ConfigError::WrongType { expected, .. } => format!("write {expected}"),
            ConfigError::InvalidValue { .. } => "correct the value, or take the key out".into(),
            ConfigError::TwoMigrationSources { .. } => "keep one of the two".into(),
            ConfigError::NoMigrationSource { .. } => {
                "give exactly one of `source`, `folder` and `command`".into()
            }
            ConfigError::NoMigrationCommand { .. } => {
                "add `command = [\"program\", \"argument\"]`, or take the key out".into()
            }
            ConfigError::EmptyCommand { .. } => {
                "write program and arguments, as in [\"alembic\", \"upgrade\", \"head\"]".into()
            }
            ConfigError::MigrationsFolderMissing { .. } => {
                "create the folder, or name the one that holds <VERSION>_<NAME>.sql".into()
            }
            ConfigError::EnvLine { .. } => {
                "put the value in single quotes, and close every quote".into()
            }
            ConfigError::NoDatabase { .. } => {
                "set DATABASE_URL, or write `url = \"sqlite:///./app.db\"` under `[database]`"
                    .into()
            }
            ConfigError::DatabaseUrl { problem, .. } => problem.hint(),
            ConfigError::UnsafeDatabaseOption { .. } => "take the option out of the URL".into(),
            ConfigError::UnsupportedEngine { .. } => {
                "point the gate at a SQLite database, or start without it".into()
            }
        }
    }
}

fn unknown_key_hint(suggestion: Option<&str>, known: &[&str]) -> String {
    match suggestion {
        Some(suggestion) => format!("did you mean `{suggestion}`?"),
        None => format!("known keys: {}", known.join(", ")),
    }
}
