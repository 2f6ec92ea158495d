use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::Path;

use super::log_frames::Frames;
use super::log_index::index_of;
use super::owed_sums::{frames_in_use, frames_left};
use super::side_file;
use crate::host::{read_at, read_exact_at};

/// What a write-ahead log holds for certain.
#[derive(Debug, Default)]
pub(crate) struct CommittedLog {
    pub(super) page_size: usize,
    /// Pages of the database after the last commit.
    pub(super) pages: u32,
    /// Where the newest committed content of a page stands in the log.
    places: BTreeMap<u32, u64>,
}

impl CommittedLog {
    /// Reads the log of a copy up to its last commit; none where it holds none.
    pub(super) fn read(copy: &Path) -> io::Result<Option<CommittedLog>> {
        let log = File::open(side_file(copy, "-wal"))?;
        let frames = frames_left(&log, index_of(copy).as_ref())?;
        Ok(frames.and_then(CommittedLog::of))
    }

    fn of(mut frames: Frames) -> Option<CommittedLog> {
        let mut log = CommittedLog {
            page_size: frames.page_size(),
            ..CommittedLog::default()
        };
        let mut open = Vec::new();
        while let Some(frame) = frames.next_frame() {
            open.push((frame.page, frame.place));
            if frame.pages_after_commit > 0 {
                log.pages = frame.pages_after_commit;
                log.places.extend(open.drain(..));
            }
        }
        (log.pages > 0).then_some(log)
    }

    /// Pages of the database that the log does not hold.
    pub(super) fn missing(&self) -> Vec<RangeInclusive<u32>> {
        let mut missing = Vec::new();
        let mut next = 1;
        for page in self.places.range(1..=self.pages).map(|(page, _)| *page) {
            if page > next {
                missing.push(next..=page - 1);
            }
            next = page + 1;
        }
        if next <= self.pages {
            missing.push(next..=self.pages);
        }
        missing
    }

    /// Writes every committed page to its place in a copy of the main file.
    pub(super) fn apply(&self, log: &Path, image: &mut File) -> io::Result<()> {
        let log = File::open(log)?;
        let mut page = vec![0; self.page_size];
        for (number, place) in self.places.range(1..=self.pages) {
            read_exact_at(&log, &mut page, *place)?;
            image.seek(SeekFrom::Start(
                u64::from(number - 1) * self.page_size as u64,
            ))?;
            image.write_all(&page)?;
        }
        image.set_len(u64::from(self.pages) * self.page_size as u64)
    }
}

/// Hands over the bytes of a main file as they are once its log is in it, in their order: the same whether nothing
/// of the log was moved yet, a part of it, or all and the log is gone. `index` is the log's.
///
/// # Errors
///
/// When one of the files cannot be read.
pub(crate) fn each_folded(
    main: &File,
    log: Option<&File>,
    index: Option<&File>,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let logged = match log {
        Some(log) => frames_in_use(log, index)?.and_then(CommittedLog::of),
        None => None,
    };
    let (Some(log), Some(logged)) = (log, logged) else {
        return each_chunk(main, take);
    };
    let mut page = vec![0; logged.page_size];
    for number in 1..=logged.pages {
        match logged.places.get(&number) {
            Some(place) => read_exact_at(log, &mut page, *place)?,
            None => {
                let at = u64::from(number - 1) * logged.page_size as u64;
                let read = read_as_far(main, &mut page, at)?;
                // As the file reads once something behind it is written.
                page[read..].fill(0);
            }
        }
        take(&page);
    }
    Ok(())
}

fn each_chunk(file: &File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut chunk = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        match read_as_far(file, &mut chunk, at)? {
            0 => return Ok(()),
            read => {
                take(&chunk[..read]);
                at += read as u64;
            }
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_as_far(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at(file, &mut buffer[filled..], at + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::services::db::{Access, Connection, side_file};

    fn folded(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        let log = File::open(side_file(path, "-wal")).ok();
        let main = File::open(path).unwrap();
        let index = index_of(path);
        let take = |chunk: &[u8]| bytes.extend(chunk);
        each_folded(&main, log.as_ref(), index.as_ref(), take).unwrap();
        bytes
    }

    fn open(path: &Path) -> Connection {
        Connection::open(path, Access::Create, Duration::ZERO).unwrap()
    }

    fn copied(live: &Path, name: &str) -> PathBuf {
        let path = live.with_file_name(name);
        for suffix in ["", "-wal"] {
            std::fs::copy(side_file(live, suffix), side_file(&path, suffix)).unwrap();
        }
        path
    }

    /// Rows that made it longer, rows that made it shorter, and pages that no transaction wrote.
    #[test]
    fn what_sqlite_folds_is_what_is_told_before_and_at_every_page_of_it() {
        for last in [
            "INSERT INTO t SELECT zeroblob(900) FROM t",
            "DELETE FROM t WHERE rowid > 9; VACUUM",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let live = folder.path().join("live.db");
            let mut connection = open(&live);
            connection
                .execute(
                    "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE t (x);
                     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
                     INSERT INTO t SELECT zeroblob(300) FROM n;
                     PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0",
                )
                .unwrap();
            connection.execute(last).unwrap();
            let told = folded(&live);
            let done = copied(&live, "done.db");
            open(&done).close();
            let mut sqlite = open(&done);
            sqlite
                .query("PRAGMA wal_checkpoint(TRUNCATE)", &[])
                .unwrap();
            sqlite.close();
            let done = std::fs::read(done).unwrap();
            assert!(told == done, "{last}");
            // A checkpoint that a kill ended behind each page.
            let half = copied(&live, "half.db");
            connection.close();
            for pages in 0..=done.len() / 512 {
                let mut bytes = std::fs::read(&half).unwrap();
                let moved = pages * 512;
                bytes.resize(bytes.len().max(moved), 0);
                bytes[..moved].copy_from_slice(&done[..moved]);
                std::fs::write(&half, bytes).unwrap();
                assert!(folded(&half) == done, "{last}: {pages}");
            }
        }
    }

    /// As the file reads once SQLite has written something behind it.
    #[test]
    fn what_neither_of_them_has_is_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live.db");
        let mut connection = open(&live);
        let setup = "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE t (x);
                     INSERT INTO t VALUES (zeroblob(3000)); PRAGMA wal_checkpoint(TRUNCATE);
                     CREATE TABLE u (x)";
        connection.execute(setup).unwrap();
        let cut = copied(&live, "cut.db");
        connection.close();
        let main = std::fs::read(&cut).unwrap();
        std::fs::write(&cut, &main[..2 * 512 + 100]).unwrap();
        let told = folded(&cut);
        assert!(told.len() > main.len() && told[..512] != main[..512]);
        assert_eq!(told[2 * 512..2 * 512 + 100], main[2 * 512..2 * 512 + 100]);
        assert!(
            told[2 * 512 + 100..main.len()]
                .iter()
                .all(|byte| *byte == 0)
        );
    }

    #[test]
    fn a_log_without_a_commit_adds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, vec![7; 100_000]).unwrap();
        for log in [Vec::new(), vec![1; 40]] {
            std::fs::write(side_file(&path, "-wal"), log).unwrap();
            assert!(folded(&path) == vec![7; 100_000]);
        }
    }
}
