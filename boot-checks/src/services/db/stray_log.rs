use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::log_frames::{Frames, u32_at};
use super::side_file;
use crate::host::{self, read_exact_at};

/// Committed pages in a write-ahead log that SQLite would pass over, and then overwrite or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrayLog {
    /// Pages that its transactions wrote.
    pub pages: usize,
    /// Of those, how many are not in the main file.
    pub missing_pages: usize,
}

const LOG_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// Where a main file says how large its pages are.
const PAGE_SIZE_AT: u64 = 16;

/// The two numbers that name one generation of the log
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
type Salts = [u8; 8];

/// Looks at a log of which SQLite would take no frame: its frames do not carry the salts of its header, or one of
/// the two does not hold. SQLite takes such a log for an empty one.
///
/// Safety: SQLite is right where a checkpoint had moved everything into the main file and a kill came
/// while the log was begun anew; every committed page is in the main file then, byte for byte. Where
/// one is not, the log or the main file was put there by somebody, and opening them would lose rows.
///
/// # Errors
///
/// When one of the files cannot be read.
pub fn stray_log(path: &Path) -> io::Result<Option<StrayLog>> {
    let log = side_file(path, "-wal");
    let bytes = match std::fs::metadata(&log) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // Opening a pipe would wait for ever.
        Ok(metadata) if !metadata.is_file() => return Err(ErrorKind::InvalidInput.into()),
        metadata => metadata?.len(),
    };
    if bytes <= LOG_HEADER_BYTES + FRAME_HEADER_BYTES {
        return Ok(None);
    }
    if Frames::open(&log)?.is_some_and(|mut frames| frames.next_frame().is_some()) {
        return Ok(None);
    }
    let log = File::open(log)?;
    let main = File::open(path)?;
    // The log's own word for it may be what does not hold.
    let mut of_main = [0; 2];
    read_exact_at(&main, &mut of_main, PAGE_SIZE_AT)?;
    let page_size = match u16::from_be_bytes(of_main) {
        1 => 65_536,
        size => u64::from(size),
    };
    if !(512..=65_536).contains(&page_size) {
        return Ok(None);
    }
    let (_, _, first) = frame(&log, LOG_HEADER_BYTES)?;
    let pages = committed(&log, bytes, page_size, first)?;
    let mut missing_pages = 0;
    let (mut there, mut wanted) = (Vec::new(), Vec::new());
    for (page, at) in &pages {
        there.resize(page_size as usize, 0);
        wanted.resize(page_size as usize, 0);
        read_exact_at(&log, &mut wanted, at + FRAME_HEADER_BYTES)?;
        let read = read_exact_at(&main, &mut there, (u64::from(*page) - 1) * page_size);
        missing_pages += usize::from(read.is_err() || there != wanted);
    }
    Ok((missing_pages > 0).then_some(StrayLog {
        pages: pages.len(),
        missing_pages,
    }))
}

/// Looks at a log of which SQLite would take the beginning: whether one that it would pass over follows a frame
/// that does not hold, and ends a transaction.
///
/// Safety: a killed process leaves what it had written, so that behind a frame that is written by half there is
/// none of the same generation that ends a transaction. A power cut may leave one, since a log is flushed only where
/// it is moved into the main file: where the machine was started since, SQLite is right.
///
/// # Errors
///
/// When the log cannot be read.
pub fn broken_log(path: &Path) -> io::Result<Option<String>> {
    let path = side_file(path, "-wal");
    let Some(mut frames) = Frames::open(&path)? else {
        return Ok(None);
    };
    let step = FRAME_HEADER_BYTES + frames.page_size() as u64;
    let mut held: u64 = 0;
    while frames.next_frame().is_some() {
        held += 1;
    }
    let log = File::open(&path)?;
    let metadata = log.metadata()?;
    let written = metadata.modified()?;
    if held == 0 || host::system_start().is_some_and(|start| written < start) {
        return Ok(None);
    }
    let (_, _, own) = frame(&log, LOG_HEADER_BYTES)?;
    let mut at = LOG_HEADER_BYTES + (held + 1) * step;
    while at + step <= metadata.len() {
        let (page, pages_after_commit, salts) = frame(&log, at)?;
        if salts != own || page == 0 {
            break;
        }
        if pages_after_commit > 0 {
            return Ok(Some(format!(
                "what follows its first {held} pages does not"
            )));
        }
        at += step;
    }
    Ok(None)
}

