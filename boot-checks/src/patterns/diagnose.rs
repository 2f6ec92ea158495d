//! Reads logs of any size in one pass and bounded memory.
//!
//! Plain files are read at several places at once with positioned reads, not mapped: a file that is
//! cut short while it is read ends a mapping with a signal, and a mapping counts as memory. A read
//! into a buffer that stays in the cache costs little beside the search.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::diagnosis::{Diagnosis, Incident};
use super::matcher::{CONTEXT_BYTES, LOOKAHEAD_BYTES, Region, matcher};
use super::ownership::OwnPackages;
use super::source::{self, Source, SourceError};
use super::tally::Tally;
use crate::host::{self, shell};

/// Bytes searched at a time: large enough to make the context beside them cheap, small enough for
/// a processor's own cache.
const STEP_BYTES: usize = 512 * 1024;
/// Bytes of a file that one thread takes at a time.
const STRIPE_BYTES: u64 = 16 * 1024 * 1024;

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    /// The application's own packages.
    pub own_packages: OwnPackages,
    /// Threads for plain files. 0: as many as the machine has.
    pub threads: usize,
    /// Bytes searched at a time; the result does not depend on it.
    pub step_bytes: usize,
    /// Bytes of a file that one thread takes at a time; the result does not depend on it.
    pub stripe_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            own_packages: OwnPackages::default(),
            threads: 0,
            step_bytes: STEP_BYTES,
            stripe_bytes: STRIPE_BYTES,
        }
    }
}

/// A log that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DiagnoseError {
    /// It could not be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Reading failed on the way.
    #[error("reading `{}` failed at byte {offset}", .path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Bytes read before.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The state of a followed file could not be read or kept.
    #[error("the state file `{}` cannot be used", .path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
}

impl DiagnoseError {
    /// The next step for whoever gets this error.
    pub fn hint(&self) -> Option<String> {
        match self {
            DiagnoseError::Source(SourceError::Missing(_)) => Some(
                "check the path, or pipe the log in: COMMAND 2>&1 | cargo xtask diagnose -".into(),
            ),
            DiagnoseError::Source(SourceError::Folder(path)) => Some(format!(
                "name a file in it, or all of them: cat {}/*.log | cargo xtask diagnose -",
                shell::quoted_path(path)
            )),
            DiagnoseError::Source(SourceError::Compressed { path, format }) => Some(format!(
                "unpack it on the way: {format} -dc {} | cargo xtask diagnose -",
                shell::quoted_path(path)
            )),
            DiagnoseError::Source(SourceError::NotFollowable { .. }) => {
                Some("leave out --follow to read it once".into())
            }
            DiagnoseError::Source(SourceError::Read { .. }) | DiagnoseError::Read { .. } => {
                Some("check the permissions and the disk, then run it again".into())
            }
            DiagnoseError::State { .. } => Some(
                "name another place with --state; without a state the file is read anew".into(),
            ),
        }
    }
}

/// What this file shows.
///
/// # Errors
/// When it cannot be opened or read.
pub fn diagnose_path(path: &Path, options: &Options) -> Result<Diagnosis, DiagnoseError> {
    match Source::open(path)? {
        Source::Plain(file, bytes) => diagnose_plain(path, &file, bytes, options),
        Source::Stream(reader) => diagnose_stream(path, reader, options),
    }
}

/// What this stream shows; `name` stands for it in messages.
///
/// # Errors
/// When it cannot be read.
pub fn diagnose_reader(
    name: &Path,
    reader: impl Read + Send + 'static,
    options: &Options,
) -> Result<Diagnosis, DiagnoseError> {
    diagnose_stream(name, source::stream(name, reader)?, options)
}

/// What these bytes show, taken as plain text.
pub fn diagnose_bytes(bytes: &[u8], options: &Options) -> Diagnosis {
    let mut tally = Tally::default();
    let region = Region {
        bytes,
        own: 0..bytes.len(),
        offset: 0,
    };
    matcher().scan(&region, &mut tally);
    tally.finish(
        bytes.len() as u64,
        bytes.ends_with(b"\n"),
        &options.own_packages,
    )
}

/// Names the incidents in a short text, such as the message of an error.
pub fn recognise(text: &str, own_packages: &OwnPackages) -> Vec<Incident> {
    let options = Options {
        own_packages: own_packages.clone(),
        ..Options::default()
    };
    diagnose_bytes(text.as_bytes(), &options).incidents
}

fn diagnose_stream(
    path: &Path,
    mut reader: Box<dyn Read + Send>,
    options: &Options,
) -> Result<Diagnosis, DiagnoseError> {
    let mut tally = Tally::default();
    let (end, failure) = scan_stream(
        &mut reader,
        &Stretch::whole(),
        options.step_bytes,
        &mut tally,
    );
    let mut diagnosis = tally.finish(end.offset, end.newline, &options.own_packages);
    match failure {
        None => Ok(diagnosis),
        // A damaged archive still shows what was in it before the damage.
        Some(failure) if end.offset > 0 && is_damage(&failure) => {
            diagnosis.incomplete = Some(format!("damaged after {} bytes: {failure}", end.offset));
            Ok(diagnosis)
        }
        Some(source) => Err(DiagnoseError::Read {
            path: path.to_owned(),
            offset: end.offset,
            source,
        }),
    }
}

