//! What tier 2 did on its own: it stands in every boot's report until a person has acknowledged it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::files;

/// Notices are few lines each; a file longer than this is not ours.
const BYTES_MAX: u64 = 1 << 20;

/// Something that was done without asking, and said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The run that did it.
    pub run_id: String,
    /// The playbook.
    pub playbook: String,
    /// What it did, in words for people.
    pub summary: String,
    /// Whether it came to its end, and was proven. It is false while it acts, and stays so where it
    /// was killed.
    pub is_done: bool,
}

/// The file of the notices, in the gate's own folder.
pub fn file(state_folder: &Path) -> PathBuf {
    state_folder.join("notices.json")
}

/// The notices that nobody has acknowledged yet, oldest first.
///
/// # Errors
///
/// When they cannot be read. No file is no notice.
pub fn read(state_folder: &Path) -> io::Result<Vec<Notice>> {
    match files::read_limited(&file(state_folder), BYTES_MAX) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
