//! `--report FORMAT:PATH`.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use boot_checks::engine::Sink;
use boot_checks::host::files::{Durability, write_atomic};
use boot_checks::model::{BootReport, Event};
use boot_checks::report::Format;

use crate::boot::render;

/// A report in a file.
#[derive(Clone, Debug)]
pub(crate) struct FileReport {
    format: Format,
    path: PathBuf,
}

impl FromStr for FileReport {
    type Err = String;

    fn from_str(text: &str) -> Result<FileReport, String> {
        let (format, path) = text.split_once(':').ok_or("expected FORMAT:PATH")?;
        if path.is_empty() {
            return Err("expected FORMAT:PATH, and the path is empty".to_owned());
        }
        let format = Format::from_str(format).map_err(|error| error.to_string())?;
        let path = PathBuf::from(path);
        may_be_replaced(&path).map_err(|error| error.to_string())?;
        Ok(FileReport { format, path })
    }
}

/// Writes a report into its file when the boot ends.
pub(crate) struct FileSink {
    report: FileReport,
    failure: Option<String>,
}

impl FileSink {
    pub(crate) fn new(report: &FileReport) -> FileSink {
        FileSink {
            report: report.clone(),
            failure: None,
        }
    }
}

impl Sink for FileSink {
    fn event(&mut self, event: &Event, report: &BootReport) {
        if !matches!(event, Event::BootFinished { .. }) {
            return;
        }
        let FileReport { format, path } = &self.report;
        if let Err(error) = write_report(path, render(*format, report).as_bytes()) {
            self.failure = Some(format!("cannot write {}: {error}", path.display()));
        }
    }

    fn is_evidence(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }
}

/// Whether a report may have this name: an application's file is not replaced by one for a slip of the keyboard.
fn may_be_replaced(path: &Path) -> io::Result<()> {
    const BYTES: u64 = 4096;
    let refused = |why: &str| {
        let words = format!("{} {why}; name another file", path.display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, words))
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if ["-wal", "-shm", "-journal"]
        .iter()
        .any(|side| name.ends_with(side))
    {
        return refused("is a name that SQLite gives to what it keeps beside a database");
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(()),
    }
    let mut begin = Vec::new();
    std::fs::File::open(path)?
        .take(BYTES)
        .read_to_end(&mut begin)?;
    let begin = String::from_utf8_lossy(&begin);
    let is_report = ["====", "<?xml", "# HELP", "# TYPE"]
        .iter()
        .any(|it| begin.starts_with(it))
        || (begin.starts_with('{') && begin.contains("\"run_id\""));
    match is_report || begin.is_empty() {
        true => Ok(()),
        false => refused("is there, and no report"),
    }
}

/// Whole or not at all; but what is no regular file, such as `/dev/stderr`, is written to and not
/// replaced.
fn write_report(path: &Path, contents: &[u8]) -> io::Result<()> {
    may_be_replaced(path)?;
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => std::fs::write(path, contents),
        _ => write_atomic(path, contents, Durability::Synced, None),
    }
}
