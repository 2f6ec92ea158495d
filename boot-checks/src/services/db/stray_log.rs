use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::log_frames::{FRAME_HEADER, Frames, HEADER, Salts, u32_at};
use super::log_index::{committed_in, index_of};
use super::log_tail::{FrameHeader, Tail, frame_headers};
use super::owed_sums::OwedSums;
use super::side_file;
use crate::host::{file_identity, read_exact_at};

/// Committed pages in a write-ahead log that SQLite would pass over, and then overwrite or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrayLog {
    /// Pages that its transactions wrote.
    pub pages: usize,
    /// Of those, how many are not in the main file.
    pub missing_pages: usize,
}

/// Looks at a log of which not even the first frame counts: SQLite takes it for an empty one. `page_size` is the
/// main file's; whether a log is looked at whose first frame bears its name, `is_left_behind` says.
///
/// Safety: SQLite is right where a checkpoint had moved everything into the main file and a kill came
/// while the log was begun anew; every committed page is in the main file then, byte for byte. Where
/// one is not, the log or the main file was put there by somebody, or the log's beginning is damaged, and opening them
/// would lose rows. A log that is another one, or begins otherwise, once it was looked at, is in use.
///
/// # Errors
///
/// When one of the files cannot be read.
pub fn stray_log(
    path: &Path,
    page_size: u64,
    is_left_behind: bool,
) -> io::Result<Option<StrayLog>> {
    let log_path = side_file(path, "-wal");
    let bytes = match std::fs::metadata(&log_path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // Opening a pipe would wait for ever.
        Ok(metadata) if !metadata.is_file() => return Err(ErrorKind::InvalidInput.into()),
        metadata => metadata?.len(),
    };
    if bytes <= (HEADER + FRAME_HEADER) as u64 {
        return Ok(None);
    }
    let log = File::open(&log_path)?;
    let begin = match Begin::of(&log) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        begin => begin?,
    };
    let stray = missing_of(path, &log, &begin, page_size, is_left_behind);
    match begin.is_still(&log, &log_path) {
        true => stray,
        false => Ok(None),
    }
}

/// What a log begins with.
#[derive(PartialEq, Eq)]
struct Begin {
    header: [u8; HEADER],
    /// Of the first frame.
    first: Salts,
}

impl Begin {
    fn of(log: &File) -> io::Result<Begin> {
        let (mut header, mut first) = ([0; HEADER], [0; 8]);
        read_exact_at(log, &mut header, 0)?;
        read_exact_at(log, &mut first, HEADER as u64 + 8)?;
        Ok(Begin { header, first })
    }

    /// Whether the log is the same one still. Where it was begun anew while it was looked at, whoever did that had
    /// moved it into the main file.
    fn is_still(&self, log: &File, path: &Path) -> bool {
        let is_in_its_place = log.metadata().is_ok_and(|it| {
            std::fs::metadata(path).is_ok_and(|there| file_identity(&it) == file_identity(&there))
        });
        is_in_its_place && Begin::of(log).is_ok_and(|now| now == *self)
    }
}

fn missing_of(
    path: &Path,
    log: &File,
    Begin { header, first }: &Begin,
    page_size: u64,
    is_left_behind: bool,
) -> io::Result<Option<StrayLog>> {
    let (log_path, first) = (side_file(path, "-wal"), *first);
    let generation: Salts = std::array::from_fn(|at| header[16 + at]);
    // Bare frames are of no transaction that is known to have ended.
    let mut generations: BTreeSet<Salts> =
        Some(first).filter(|it| *it != [0; 8]).into_iter().collect();
    let mut page_sizes = BTreeSet::from([u64::from(u32_at(header, 8))]);
    // While the log is in use its index counts, and not the checksums in it.
    let frames = Some(()).filter(|()| is_left_behind);
    match frames.map(|()| Frames::open(&log_path)).transpose()? {
        None if first == generation => return Ok(None),
        None => {}
        Some(None) => {
            generations.insert(generation);
            page_sizes.insert(page_size);
        }
        Some(Some(frames)) => {
            let index = index_of(path);
            let committed = index
                .as_ref()
                .and_then(|index| committed_in(index, frames.salts()));
            let tail = Tail::look(log, frames)?;
            let is_left_by_a_kill =
                tail.is_left_by_a_kill(committed.map(|it| it.frames), index.as_ref());
            let is_sqlites = match index.filter(|_| tail.held == 0) {
                Some(index) => OwedSums::proven(log, &index)?.is_some(),
                None => false,
            };
            if tail.held > 0 || is_sqlites || (first == generation && is_left_by_a_kill) {
                return Ok(None);
            }
            generations.extend((!is_left_by_a_kill).then_some(generation));
        }
    }
    let main = File::open(path)?;
    for page_size in page_sizes {
        if !(512..=65_536).contains(&page_size) {
            continue;
        }
        let frames = frame_headers(log, HEADER as u64, page_size)?;
        for generation in &generations {
            let pages = committed(&frames, *generation);
            let missing_pages = missing(&main, log, &pages, page_size)?;
            if missing_pages > 0 {
                let pages = pages.len();
                return Ok(Some(StrayLog {
                    pages,
                    missing_pages,
                }));
            }
        }
    }
    Ok(None)
}

