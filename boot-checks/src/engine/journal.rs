use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Touched;
use crate::host::files;

/// The journal: one line for each thing that was about to be done or was done, flushed to the disk
/// before the next thing begins. It holds names, lengths and fingerprints, never contents.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    run_id: String,
    is_whole: OnceLock<()>,
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

/// What the next line puts behind one that a kill left unfinished, so that it is not taken for damaged.
const UNFINISHED: &[u8] = b" (unfinished)";

impl Journal {
    /// The journal in the gate's own folder.
    pub fn new(state_folder: &Path, run_id: &str) -> Journal {
        Journal {
            path: state_folder.join("journal.jsonl"),
            run_id: run_id.to_owned(),
            is_whole: OnceLock::new(),
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
        // What a kill or a full disk left of a line must not spoil this one, nor look like a damaged one.
        if ends_within_a_line(&mut file)? {
            line.splice(0..0, UNFINISHED.iter().copied().chain([b'\n']));
        }
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The lines of the run, oldest first. What a kill left of a line is passed over: what it was about
    /// was not begun then.
    ///
    /// # Errors
    ///
    /// The system's reason, or the first damaged line: whatever it named would be taken for untouched. No
    /// journal is no line.
    pub fn read(&self) -> io::Result<Vec<JournalEntry>> {
        let mut entries = Vec::new();
        self.each(|entry| {
            if entry.run_id == self.run_id {
                entries.push(entry);
            }
        })?;
        Ok(entries)
    }

    /// The lines of every run, as [`Journal::read`].
    ///
    /// # Errors
    ///
    /// As [`Journal::read`].
    pub(super) fn read_all_runs(&self) -> io::Result<Vec<JournalEntry>> {
        let mut entries = Vec::new();
        self.each(|entry| entries.push(entry))?;
        Ok(entries)
    }

    /// Whether every line of every run can be read; looked at once.
    ///
    /// # Errors
    ///
    /// As [`Journal::read`].
    pub fn ensure_whole(&self) -> io::Result<()> {
        if self.is_whole.get().is_none() {
            self.each(drop)?;
            let _ = self.is_whole.set(());
        }
        Ok(())
    }

    fn each(&self, mut take: impl FnMut(JournalEntry)) -> io::Result<()> {
        for path in [self.path.with_extension("jsonl.1"), self.path.clone()] {
            let file = match files::open_regular(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(|error| cannot_read(&path, &error))?,
            };
            let mut lines = BufReader::new(file);
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                if lines.read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                match serde_json::from_slice(&line) {
                    Ok(entry) => take(entry),
                    Err(_) if is_unfinished(&line) => {}
                    Err(error) => return Err(damaged(&path, number, &error)),
                }
            }
        }
        Ok(())
    }

    /// The newest lines of the run that wrote the last one. Looks at the end of the journal only, so
    /// that it costs the same however long that is.
    ///
    /// # Errors
    ///
    /// The system's reason; no journal is no line.
    pub fn read_last_run(&self) -> io::Result<Vec<JournalEntry>> {
        let mut file = match files::open_regular(&self.path) {
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

/// Whether a line that cannot be understood was never written to its end.
fn is_unfinished(line: &[u8]) -> bool {
    line.strip_suffix(b"\n")
        .is_none_or(|line| line.ends_with(UNFINISHED))
}

fn cannot_read(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn damaged(path: &Path, number: usize, error: &serde_json::Error) -> io::Error {
    let (path, column) = (path.display(), error.column());
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "{path}, line {number} is damaged at column {column}, and what it says was changed is not known; \
             next: mend that line from a backup, or see in the reports what that run changed, move the line \
             into another file, and try again"
        ),
    )
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

    #[test]
    fn a_damaged_line_is_named_and_half_of_the_last_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), "run");
        let path = folder.path().join("journal.jsonl");
        for (text, line) in [
            ("{\"run_id\":\"ru", None),
            ("", None),
            ("{\"run_id\":\"ru\n", Some("line 1")),
            ("{\"run_id\" (unfinished)\n\0\0\n", Some("line 2")),
            ("{\"run_id\" (unfinished)\n\0\0", None),
        ] {
            std::fs::write(&path, text).unwrap();
            let said = journal.read().err().map(|error| error.to_string());
            match line {
                None => assert_eq!(said, None),
                Some(line) => assert!(
                    said.as_ref().is_some_and(|it| it.contains(line)),
                    "{said:?}"
                ),
            }
            let fresh = Journal::new(folder.path(), "run");
            assert_eq!(fresh.ensure_whole().is_err(), line.is_some());
        }
    }
}
