use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was typed, and the surroundings it was typed in. The caller takes the snapshot, so that
/// the same inputs always mean the same configuration.
#[derive(Clone, Default)]
pub struct Inputs {
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--database-url`.
    pub database_url: Option<String>,
    /// The environment of the process.
    pub variables: BTreeMap<String, String>,
    /// The current folder: absolute.
    pub current_dir: PathBuf,
}

impl Inputs {
    /// A variable of the process; one that is set to nothing counts as not set.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The path as seen from the current folder, absolute.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        join(&self.current_dir, path)
    }
}

/// `path` as seen from `base`, without `.` parts. `..` stays: what it means depends on links.
pub(super) fn join(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().collect()
}
