use std::io;
use std::path::PathBuf;

use crate::services::command::CommandError;
use crate::services::db::DbError;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is no longer what the plan was made for.
    #[error("{} changed since it was looked at", .0.display())]
    Changed(PathBuf),
    /// The database said no.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Somebody else held the lock for as long as the boot could wait.
    #[error("the database is locked by {holder}")]
    Locked {
        /// Who.
        holder: String,
        /// SQLite's reason.
        source: DbError,
    },
    /// The application's own tool gave no answer.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The application's own tool failed.
    #[error("`{command}` failed ({status}): {tail}")]
    ToolFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        tail: String,
    },
    /// The plan cannot be carried out for this application.
    #[error("{0}")]
    NotPossible(String),
}

/// Why a repair was not made, and whether its first changes were taken back.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: DoorError,
    /// Whether everything is as it was.
    pub taken_back: bool,
}
