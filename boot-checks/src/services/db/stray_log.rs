use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::log_frames::u32_at;
use super::side_file;
use crate::host::read_exact_at;

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

/// The two numbers that name one generation of the log
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
type Salts = [u8; 8];

/// Looks at a log whose frames do not carry the salts of its header. SQLite takes such a log for an
/// empty one.
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
    let log = File::open(log)?;
    let mut header = [0; LOG_HEADER_BYTES as usize];
    read_exact_at(&log, &mut header, 0)?;
    let generation: Salts = std::array::from_fn(|at| header[16 + at]);
    let page_size = u64::from(u32_at(&header, 8));
    let (_, _, first) = frame(&log, LOG_HEADER_BYTES)?;
    if first == generation || !(512..=65_536).contains(&page_size) {
        return Ok(None);
    }
    let pages = committed(&log, bytes, page_size, first)?;
    let main = File::open(path)?;
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