fn is_damage(failure: &io::Error) -> bool {
    matches!(
        failure.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    )
}

/// The stretch of the input that a scan reports on.
pub(super) struct Stretch {
    /// Where the reader starts.
    pub(super) from: u64,
    /// Where reporting starts.
    pub(super) own_start: u64,
    /// Where reporting ends.
    pub(super) own_end: u64,
}

impl Stretch {
    fn whole() -> Stretch {
        Stretch {
            from: 0,
            own_start: 0,
            own_end: u64::MAX,
        }
    }

    /// The stretch with the context that it needs before it.
    pub(super) fn between(own_start: u64, own_end: u64) -> Stretch {
        Stretch {
            from: own_start.saturating_sub(CONTEXT_BYTES as u64),
            own_start,
            own_end,
        }
    }
}

/// Where a scan ended.
pub(super) struct End {
    pub(super) offset: u64,
    pub(super) newline: bool,
}

/// Scans a reader through a window that slides over it. What could be read before a failure is
/// counted in any case.
pub(super) fn scan_stream(
    reader: &mut impl Read,
    stretch: &Stretch,
    step_bytes: usize,
    tally: &mut Tally,
) -> (End, Option<io::Error>) {
    let mut buffer = vec![0; CONTEXT_BYTES + step_bytes.max(1) + LOOKAHEAD_BYTES];
    let mut base = stretch.from;
    let mut length = 0;
    // Context is present from the first own byte on, so its place is within a usize of the base.
    let mut next = usize::try_from(stretch.own_start - stretch.from).unwrap_or(0);
    loop {
        let (got, failure) = fill(reader, &mut buffer[length..]);
        length += got;
        let ended = length < buffer.len();
        let own_limit = usize::try_from(stretch.own_end - base).unwrap_or(usize::MAX);
        let complete = if ended {
            length
        } else {
            length - LOOKAHEAD_BYTES
        };
        let own_end = complete.min(own_limit);
        if own_end > next {
            let region = Region {
                bytes: &buffer[..length],
                own: next..own_end,
                offset: base,
            };
            matcher().scan(&region, tally);
            next = own_end;
        }
        if ended || next >= own_limit {
            // A file that was cut short may end before its own part.
            let next = next.min(length);
            let end = End {
                offset: base + next as u64,
                newline: next > 0 && buffer[next - 1] == b'\n',
            };
            return (end, failure);
        }
        let keep = next.saturating_sub(CONTEXT_BYTES);
        buffer.copy_within(keep..length, 0);
        base += keep as u64;
        length -= keep;
        next -= keep;
    }
}

/// Reads until the buffer is full or the input ends. After a failure nothing more is read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// What one thread found in one stripe.
struct Found {
    stripe: u64,
    tally: Tally,
    end: End,
    failure: Option<io::Error>,
}

fn diagnose_plain(
    path: &Path,
    file: &File,
    bytes: u64,
    options: &Options,
) -> Result<Diagnosis, DiagnoseError> {
    let stripe_bytes = options.stripe_bytes.max(1);
    let stripes = bytes.div_ceil(stripe_bytes);
    let next = AtomicU64::new(0);
    let found = Mutex::new(Vec::new());
    let work = || loop {
        let stripe = next.fetch_add(1, Ordering::Relaxed);
        if stripe >= stripes {
            return;
        }
        let end = ((stripe + 1) * stripe_bytes).min(bytes);
        let stretch = Stretch::between(stripe * stripe_bytes, end);
        let mut reader = PlaceReader::new(file, stretch.from);
        let mut tally = Tally::default();
        let (end, failure) = scan_stream(&mut reader, &stretch, options.step_bytes, &mut tally);
        let found_here = Found {
            stripe,
            tally,
            end,
            failure,
        };
        found
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(found_here);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads(options.threads, stripes) {
            scope.spawn(work);
        }
        work();
    });
    let found = found
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    join(path, found, &options.own_packages)
}

/// As many threads as asked for, and never more than stripes.
fn threads(asked: usize, stripes: u64) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if asked == 0 { available() } else { asked };
    threads
        .min(usize::try_from(stripes).unwrap_or(threads))
        .max(1)
}

fn join(
    path: &Path,
    mut found: Vec<Found>,
    own_packages: &OwnPackages,
) -> Result<Diagnosis, DiagnoseError> {
    found.sort_by_key(|found| found.stripe);
    let mut tally = Tally::default();
    let mut end = End {
        offset: 0,
        newline: true,
    };
    for piece in found {
        if let Some(source) = piece.failure {
            return Err(DiagnoseError::Read {
                path: path.to_owned(),
                offset: piece.end.offset,
                source,
            });
        }
        // A file that was cut short while it was read ends before its later stripes.
        if piece.end.offset > end.offset {
            end = piece.end;
        }
        tally.merge(piece.tally);
    }
    Ok(tally.finish(end.offset, end.newline, own_packages))
}

/// Reads a shared file from a place of its own.
pub(super) struct PlaceReader<'a> {
    file: &'a File,
    at: u64,
}

impl PlaceReader<'_> {
    pub(super) fn new(file: &File, at: u64) -> PlaceReader<'_> {
        PlaceReader { file, at }
    }
}

impl Read for PlaceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = host::read_at(self.file, buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