/// Where each page stands that the transactions of this generation committed last, and where those bare ones of it
/// stand that a transaction of any may have.
fn committed(frames: &[FrameHeader], generation: Salts) -> BTreeMap<u32, Vec<u64>> {
    let (mut pages, mut open) = (BTreeMap::new(), Vec::new());
    let is_own = |frame: &&FrameHeader| frame.salts == generation && frame.page > 0;
    for frame in frames.iter().filter(is_own) {
        open.push((frame.page, vec![frame.at]));
        if frame.pages_after_commit > 0 {
            pages.extend(open.drain(..));
            pages.retain(|page, _| *page <= frame.pages_after_commit);
        }
    }
    for frame in frames.iter().filter(|frame| frame.is_bare) {
        pages.entry(frame.page).and_modify(|it| it.push(frame.at));
    }
    pages
}

/// How many of the pages are not in the main file, as they stand at one of their places.
pub(super) fn missing(
    main: &File,
    log: &File,
    pages: &BTreeMap<u32, Vec<u64>>,
    page_size: u64,
) -> io::Result<usize> {
    let mut missing = 0;
    let size = usize::try_from(page_size).unwrap_or_default();
    let (mut there, mut wanted) = (vec![0; size], vec![0; size]);
    for (page, places) in pages {
        let read = read_exact_at(main, &mut there, (u64::from(*page) - 1) * page_size);
        let mut is_there = false;
        for at in places {
            read_exact_at(log, &mut wanted, at + FRAME_HEADER as u64)?;
            is_there |= read.is_ok() && there == wanted;
        }
        missing += usize::from(!is_there);
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::services::db::{Access, Connection};

    /// A database and its log as a kill leaves them, with the log's salts changed.
    fn with_other_salts(folder: &Path, statements: &str) -> PathBuf {
        let (live, path) = (folder.join("live.db"), folder.join("a.db"));
        let mut connection = Connection::open(&live, Access::Create, Duration::ZERO).unwrap();
        let setup = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);
                     INSERT INTO t VALUES ('acknowledged');";
        connection.execute(setup).unwrap();
        connection.execute(statements).unwrap();
        std::fs::copy(&live, &path).unwrap();
        let mut log = std::fs::read(side_file(&live, "-wal")).unwrap();
        log[16] ^= 1;
        std::fs::write(side_file(&path, "-wal"), log).unwrap();
        connection.close();
        path
    }

    #[test]
    fn a_log_of_another_generation_is_stray_where_the_main_file_lacks_its_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = with_other_salts(folder.path(), "");
        let stray = stray_log(&path, 4096, true).unwrap().unwrap();
        assert!(stray.missing_pages > 0 && stray.missing_pages <= stray.pages);
    }

    #[test]
    fn what_a_checkpoint_has_moved_already_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = with_other_salts(folder.path(), "PRAGMA wal_checkpoint(FULL)");
        assert_eq!(stray_log(&path, 4096, true).unwrap(), None);
    }

    #[test]
    fn an_open_transaction_in_an_old_log_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = with_other_salts(
            folder.path(),
            "PRAGMA wal_checkpoint(FULL); PRAGMA cache_size = 1; BEGIN;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             INSERT INTO t SELECT zeroblob(900) FROM n",
        );
        assert_eq!(stray_log(&path, 4096, true).unwrap(), None);
    }

    /// As SQLite 3.40 writes them into a log in use, until a transaction ends.
    #[test]
    fn bare_pages_are_of_no_older_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = with_other_salts(folder.path(), "");
        let log = side_file(&path, "-wal");
        let mut bytes = std::fs::read(&log).unwrap();
        for frame in bytes[HEADER..].chunks_exact_mut(FRAME_HEADER + 4096) {
            frame[8..FRAME_HEADER].fill(0);
        }
        std::fs::write(log, bytes).unwrap();
        assert_eq!(stray_log(&path, 4096, false).unwrap(), None);
    }

    /// As SQLite 3.40 leaves them behind `ROLLBACK TO`: committed, and moved by a checkpoint.
    #[test]
    fn a_page_that_was_moved_from_a_bare_one_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        let setup = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);
                     INSERT INTO t VALUES ('older');";
        connection.execute(setup).unwrap();
        let log = side_file(&path, "-wal");
        let older = std::fs::metadata(&log).unwrap().len();
        connection.execute("UPDATE t SET x = 'newer'").unwrap();
        let mut bytes = std::fs::read(&log).unwrap();
        let begin = usize::try_from(older).unwrap();
        for frame in bytes[begin..].chunks_exact_mut(FRAME_HEADER + 4096) {
            frame[8..FRAME_HEADER].fill(0);
        }
        std::fs::write(&log, &bytes).unwrap();
        connection.execute("PRAGMA wal_checkpoint(FULL)").unwrap();
        // Begun anew.
        bytes[16] ^= 1;
        std::fs::write(&log, bytes).unwrap();
        for is_left_behind in [false, true] {
            assert_eq!(stray_log(&path, 4096, is_left_behind).unwrap(), None);
        }
        connection.close();
    }
}
