use std::path::PathBuf;
use std::time::Duration;

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
