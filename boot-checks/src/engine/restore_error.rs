use std::io;
use std::path::PathBuf;

use super::backups::RUNS_MAX;
use super::swap::SwapError;
use crate::services::db::DbError;

/// Why something was not put back. Nothing of it was changed then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is no longer what the run left.
    #[error("{} changed since", .0.display())]
    Changed(PathBuf),
    /// Somebody wrote into it as it was being removed, and another file has its name by now.
    #[error("{} changed since, and is another file by now; what was written before that is in {}", path.display(), kept.display())]
    Followed {
        /// The file.
        path: PathBuf,
        /// Where what was written is.
        kept: PathBuf,
    },
    /// A link leads to another place than when the run changed it, or is new.
    #[error("{} changed since: it is {} by now, and was {}", path.display(), is.display(), was.display())]
    Moved {
        /// The path.
        path: PathBuf,
        /// Where it was, from the application's root.
        was: PathBuf,
        /// Where it is.
        is: PathBuf,
    },
    /// What the run left is not known: it was killed, or somebody wrote at the same time.
    #[error("what the run left of {} is not certain", .0.display())]
    Uncertain(PathBuf),
    /// The copy is not what was saved.
    #[error("the copy of {} is missing or damaged", .0.display())]
    Copy(PathBuf),
    /// The copy made room for those of later runs.
    #[error(
        "the copy of {} is no longer kept: those of the last {RUNS_MAX} runs are that changed something",
        .0.display()
    )]
    Pruned(PathBuf),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system lets nothing take the place of a mount point.
    #[error("{}", SwapError::MountPoint(.0.clone()))]
    MountPoint(PathBuf),
    /// Another process has the database open.
    #[error("{} is open in another process", .0.display())]
    InUse(PathBuf),
    /// The same, and it is known which.
    #[error("{} is open in {by}; end it, then try again", path.display())]
    Opened {
        /// The database.
        path: PathBuf,
        /// Who.
        by: String,
    },
    /// SQLite would make something else of the database, because of what lies beside it.
    #[error("{}: {reason}; a boot says what to do about it", path.display())]
    LeftBeside {
        /// The database.
        path: PathBuf,
        /// Why.
        reason: DbError,
    },
    /// Somebody uses the database, or SQLite cannot read it.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: DbError,
    },
}
