//! `DATABASE_URL` in every dialect that people have, down to one path.
//!
//! | typed | means |
//! |---|---|
//! | `sqlite:///x.db`, `sqlite:///./x.db`, `sqlite+aiosqlite:///x.db` | `x.db` under the root |
//! | `sqlite:////srv/x.db`, `sqlite:/srv/x.db` | `/srv/x.db` |
//! | `sqlite://x.db`, `sqlite:x.db`, `sqlite3:x.db` | `x.db` under the root |
//! | `file:x.db`, `sqlite:file:x.db?mode=ro`, `sqlite:///file:x.db` | `x.db` under the root |
//! | `file:/srv/x.db`, `file:///srv/x.db` | `/srv/x.db` |
//! | `sqlite:///C:/x.db` | `C:/x.db`, on Windows |
//! | `sqlite://`, `sqlite::memory:`, `file::memory:`, `?mode=memory` | a database in memory |
//!
//! Three slashes are ambiguous: SQLAlchemy reads a relative path behind them, sqlx and Java an
//! absolute one. SQLAlchemy, which the reference application uses, decides. Whoever means an
//! absolute path writes four slashes or one, which all of them understand.
//!
//! Escapes (`%20`) are decoded in the path. Options after `?` that change what the file means are
//! understood; others are the application's business, and are never shown, since some hold keys.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::database_engine::{engine_of, host_and_database};
use super::inputs::join;
use super::toml_reader::nearest;
use super::{ConfigError, Place};
use crate::host::links;

/// Where the SQLite database is.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseLocation {
    /// Absolute path of the main file, links followed; none for a database in memory.
    pub path: Option<PathBuf>,
    /// The same as it was spelled, perhaps the name of a link: for people, and for what is remembered.
    pub spelled: Option<PathBuf>,
    /// The URL as it may be shown: without passwords.
    pub display: String,
    /// The URL as the application spells it, for writing into `.env`.
    pub url: String,
    /// A driver, as `libsql` in `sqlite+libsql:`, that SQLAlchemy does not bring itself and a package may.
    pub foreign_driver: Option<String>,
}

impl DatabaseLocation {
    /// Follows a link to a file, because SQLite does: the log lies beside the file. So it is where the file
    /// is gone and its log or journal is still there. A link to anything else, or to nothing, stays what it
    /// is, for the checks to name.
    pub(super) fn follow_links(&mut self, root: &Path) {
        let Some(path) = &mut self.path else {
            return;
        };
        let file = links::behind_links(path, root);
        if file.is_file() || is_left_behind(&file) {
            *path = file;
        }
    }
}

