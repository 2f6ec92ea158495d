//! Reads and parses files, on as many threads as there are cores.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ruff_python_ast::PythonVersion;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::Ranged;

use super::error::SourceError;
use super::facts::Facts;
use super::lower::lower;
use super::place::{Lines, Place};
use super::source::{DecodeError, decode};

/// Longest file that is parsed; longer ones are data, and are not judged.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Stack of a worker: the parser grows its own, but dropping a deep tree needs some too. Only what is used is paid for.
const STACK_BYTES: usize = 256 << 20;

/// A file that was read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) bytes: usize,
    pub(super) lines: usize,
    pub(super) facts: Result<Facts, Unreadable>,
}

/// Why a file has no facts.
#[derive(Clone, Debug)]
pub(super) enum Unreadable {
    /// Python refuses it.
    Syntax { message: String, place: Place },
    /// Python may understand it.
    Unknown(&'static str),
    /// It is there, and the system does not let it be read, for this reason: nor will it let Python.
    Closed(String),
}

/// Reads files in parallel; texts in `edited` take the place of what is on disk.
pub(super) fn read_all(
    root: &Path,
    minor: Option<u8>,
    paths: &[PathBuf],
    edited: &[(PathBuf, String)],
) -> Result<Vec<File>, SourceError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(paths.len()));
    let work = || {
        let mut own = Vec::new();
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = edited
                .iter()
                .find(|(edited, _)| edited == path)
                .map(|(_, text)| text.as_str());
            own.push(read(root, minor, path, text));
        }
        done.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .append(&mut own);
    };
    on_all_cores(&work)?;
    let mut files = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Runs the same work on every core and waits for it.
pub(super) fn on_all_cores(work: &(dyn Fn() + Sync)) -> Result<(), SourceError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
            worker
                .spawn_scoped(scope, work)
                .map_err(SourceError::Worker)?;
        }
        Ok(())
    })
}

fn read(root: &Path, minor: Option<u8>, path: &Path, edited: Option<&str>) -> File {
    let unreadable = |bytes, reason| File {
        path: path.to_owned(),
        bytes,
        lines: 0,
        facts: Err(Unreadable::Unknown(reason)),
    };
    if path
        .metadata()
        .is_ok_and(|meta| meta.len() > MAX_FILE_BYTES || !meta.is_file())
    {
        return unreadable(0, "too large, or no regular file");
    }
    let bytes = match edited {
        Some(text) => text.as_bytes().to_vec(),
        None => match std::fs::read(path) {
            Ok(bytes) => bytes,
            // A link to nothing is no module for Python either.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return unreadable(0, "a link to nothing");
            }
            Err(error) => {
                return File {
                    facts: Err(Unreadable::Closed(error.to_string())),
                    ..unreadable(0, "")
                };
            }
        },
    };
    let size = bytes.len();
    let text = match decode(&bytes) {
        Ok(text) => text,
        Err(DecodeError::Unknown { .. }) => return unreadable(size, "encoding is not known here"),
        Err(DecodeError::Refused { message, line }) => {
            let facts = Err(Unreadable::Syntax {
                message,
                place: Place { line, column: 1 },
            });
            return File {
                path: path.to_owned(),
                bytes: size,
                lines: 0,
                facts,
            };
        }
    };
    let lines = Lines::new(&text);
    let facts = parse(root, minor, path, &text, &lines);
    File {
        path: path.to_owned(),
        bytes: size,
        lines: lines.count(),
        facts,
    }
}

fn parse(
    root: &Path,
    minor: Option<u8>,
    path: &Path,
    text: &str,
    lines: &Lines<'_>,
) -> Result<Facts, Unreadable> {
    let version = minor.map_or(PythonVersion::latest(), |minor| {
        PythonVersion::from((3, minor))
    });
    let options = ParseOptions::from(Mode::Module).with_target_version(version);
    let parsed = parse_unchecked(text, options);
    let refused = |message: String, range: ruff_text_size::TextRange| {
        Err(Unreadable::Syntax {
            message,
            place: lines.place(range.start().to_u32()),
        })
    };
    if let Some(error) = parsed.errors().first() {
        return refused(error.error.to_string(), error.location);
    }
    // What an older Python refuses is an error only where the version is known.
    if minor.is_some()
        && let Some(error) = parsed.unsupported_syntax_errors().first()
    {
        return refused(error.to_string(), error.range());
    }
    let Some(module) = parsed.try_into_module() else {
        return Err(Unreadable::Unknown("no module"));
    };
    Ok(lower(root, path, lines, text, module.suite()))
}
