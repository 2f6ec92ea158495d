use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::foreign_log::{COUNTER, ForeignLog, outside, put_there};
use super::journal::{BrokenJournal, Journal, Original, Originals};
use super::log_frames::u32_at;
use super::side_file;
use crate::host::read_exact_at;

/// What speaks against a rollback journal that a crash left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadJournal {
    /// Not all of it can be rolled back.
    Broken(BrokenJournal),
    /// It is another main file's.
    Foreign(ForeignLog),
}

/// Where a first page counts the pages of its database, and which change counter that count is for
/// (<https://www.sqlite.org/fileformat2.html#in_header_database_size>).
const COUNT: usize = 28;
const COUNT_IS_FOR: usize = 92;

/// Looks whether a journal that a crash left can be rolled back whole, and is the main file's own. Changes nothing,
/// and must be asked before SQLite opens either.
///
/// Safety: half of a rollback is half of a transaction, and one into another main file is a mixture. So
///
/// - every page that the journal's headers count has to hold;
/// - a transaction raises the change counter of the first page by one, when it ends, and never makes the file
///   shorter before the journal is gone;
/// - a page is written over only after the journal was flushed: those that were not flushed yet are in the main
///   file as they are in the journal, byte for byte;
/// - SQLite never makes a main file anew: none that came to be after the journal was written, or took another's place
///   since the last boot (`was_replaced`), is the journal's own, except where a rollback would change no page.
///
/// What none of them sees: an older file that was written over the one that was there, beside the journal of a
/// transaction that had not come to the first page and of which every page was flushed.
///
/// # Errors
///
/// When one of the files cannot be read.
pub fn bad_journal(path: &Path, was_replaced: Option<bool>) -> io::Result<Option<BadJournal>> {
    let journal = side_file(path, "-journal");
    let originals = match Journal::read(&journal)? {
        Journal::Finished => return Ok(None),
        Journal::Broken(broken) => return Ok(Some(BadJournal::Broken(broken))),
        Journal::Whole(originals) => originals,
    };
    let both = Both {
        path,
        main: File::open(path)?,
        journal: File::open(journal)?,
        originals,
    };
    if let Some(lacks) = both.miscounted()? {
        let pages = both.originals.pages.len();
        return Ok(Some(BadJournal::Broken(BrokenJournal { pages, lacks })));
    }
    Ok(both.foreign(was_replaced)?.map(BadJournal::Foreign))
}

struct Both<'a> {
    path: &'a Path,
    main: File,
    journal: File,
    originals: Originals,
}

impl Both<'_> {
    /// Rolling back cuts the file to the count of its pages: fewer than the first page knows of would be lost.
    fn miscounted(&self) -> io::Result<Option<&'static str>> {
        let mut first = vec![0; self.originals.page_size];
        let is_there = match self.originals.pages.get(&1) {
            Some(original) => {
                read_exact_at(&self.journal, &mut first, original.place).map(|()| true)?
            }
            None => is_read(read_exact_at(&self.main, &mut first, 0))?,
        };
        let is_valid = u32_at(&first, COUNTER) == u32_at(&first, COUNT_IS_FOR);
        let lost = is_there && is_valid && u32_at(&first, COUNT) > self.originals.count;
        Ok(lost.then_some("the count of the database's pages"))
    }

    fn foreign(&self, was_replaced: Option<bool>) -> io::Result<Option<ForeignLog>> {
        if let Some(foreign) = self.counter()? {
            return Ok(Some(foreign));
        }
        let of_main = self.main.metadata()?;
        let pages = of_main.len().div_ceil(self.originals.page_size as u64);
        if pages < u64::from(self.originals.count) {
            return Ok(Some(ForeignLog::Shorter {
                pages,
                expected: self.originals.count,
            }));
        }
        let mut has_all = true;
        for (page, original) in &self.originals.pages {
            let is_same = self.is_same(*page, original)?;
            has_all &= is_same;
            if original.is_pending && !is_same {
                return Ok(Some(ForeignLog::Page { page: *page }));
            }
        }
        let foreign = put_there(self.path, &of_main, &self.journal.metadata()?, was_replaced);
        Ok(foreign.filter(|_| !has_all))
    }

    fn counter(&self) -> io::Result<Option<ForeignLog>> {
        let Some(original) = self.originals.pages.get(&1) else {
            return Ok(None);
        };
        let mut counter = [0; 4];
        read_exact_at(&self.journal, &mut counter, original.place + COUNTER as u64)?;
        let after = u32::from_be_bytes(counter).wrapping_add(1);
        Ok(outside(&self.main, (after, after)))
    }

    fn is_same(&self, page: u32, original: &Original) -> io::Result<bool> {
        let size = self.originals.page_size;
        let (mut there, mut before) = (vec![0; size], vec![0; size]);
        read_exact_at(&self.journal, &mut before, original.place)?;
        let at = (u64::from(page) - 1) * size as u64;
        Ok(is_read(read_exact_at(&self.main, &mut there, at))? && there == before)
    }
}