/// Whether a main file is gone and something that SQLite kept beside it is not.
fn is_left_behind(file: &Path) -> bool {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let beside = ["-wal", "-journal", "-shm"].map(|suffix| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    !is_there(file) && beside.iter().any(|path| is_there(path))
}

/// Without the URL as spelled, which may hold a key.
impl fmt::Debug for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseLocation")
            .field("path", &self.path)
            .field("display", &self.display)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a database URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum UrlProblem {
    #[error("it has no scheme")]
    NoScheme,
    #[error("its scheme is unknown")]
    UnknownScheme { suggestion: Option<&'static str> },
    #[error("SQLAlchemy has no such driver")]
    UnknownDriver { suggestion: &'static str },
    #[error("it names a user or a host, which a SQLite database does not have")]
    NamesHost,
    #[error("it has a `%` without two hexadecimal digits behind it")]
    BadEscape,
    #[error("its escapes do not decode to UTF-8")]
    NotUtf8,
    #[error("its path contains NUL")]
    Nul,
    #[error("its path ends with a slash, which names a folder")]
    Folder,
    #[error("it names a Windows drive, which this system does not have")]
    Drive,
    #[error("its option `mode` is none of ro, rw, rwc and memory")]
    BadMode,
    #[error("its option `timeout` is not a number of seconds")]
    BadTimeout,
}

impl UrlProblem {
    pub(super) fn hint(self) -> String {
        match self {
            UrlProblem::NoScheme => {
                "put `sqlite:///` before a relative path, `sqlite:////` before `srv/x.db` for an absolute one".into()
            }
            UrlProblem::UnknownScheme { suggestion: Some(scheme) } => {
                format!("did you mean `{scheme}`?")
            }
            UrlProblem::UnknownDriver { suggestion } => {
                format!("did you mean `sqlite+{suggestion}`?")
            }
            UrlProblem::UnknownScheme { suggestion: None } | UrlProblem::NamesHost => {
                "write it as `sqlite:///./app.db`".into()
            }
            UrlProblem::BadEscape => "write a percent sign itself as %25".into(),
            UrlProblem::NotUtf8 | UrlProblem::Nul => "write the path in UTF-8, without NUL".into(),
            UrlProblem::Folder => "add the name of the database file".into(),
            UrlProblem::Drive => "give a path of this system, or one relative to the root".into(),
            UrlProblem::BadMode => "leave `mode` out, or write `mode=rwc`".into(),
            UrlProblem::BadTimeout => "write seconds, as in `timeout=5`".into(),
        }
    }
}

/// Schemes that are suggested for a misspelled one.
const SUGGESTED: [&str; 4] = ["sqlite", "sqlite3", "sqlite+aiosqlite", "sqlite+pysqlite"];

/// Drivers that SQLAlchemy brings for SQLite (`sqlalchemy/dialects/sqlite`). Packages may bring others.
const DRIVERS: [&str; 4] = ["pysqlite", "aiosqlite", "pysqlcipher", "pysqlite_numeric"];

/// Options that say how the file is opened. Their values are no secrets.
const SHOWN_OPTIONS: [&str; 6] = [
    "mode",
    "cache",
    "timeout",
    "vfs",
    "uri",
    "check_same_thread",
];

/// Options that make SQLite trust that nobody else writes.
const UNSAFE_OPTIONS: [(&str, &str, &str); 2] = [
    (
        "immutable",
        "immutable=1",
        "it shows stale rows: SQLite then ignores the WAL",
    ),
    (
        "nolock",
        "nolock=1",
        "it corrupts the file when anybody else writes",
    ),
];

/// Reads a database URL; relative paths start at `root`.
pub(super) fn parse(url: &str, root: &Path, at: &Place) -> Result<DatabaseLocation, ConfigError> {
    let problem = |problem| ConfigError::DatabaseUrl {
        at: at.clone(),
        problem,
    };
    let url = url.trim();
    let (scheme, rest) = split_scheme(url).ok_or_else(|| problem(UrlProblem::NoScheme))?;
    let dialect = scheme.split('+').next().unwrap_or(scheme);
    let is = |name: &str| dialect.eq_ignore_ascii_case(name);
    // A `file:` URI is read whole, so that its scheme is seen again below.
    let sqlite = if is("file") && scheme == dialect {
        url
    } else {
        rest
    };
    if !(is("sqlite") || is("sqlite3") || is("file")) {
        return Err(not_sqlite(scheme, dialect, rest, at));
    }
    let foreign_driver = foreign_driver(scheme).map_err(problem)?;
    // Asked of the whole text: a password may have a slash or a question mark in it.
    let after_slashes = sqlite.trim_start_matches('/');
    let is_uri = after_slashes.starts_with("file:");
    if !is_uri && sqlite.len() - after_slashes.len() == 2 && sqlite.contains('@') {
        return Err(problem(UrlProblem::NamesHost));
    }
    let fragment = if is_uri { sqlite.find('#') } else { None };
    let sqlite = &sqlite[..fragment.unwrap_or(sqlite.len())];
    let (shown_path, options) = sqlite.split_once('?').unwrap_or((sqlite, ""));
    let options = parse_options(options, at)?;
    let path = place(shown_path).map_err(problem)?;
    let path = match path {
        Some(path) if !options.memory => Some(resolve(&path, root).map_err(problem)?),
        _ => None,
    };
    let prefix = if is("file") {
        String::new()
    } else {
        format!("{scheme}:")
    };
    Ok(DatabaseLocation {
        spelled: path.clone(),
        path,
        display: format!("{prefix}{shown_path}{}", options.display),
        url: url.to_owned(),
        foreign_driver,
    })
}

/// The driver that a package would have to bring; what is nearly one of SQLAlchemy's own is mistyped.
fn foreign_driver(scheme: &str) -> Result<Option<String>, UrlProblem> {
    match scheme.split_once('+') {
        None => Ok(None),
        Some((_, driver)) if DRIVERS.contains(&driver) => Ok(None),
        Some((_, driver)) => match nearest(driver, &DRIVERS) {
            Some(suggestion) => Err(UrlProblem::UnknownDriver { suggestion }),
            None => Ok(Some(driver.to_owned())),
        },
    }
}

fn not_sqlite(scheme: &str, dialect: &str, rest: &str, at: &Place) -> ConfigError {
    match engine_of(dialect) {
        Some(engine) => {
            let (host, database) = host_and_database(rest);
            ConfigError::UnsupportedEngine {
                engine,
                host,
                database,
                at: at.clone(),
            }
        }
        None => ConfigError::DatabaseUrl {
            at: at.clone(),
            problem: UrlProblem::UnknownScheme {
                suggestion: nearest(scheme, &SUGGESTED),
            },
        },
    }
}

/// Scheme and rest; one letter alone is a Windows drive, no scheme.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let letters = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    (scheme.len() > 1 && scheme.chars().all(letters)).then_some((scheme, rest))
}

struct Options {
    memory: bool,
    /// With its `?`; empty where there is nothing to show.
    display: String,
}

fn parse_options(query: &str, at: &Place) -> Result<Options, ConfigError> {
    let problem = |problem| ConfigError::DatabaseUrl {
        at: at.clone(),
        problem,
    };
    let mut options = Options {
        memory: false,
        display: String::new(),
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).map_err(problem)?;
        let value = decode(value).map_err(problem)?;
        for (unsafe_name, option, why) in UNSAFE_OPTIONS {
            if name == unsafe_name && is_true(&value) {
                return Err(ConfigError::UnsafeDatabaseOption {
                    option,
                    at: at.clone(),
                    why,
                });
            }
        }
        match (name.as_str(), value.as_str()) {
            ("mode", "ro" | "rw" | "rwc") => {}
            ("mode", "memory") => options.memory = true,
            ("mode", _) => return Err(problem(UrlProblem::BadMode)),
            ("timeout", seconds) if !is_seconds(seconds) => {
                return Err(problem(UrlProblem::BadTimeout));
            }
            _ => {}
        }
        let separator = if options.display.is_empty() { '?' } else { '&' };
        options.display.push(separator);
        options
            .display
            .push_str(&match SHOWN_OPTIONS.contains(&name.as_str()) {
                true => format!("{name}={value}"),
                // Not even the name: a password with `?` in it ends up here.
                false => "***".to_owned(),
            });
    }
    Ok(options)
}

fn is_seconds(value: &str) -> bool {
    value
        .parse::<f64>()
        .is_ok_and(|seconds| seconds.is_finite() && seconds >= 0.0)
}

fn is_true(value: &str) -> bool {
    // What SQLite's own URI parser takes for true.
    ["1", "yes", "true", "on"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

/// The path as the dialect means it, decoded: relative, absolute or with a drive; none for a
/// database in memory.
fn place(path: &str) -> Result<Option<String>, UrlProblem> {
    let path = match path.strip_prefix("//") {
        None => path,
        // Two slashes are sqlx's form, three SQLAlchemy's; what remains is read the same way.
        Some(behind) => behind.strip_prefix('/').unwrap_or(behind),
    };
    let path = match path.strip_prefix("file:") {
        Some(uri) => file_uri_path(uri)?,
        None => path,
    };
    let path = decode(path)?;
    if path.is_empty() || path == ":memory:" {
        return Ok(None);
    }
    if path.contains('\0') {
        return Err(UrlProblem::Nul);
    }
    if path.ends_with('/') {
        return Err(UrlProblem::Folder);
    }
    Ok(Some(path))
}

/// The path of a `file:` URI by SQLite's rules (<https://www.sqlite.org/uri.html>): the authority
/// is empty or `localhost`, a fragment is ignored, a slash before a drive is dropped.
fn file_uri_path(uri: &str) -> Result<&str, UrlProblem> {
    let path = match uri.strip_prefix("//") {
        Some(behind) => {
            let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
            if !authority.is_empty() && authority != "localhost" {
                return Err(UrlProblem::NamesHost);
            }
            path
        }
        None => uri,
    };
    Ok(path
        .strip_prefix('/')
        .filter(|path| has_drive(path))
        .unwrap_or(path))
}

fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic())
}

fn resolve(path: &str, root: &Path) -> Result<PathBuf, UrlProblem> {
    if has_drive(path) && !cfg!(windows) {
        return Err(UrlProblem::Drive);
    }
    Ok(join(root, Path::new(path)))
}

fn decode(text: &str) -> Result<String, UrlProblem> {
    let bytes = text.as_bytes();
    let escape = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    // The crate leaves a wrong escape as it is, which would name another file than was meant.
    if !text.match_indices('%').all(|(at, _)| escape(at)) {
        return Err(UrlProblem::BadEscape);
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| UrlProblem::NotUtf8)
}

#[cfg(test)]
#[path = "database_url_tests.rs"]
mod tests;
