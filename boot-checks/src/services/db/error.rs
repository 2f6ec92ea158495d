use std::error::Error as _;
use std::path::PathBuf;

use sqlx::Error;

/// Why SQLite could not do something, by its primary result code
/// (<https://www.sqlite.org/rescode.html>). Never judged by the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// 5, 6: somebody else holds a lock. Never a sign of damage.
    #[error("database is locked (SQLite code {code})")]
    Locked {
        /// Extended code.
        code: i32,
    },
    /// 11: the file is damaged.
    #[error("database is corrupt: {message} (SQLite code {code})")]
    Corrupt {
        /// Extended code.
        code: i32,
        /// SQLite's words.
        message: String,
    },
    /// 26: the file is no database.
    #[error("file is not a database (SQLite code 26)")]
    NotADatabase,
    /// 14: the file, or the folder's journal, cannot be opened.
    #[error("database cannot be opened: {message} (SQLite code {code})")]
    CannotOpen {
        /// Extended code.
        code: i32,
        /// SQLite's words.
        message: String,
    },
    /// 8: writing is not allowed.
    #[error("database is read-only (SQLite code {code})")]
    ReadOnly {
        /// Extended code.
        code: i32,
    },
    /// 13: the disk is full.
    #[error("disk is full (SQLite code 13)")]
    Full,
    /// 10: the system could not read or write. 15: the index of the write-ahead log could not be made,
    /// of which SQLite convinces itself for ten seconds.
    #[error("disk I/O error (SQLite code {code})")]
    Io {
        /// Extended code.
        code: i32,
    },
    /// The main file is empty, and what lies beside it is not: SQLite is not asked.
    #[error("the main file is empty, and {} is not; opening it would lose what that holds", log.display())]
    LogAlone {
        /// What lies beside it.
        log: PathBuf,
    },
    /// What lies beside the main file is no file: SQLite is not asked.
    #[error("{} is no file", file.display())]
    SideFile {
        /// What lies beside it.
        file: PathBuf,
    },
    /// What is there is no longer what a change was planned for. It was refused before its first statement.
    #[error("the database changed since it was looked at")]
    Changed,
    /// Any other: a fault in a statement or in its use.
    #[error("{message}")]
    Other {
        /// Extended code, where SQLite gave one.
        code: Option<i32>,
        /// SQLite's words, or sqlx's.
        message: String,
    },
}

impl DbError {
    /// Whether waiting may help.
    pub fn is_locked(&self) -> bool {
        matches!(self, DbError::Locked { .. })
    }

    /// Whether every further question would end the same way, and perhaps only after SQLite's own
    /// long retries.
    pub fn is_lasting(&self) -> bool {
        match self {
            DbError::Corrupt { .. }
            | DbError::NotADatabase
            | DbError::CannotOpen { .. }
            | DbError::Full
            | DbError::Io { .. }
            | DbError::LogAlone { .. }
            | DbError::SideFile { .. } => true,
            DbError::Locked { .. }
            | DbError::ReadOnly { .. }
            | DbError::Changed
            | DbError::Other { .. } => false,
        }
    }

    /// 1: SQLite cannot make sense of the statement. Where that is fixed, it is the schema that names something
    /// which this connection lacks.
    pub(super) fn is_mistake(&self) -> bool {
        matches!(self, DbError::Other { code: Some(code), .. } if code & 0xff == 1)
    }

    /// 776: what a crash left has to be rolled back first, and the connection may not write.
    pub(crate) fn wants_rollback(&self) -> bool {
        matches!(self, DbError::ReadOnly { code: 776 })
    }

    /// An error of our own making.
    pub fn other(message: impl Into<String>) -> DbError {
        DbError::Other {
            code: None,
            message: message.into(),
        }
    }

    fn from_code(code: i32, message: String) -> DbError {
        match code & 0xff {
            5 | 6 => DbError::Locked { code },
            8 => DbError::ReadOnly { code },
            10 | 15 => DbError::Io { code },
            11 => DbError::Corrupt { code, message },
            13 => DbError::Full,
            14 => DbError::CannotOpen { code, message },
            26 => DbError::NotADatabase,
            _ => DbError::Other {
                code: Some(code),
                message,
            },
        }
    }
}

impl From<Error> for DbError {
    fn from(error: Error) -> DbError {
        if let Error::Database(database) = &error {
            let code = database.code().and_then(|code| code.parse().ok());
            let message = database.message().to_owned();
            return match code {
                Some(code) => DbError::from_code(code, message),
                None => DbError::other(message),
            };
        }
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        DbError::other(message)
    }
}

impl From<sqlx::migrate::MigrateError> for DbError {
    fn from(error: sqlx::migrate::MigrateError) -> DbError {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::Execute(error) => error.into(),
            MigrateError::ExecuteMigration(error, version) => match DbError::from(error) {
                DbError::Other { code, message } => DbError::Other {
                    code,
                    message: format!("migration {version}: {message}"),
                },
                other => other,
            },
            other => DbError::other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_keep_their_class() {
        let class = |code| DbError::from_code(code, String::new());
        for code in [5, 6, 261, 262, 517] {
            assert!(class(code).is_locked(), "{code}");
        }
        for code in [11, 267, 779] {
            assert!(matches!(class(code), DbError::Corrupt { .. }), "{code}");
        }
        assert!(matches!(class(776), DbError::ReadOnly { .. }));
        assert!(matches!(class(4618), DbError::Io { .. }));
        assert!(matches!(class(15), DbError::Io { .. }));
        assert!(matches!(class(1), DbError::Other { .. }));
    }
}
