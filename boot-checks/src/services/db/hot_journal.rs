use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use super::foreign_log::{ForeignLog, LATER_MIN, changed_later, put_later};
use super::log_frames::u32_at;
use super::side_file;
use crate::host::{self, read_exact_at};

/// Why a rollback journal must not be played back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadJournal {
    /// Not all of it holds, so that half of a transaction would stay.
    Broken(String),
    /// It is another main file's.
    Foreign(ForeignLog),
}

const HEADER_BYTES: usize = 28;
const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// A number of records that says: up to the end of the file.
const UP_TO_THE_END: u32 = u32::MAX;

/// At least so fast is what the journal has counted written into the main file.
const SLOW_BYTES_PER_SECOND: u64 = 5 << 20;

/// Where a first page's change counter stands.
const COUNTER: usize = 24;

/// Looks whether a journal that a crash left is whole and the main file's own
/// (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>). Changes nothing, and must be asked before
/// SQLite opens either.
///
/// Safety: SQLite plays a journal back as far as it holds, and removes it. A page of the main file is written only
/// when its original is on the disk and counted in a header. So every counted record holds, and whatever is
/// behind them is in the main file still; where that is not so, a transaction would stay by half. A power cut
/// may come between the count and its records, before a page was written: then SQLite is right. The original of the
/// first page carries the change counter that the main file has, or had before this transaction: one with another
/// counter is another file, and so is one that came to be after the journal, or was changed longer after it than
/// writing what the journal counts takes.
///
/// # Errors
///
/// When one of the files cannot be read.
pub fn bad_journal(path: &Path, was_replaced: bool) -> io::Result<Option<BadJournal>> {
    let file = match host::files::open_regular(&side_file(path, "-journal")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let journal = Journal {
        bytes: file.metadata()?.len(),
        main: File::open(path)?,
        file,
    };
    let mut first_page = None;
    if let Some(reason) = journal.fault(&mut first_page)? {
        let written = journal.file.metadata()?.modified()?;
        let was_cut = host::system_start().is_some_and(|start| written < start);
        return Ok((!was_cut).then_some(BadJournal::Broken(reason)));
    }
    if let Some(original) = first_page {
        let mut counter = [0; 4];
        read_exact_at(&journal.main, &mut counter, COUNTER as u64)?;
        let (main, first) = (u32::from_be_bytes(counter), u32_at(&original, COUNTER));
        let last = first.wrapping_add(1);
        if main != first && main != last {
            let foreign = ForeignLog::Counter { main, first, last };
            return Ok(Some(BadJournal::Foreign(foreign)));
        }
    }
    let (main, file) = (journal.main.metadata()?, journal.file.metadata()?);
    let later = changed_later(&main, &file).filter(|later| {
        let writing = Duration::from_secs(journal.bytes.div_ceil(SLOW_BYTES_PER_SECOND));
        *later > LATER_MIN + writing
    });
    let later = later.map(|later| ForeignLog::PutLater { later });
    let foreign = later.or_else(|| put_later(&main, &file, was_replaced));
    Ok(foreign.map(BadJournal::Foreign))
}

struct Journal {
    file: File,
    bytes: u64,
    main: File,
}

/// What a header says of the records behind it.
struct Header {
    records: u32,
    nonce: u32,
    /// Pages of the database before the transaction.
    pages: u32,
    sector: u64,
    page: usize,
}

impl Journal {
    /// The first thing that does not hold. What it begins with is the original of the first page, where it has one.
    fn fault(&self, first_page: &mut Option<Vec<u8>>) -> io::Result<Option<String>> {
        let mut at = 0;
        let mut known = BTreeSet::new();
        loop {
            let header = match self.header(at)? {
                Ok(Some(header)) => header,
                Ok(None) => return Ok(None),
                Err(reason) => return Ok(Some(reason)),
            };
            let counted = match header.records {
                UP_TO_THE_END => u64::MAX,
                records => u64::from(records),
            };
            let mut place = at + header.sector;
            let mut number = 0;
            while let Some((page, contents)) = self.record(&header, place)? {
                if number < counted {
                    // A number is in no checksum; each page that there was has one original.
                    if page > header.pages || !known.insert(page) {
                        return Ok(Some(format!("it has page {page} where that cannot be")));
                    }
                    if page == 1 && first_page.is_none() {
                        *first_page = Some(contents);
                    }
                } else if !self.is_in_main(page, &contents)? {
                    return Ok(Some(format!("it counts {counted} pages and has more")));
                }
                number += 1;
                place += header.page as u64 + 8;
            }
            if number < counted && header.records != UP_TO_THE_END {
                return Ok(Some(format!("{number} of {counted} pages hold")));
            }
            if header.records == UP_TO_THE_END
                && self
                    .record(&header, place + header.page as u64 + 8)?
                    .is_some()
            {
                return Ok(Some(format!(
                    "the page behind the first {number} does not hold"
                )));
            }
            let end = at + header.sector + counted.min(number) * (header.page as u64 + 8);
            let next = end.next_multiple_of(header.sector);
            if header.records == 0 || next <= at || next + header.sector > self.bytes {
                return Ok(None);
            }
            at = next;
        }
    }

    /// None where there is none, or one of a transaction that is finished.
    fn header(&self, at: u64) -> io::Result<Result<Option<Header>, String>> {
        const SECTOR_MIN: u64 = 512;
        if at + SECTOR_MIN > self.bytes {
            return Ok(Ok(None));
        }
        let mut header = [0; HEADER_BYTES];
        read_exact_at(&self.file, &mut header, at)?;
        if header[..8] != MAGIC {
            let mut first = [0; HEADER_BYTES];
            read_exact_at(&self.file, &mut first, 0)?;
            // What lies behind the last header is what an earlier transaction left, or a header of this one.
            let is_none = at > 0 && header[16..] != first[16..];
            // Zero until what it counts is on the disk, and again once the transaction is over.
            let written = (0..8).take_while(|at| header[*at] == MAGIC[*at]).count();
            let is_finished = header[written..8].iter().all(|byte| *byte == 0);
            return Ok(match is_none || is_finished {
                true => Ok(None),
                false => Err("its header does not hold".to_owned()),
            });
        }
        let (sector, page) = (u32_at(&header, 20), u32_at(&header, 24));
        let is_size =
            |size: u32, least: u32| (least..=65_536).contains(&size) && size.is_power_of_two();
        // Only the first header says how large pages are.
        if !is_size(sector, 32) || !is_size(page, 512) {
            return Ok(Err("its header has sizes that there are not".to_owned()));
        }
        Ok(Ok(Some(Header {
            records: u32_at(&header, 8),
            nonce: u32_at(&header, 12),
            pages: u32_at(&header, 16),
            sector: u64::from(sector),
            page: page as usize,
        })))
    }

    /// A page's number and its original; none where it does not hold.
    fn record(&self, header: &Header, place: u64) -> io::Result<Option<(u32, Vec<u8>)>> {
        let mut record = vec![0; header.page + 8];
        match read_exact_at(&self.file, &mut record, place) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let page = u32_at(&record, 0);
        let sum = u32_at(&record, header.page + 4);
        let contents = record[4..header.page + 4].to_vec();
        let mut expected = header.nonce;
        let mut at = header.page.saturating_sub(200);
        while at > 0 {
            expected = expected.wrapping_add(u32::from(contents[at]));
            at = at.saturating_sub(200);
        }
        Ok((page != 0 && sum == expected).then_some((page, contents)))
    }

    fn is_in_main(&self, page: u32, contents: &[u8]) -> io::Result<bool> {
        let mut there = vec![0; contents.len()];
        let at = (u64::from(page) - 1) * contents.len() as u64;
        match read_exact_at(&self.main, &mut there, at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(true),
            read => read.map(|()| there == contents),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::services::db::{Access, Connection};

    /// Rows that were committed.
    const SUM: &str = "SELECT sum(x * i) FROM t";

    /// A database in the middle of a transaction that has written into it, as a kill leaves it.
    fn crashed(folder: &Path) -> PathBuf {
        let live = folder.join("live.db");
        let mut connection = Connection::open(&live, Access::Create, Duration::ZERO).unwrap();
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)";
        connection
            .execute(&format!(
                "PRAGMA page_size = 512; CREATE TABLE t (i INTEGER PRIMARY KEY, x, y);
                 INSERT INTO t {rows} SELECT i, 1, zeroblob(40) FROM n; PRAGMA cache_size = 2;
                 BEGIN IMMEDIATE; UPDATE t SET x = 2 WHERE i < 60; INSERT INTO t (x) SELECT x FROM t;"
            ))
            .unwrap();
        let path = folder.join("crashed.db");
        for suffix in ["", "-journal"] {
            std::fs::copy(side_file(&live, suffix), side_file(&path, suffix)).unwrap();
        }
        connection.close();
        path
    }

    fn sum(path: &Path) -> Result<crate::model::SqlValue, crate::services::db::DbError> {
        let mut connection = Connection::open(path, Access::ReadWrite, Duration::ZERO)?;
        let sum = connection.scalar(SUM);
        connection.close();
        sum
    }

    #[test]
    fn what_is_played_back_gives_what_was_committed_whatever_byte_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = crashed(folder.path());
        assert_eq!(bad_journal(&path, false).unwrap(), None);
        let journal = side_file(&path, "-journal");
        let files = [&path, &journal].map(|file| std::fs::read(file).unwrap());
        let committed = 400 * 401 / 2;
        assert_eq!(sum(&path), Ok(committed.into()));
        // What no checksum covers cannot be told: most bytes of a page, and the last of its number.
        let headers = (0..files[1].len()).step_by(512);
        let headers: Vec<usize> = headers
            .filter(|at| files[1][*at..].starts_with(&MAGIC))
            .collect();
        let of_record = [
            0,
            1,
            2,
            4 + 112,
            4 + 312,
            4 + 512,
            4 + 513,
            4 + 514,
            4 + 515,
        ];
        let records = headers
            .iter()
            .flat_map(|at| of_record.map(|byte| at + 512 + byte));
        let of_headers = headers
            .iter()
            .flat_map(|at| (0..16).map(move |byte| at + byte));
        let places = (0..HEADER_BYTES).chain(of_headers).chain(records);
        let mut found = 0;
        for at in places {
            let mut bytes = files[1].clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, &files[0]).unwrap();
            std::fs::write(&journal, bytes).unwrap();
            match bad_journal(&path, false).unwrap() {
                Some(_) => found += 1,
                None => assert_eq!(sum(&path), Ok(committed.into()), "byte {at}"),
            }
        }
        assert!(found > 10, "{found} found");
    }

    #[test]
    fn one_that_is_finished_or_was_never_begun_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = crashed(folder.path());
        let journal = side_file(&path, "-journal");
        let bytes = std::fs::read(&journal).unwrap();
        let finished = [&[0; HEADER_BYTES][..], &bytes[HEADER_BYTES..]].concat();
        for bytes in [&finished[..], &bytes[..256], b""] {
            std::fs::write(&journal, bytes).unwrap();
            assert_eq!(bad_journal(&path, false).unwrap(), None);
        }
    }

    #[test]
    fn of_an_older_main_file_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = crashed(folder.path());
        let mut main = std::fs::read(&path).unwrap();
        main[COUNTER + 3] ^= 0x40;
        std::fs::write(&path, &main).unwrap();
        let judged = bad_journal(&path, false).unwrap();
        let is_other = matches!(
            judged,
            Some(BadJournal::Foreign(ForeignLog::Counter { .. }))
        );
        assert!(is_other, "{judged:?}");
        main[COUNTER + 3] ^= 0x40;
        std::fs::write(&path, main).unwrap();
        let replaced = bad_journal(&path, true).unwrap();
        assert!(
            matches!(replaced, Some(BadJournal::Foreign(_))),
            "{replaced:?}"
        );
    }
}
