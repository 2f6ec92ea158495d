use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

/// The journal: one line for each thing that was about to be done or was done, flushed to the disk
/// before the next thing begins. It holds names, lengths and fingerprints, never contents.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    run_id: String,
}

/// One line.
#[derive(Debug, Serialize)]
pub struct JournalEntry<'a> {
    /// The run.
    pub run_id: &'a str,
    /// The step that was healed.
    pub step: String,
    /// The playbook.
    pub playbook: &'a str,
    /// Names exactly the plan.
    pub fingerprint: &'a str,
    /// `begun`, `applied`, `verified`, `failed` or `taken-back`.
    pub phase: &'a str,
    /// The changes, without contents.
    pub changes: Value,
}

/// Where the journal begins anew. A heal writes a few lines, so this is thousands of heals.
const BYTES_MAX: u64 = 8 << 20;

impl Journal {
    /// The journal in the gate's own folder.
    pub fn new(state_folder: &Path, run_id: &str) -> Journal {
        Journal {
            path: state_folder.join("journal.jsonl"),
            run_id: run_id.to_owned(),
        }
    }

    /// The run that writes it.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Adds a line and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// The system's reason. What was about to be done must not be done then.
    pub fn write(&self, entry: &JournalEntry<'_>) -> io::Result<()> {
        self.begin_anew_when_long()?;
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The one before is kept, so that the newest runs are always there.
    fn begin_anew_when_long(&self) -> io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > BYTES_MAX => {
                std::fs::rename(&self.path, self.path.with_extension("jsonl.1"))
            }
            _ => Ok(()),
        }
    }
}