/// Where each page stands that the transactions of this generation committed last.
fn committed(
    log: &File,
    bytes: u64,
    page_size: u64,
    generation: Salts,
) -> io::Result<BTreeMap<u32, u64>> {
    let step = FRAME_HEADER_BYTES + page_size;
    let (mut pages, mut open) = (BTreeMap::new(), Vec::new());
    let mut at = LOG_HEADER_BYTES;
    while at + step <= bytes {
        let (page, pages_after_commit, salts) = frame(log, at)?;
        if salts != generation || page == 0 {
            break;
        }
        open.push((page, at));
        if pages_after_commit > 0 {
            pages.extend(open.drain(..));
            pages.retain(|page, _| *page <= pages_after_commit);
        }
        at += step;
    }
    Ok(pages)
}

/// A frame's page, the pages of the database where it ends a transaction, and its salts.
fn frame(log: &File, at: u64) -> io::Result<(u32, u32, Salts)> {
    let mut header = [0; FRAME_HEADER_BYTES as usize];
    read_exact_at(log, &mut header, at)?;
    let salts = std::array::from_fn(|byte| header[8 + byte]);
    Ok((u32_at(&header, 0), u32_at(&header, 4), salts))
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
    fn what_is_replayed_is_all_that_was_committed_whatever_byte_is_another() {
        const HEADER_OF_FRAME: usize = FRAME_HEADER_BYTES as usize;
        let folder = tempfile::tempdir().unwrap();
        let (live, path) = (folder.path().join("live.db"), folder.path().join("a.db"));
        let mut connection = Connection::open(&live, Access::Create, Duration::ZERO).unwrap();
        let setup = "PRAGMA page_size = 512; PRAGMA journal_mode = WAL;
                     PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)";
        connection.execute(setup).unwrap();
        for row in 0..12 {
            let insert = format!("INSERT INTO t VALUES ({row}), (zeroblob(300))");
            connection.execute(&insert).unwrap();
        }
        let files = ["", "-wal"].map(|suffix| std::fs::read(side_file(&live, suffix)).unwrap());
        connection.close();
        let count = |path: &Path| {
            let mut connection = Connection::open(path, Access::ReadWrite, Duration::ZERO).unwrap();
            let count = connection.scalar("SELECT count(*) FROM t");
            connection.close();
            count
        };
        // A last transaction of which a byte is missing is one that was never written to its end.
        let last = files[1].len() - 3 * (HEADER_OF_FRAME + 512);
        let mut found = 0;
        for at in (0..32).chain((32..last).step_by(53)) {
            let mut log = files[1].clone();
            log[at] ^= 0x55;
            std::fs::write(&path, &files[0]).unwrap();
            std::fs::write(side_file(&path, "-wal"), log).unwrap();
            let _ = std::fs::remove_file(side_file(&path, "-shm"));
            let is_bad =
                stray_log(&path).unwrap().is_some() || broken_log(&path).unwrap().is_some();
            found += usize::from(is_bad);
            assert!(is_bad || count(&path) == Ok(24.into()), "byte {at}");
        }
        assert!(found > 30, "{found} found");
    }

    #[test]
    fn a_log_of_another_generation_is_stray_where_the_main_file_lacks_its_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = with_other_salts(folder.path(), "");
        let stray = stray_log(&path).unwrap().unwrap();
        assert!(stray.missing_pages > 0 && stray.missing_pages <= stray.pages);
    }

    #[test]
    fn what_a_checkpoint_has_moved_already_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = with_other_salts(folder.path(), "PRAGMA wal_checkpoint(FULL)");
        assert_eq!(stray_log(&path).unwrap(), None);
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
        assert_eq!(stray_log(&path).unwrap(), None);
    }
}
