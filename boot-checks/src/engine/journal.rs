use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Touched;

/// The journal: one line for each thing that was about to be done or was done, flushed to the disk
/// before the next thing begins. It holds names, lengths and fingerprints, never contents.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    run_id: String,
}

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// About to be made.
    Begun,
    /// Made.
    Applied,
    /// The check passes.
    Verified,
    /// Could not be made.
    Failed,
    /// Everything is as it was.
    TakenBack,
    /// About to be taken back by a person, in a later run of the gate.
    Undoing,
    /// Taken back by a person.
    Undone,
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The run.
    pub run_id: String,
    /// The step that was healed.
    pub step: String,
    /// The playbook.
    pub playbook: String,
    /// Names exactly the plan.
    pub fingerprint: String,
    /// How far it has come.
    pub phase: Phase,
    /// The changes, without contents.
    #[serde(default)]
    pub changes: Value,
    /// What they touch.
    #[serde(default)]
    pub touched: Vec<Touched>,
}

/// Where the journal begins anew. A heal writes a few lines, so this is thousands of heals.
const BYTES_MAX: u64 = 8 << 20;

/// The end of the journal: the lines of some dozens of changes.
const END_BYTES: u64 = 64 << 10;

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
    pub fn write(&self, entry: &JournalEntry) -> io::Result<()> {
        self.begin_anew_when_long()?;
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.path)?;
        // What a kill or a full disk left of a line must not spoil this one.
        if ends_within_a_line(&mut file)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The lines of the run, oldest first. What is no line of a journal is passed over: a kill may
    /// have left half of one, and what it was about was not begun then.
    ///
    /// # Errors
    ///
    /// The system's reason; no journal is no line.
    pub fn read(&self) -> io::Result<Vec<JournalEntry>> {
        let mut entries = Vec::new();
        for path in [self.path.with_extension("jsonl.1"), self.path.clone()] {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            for line in BufReader::new(file).split(b'\n') {
                let entry = serde_json::from_slice::<JournalEntry>(&line?);
                entries.extend(entry.ok().filter(|entry| entry.run_id == self.run_id));
            }
        }
        Ok(entries)
    }

    /// The newest lines of the run that wrote the last one. Looks at the end of the journal only, so
    /// that it costs the same however long that is.
    ///
    /// # Errors
    ///
    /// The system's reason; no journal is no line.
    pub fn read_last_run(&self) -> io::Result<Vec<JournalEntry>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))?;
        let mut end = Vec::new();
        file.take(END_BYTES).read_to_end(&mut end)?;
        let lines = end.split(|byte| *byte == b'\n');
        let mut entries: Vec<JournalEntry> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        if let Some(run_id) = entries.last().map(|last| last.run_id.clone()) {
            entries.retain(|entry| entry.run_id == run_id);
        }
        Ok(entries)
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

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), "run");
        let entry = JournalEntry {
            run_id: "run".to_owned(),
            step: "a::b".to_owned(),
            playbook: "p".to_owned(),
            fingerprint: String::new(),
            phase: Phase::Begun,
            changes: Value::Null,
            touched: Vec::new(),
        };
        journal.write(&entry).unwrap();
        let path = folder.path().join("journal.jsonl");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &whole[..20]].concat()).unwrap();
        journal.write(&entry).unwrap();
        assert_eq!(journal.read().unwrap().len(), 2);
        let other = Journal::new(folder.path(), "other");
        assert!(other.read().unwrap().is_empty());
    }
}