/// Whether it is there at all.
fn is_read(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::services::db::{Access, Connection, integrity_check};

    const ROWS: &str = "SELECT group_concat(x || ' ' || length(y)) FROM t";

    fn open(path: &Path) -> Connection {
        Connection::open(path, Access::Create, Duration::ZERO).unwrap()
    }

    /// What a process leaves that is killed in a transaction which outgrew its cache; and an older main file.
    struct Killed {
        folder: tempfile::TempDir,
        committed: String,
        older: Vec<u8>,
        main: Vec<u8>,
        journal: Vec<u8>,
    }

    impl Killed {
        fn new(setup: &str, transaction: &str) -> Killed {
            let folder = tempfile::tempdir().unwrap();
            let live = folder.path().join("live.db");
            let mut connection = open(&live);
            let rows =
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)";
            let begin = format!(
                "PRAGMA page_size = 512; PRAGMA journal_mode = DELETE; {setup};
                 CREATE TABLE t (x, y); {rows} INSERT INTO t SELECT i, zeroblob(99) FROM n"
            );
            connection.execute(&begin).unwrap();
            let older = std::fs::read(&live).unwrap();
            connection
                .execute("UPDATE t SET x = x || ' day'; DELETE FROM t WHERE rowid = 7")
                .unwrap();
            let committed = format!("{:?}", connection.query(ROWS, &[]).unwrap());
            connection
                .execute(&format!("PRAGMA cache_size = 1; BEGIN; {transaction}"))
                .unwrap();
            connection.query("SELECT 1", &[]).unwrap();
            let read = |suffix| std::fs::read(side_file(&live, suffix)).unwrap();
            Killed {
                committed,
                older,
                main: read(""),
                journal: read("-journal"),
                folder,
            }
        }

        fn put(&self, main: &[u8], journal: &[u8]) -> PathBuf {
            let path = self.folder.path().join("a.db");
            std::fs::write(&path, main).unwrap();
            std::fs::write(side_file(&path, "-journal"), journal).unwrap();
            path
        }

        fn judge(&self, main: &[u8], journal: &[u8]) -> Option<BadJournal> {
            bad_journal(&self.put(main, journal), None).unwrap()
        }

        /// Whether SQLite makes the committed state of it, or what it makes is seen to be damaged.
        fn is_rolled_back_or_seen(&self) -> bool {
            let mut connection = open(&self.folder.path().join("a.db"));
            let rows = connection.query(ROWS, &[]).map(|rows| format!("{rows:?}"));
            let is_sound =
                integrity_check(&mut connection).is_ok_and(|seen| seen.is_sound_where_seen());
            connection.close();
            rows == Ok(self.committed.clone()) || !is_sound
        }
    }

    fn killed() -> Vec<Killed> {
        let update = "UPDATE t SET x = x || ' half' WHERE rowid > 4 AND rowid < 33";
        let all = "UPDATE t SET x = 'all', y = zeroblob(40)";
        let pages = "CREATE TABLE u (x); INSERT INTO u SELECT zeroblob(900) FROM t; DELETE FROM t";
        let mut killed = Vec::new();
        for setup in [
            "PRAGMA synchronous = FULL",
            "PRAGMA synchronous = OFF",
            "PRAGMA journal_mode = PERSIST; CREATE TABLE before (x); INSERT INTO before VALUES (1);
             DROP TABLE before",
        ] {
            for transaction in [update, all, pages] {
                killed.push(Killed::new(setup, transaction));
            }
        }
        killed
    }

    #[test]
    fn what_a_killed_writer_leaves_is_rolled_back() {
        for killed in killed() {
            assert_eq!(killed.judge(&killed.main, &killed.journal), None);
            assert!(killed.is_rolled_back_or_seen());
            // So is what ends within any record that is not flushed yet, and what was not begun.
            assert_eq!(killed.judge(&killed.main, &[]), None);
        }
    }

    #[test]
    fn one_changed_byte_anywhere_makes_no_half_of_a_transaction() {
        let mut refused = 0;
        for killed in killed() {
            let sizes = [20, 24].map(|at| u32_at(&killed.journal, at) as usize);
            assert_eq!(sizes, [SECTOR; 2]);
            for at in 0..killed.journal.len() {
                // Every byte of the headers, and of the records what is in their checksum: that a page's bytes
                // were changed elsewhere cannot be seen.
                let is_header = is_in_header(&killed.journal, at);
                if !is_header && !is_summed(&killed.journal, at) {
                    continue;
                }
                for mask in [0x01, 0xff] {
                    let mut journal = killed.journal.clone();
                    journal[at] ^= mask;
                    // What turns a live header into one that is over is told by nothing.
                    if at % SECTOR == 0 && journal[at] == 0 {
                        continue;
                    }
                    if killed.judge(&killed.main, &journal).is_some() {
                        refused += 1;
                        continue;
                    }
                    assert!(
                        killed.is_rolled_back_or_seen(),
                        "byte {at}, mask {mask}: {:?} {:?}",
                        &killed.journal[..28],
                        Journal::read(&killed.folder.path().join("a.db-journal"))
                    );
                }
            }
        }
        assert!(refused > 300, "{refused}");
    }

    /// Of a sector as of a page.
    const SECTOR: usize = 512;

    fn is_in_header(journal: &[u8], at: usize) -> bool {
        let shape = 16..28;
        let begin = at / SECTOR * SECTOR;
        let there = journal[begin..].get(shape.clone());
        at % SECTOR < shape.end && there == Some(&journal[shape])
    }

    /// Whether the byte is in a record's number or checksum, or counts in that.
    fn is_summed(journal: &[u8], at: usize) -> bool {
        let mut begin = SECTOR;
        while begin <= at {
            let is_header = begin.is_multiple_of(SECTOR) && is_in_header(journal, begin);
            let bytes = if is_header { SECTOR } else { SECTOR + 8 };
            if !is_header && at < begin + bytes {
                let in_page = (at - begin).wrapping_sub(4);
                return in_page >= SECTOR || [112, 312].contains(&in_page);
            }
            begin += bytes;
            let aligned = begin.next_multiple_of(SECTOR);
            if is_in_header(journal, aligned.min(journal.len())) {
                begin = aligned;
            }
        }
        false
    }

    /// By its change counter, its length, or a page that was not flushed yet; where there is nothing of these, by
    /// nothing in the file.
    #[test]
    fn an_older_main_file_is_another() {
        for killed in killed() {
            let foreign = killed.judge(&killed.older, &killed.journal);
            let originals = match Journal::read(&killed.folder.path().join("a.db-journal")) {
                Ok(Journal::Whole(originals)) => originals,
                // It did not outgrow its cache: nothing of it is in the main file.
                Ok(Journal::Finished) => continue,
                other => panic!("{other:?}"),
            };
            let is_pending = originals.pages.values().any(|page| page.is_pending);
            let is_seen = is_pending || originals.pages.contains_key(&1);
            let is_foreign = matches!(foreign, Some(BadJournal::Foreign(_)));
            assert_eq!(is_foreign, is_seen, "{foreign:?}");
            let path = killed.put(&killed.older, &killed.journal);
            let replaced = bad_journal(&path, Some(true)).unwrap();
            assert!(
                matches!(replaced, Some(BadJournal::Foreign(_))),
                "{replaced:?}"
            );
        }
    }
}
