use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::log_frames::u32_at;
use super::{FileSet, MainFile, side_file};
use crate::host::read_exact_at;

/// Why SQLite could not roll a transaction back whole: it passes over a record that does not hold and over
/// everything behind it, and deletes the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenJournal {
    /// Pages that hold.
    pub pages: usize,
    /// What does not.
    pub lacks: &'static str,
}

/// What a rollback journal holds (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>).
#[derive(Debug)]
pub(super) enum Journal {
    /// Nothing that SQLite would roll back.
    Finished,
    /// Everything that its headers speak of.
    Whole(Originals),
    /// Not all of that.
    Broken(BrokenJournal),
}

/// The pages as they were before the transaction.
#[derive(Debug)]
pub(super) struct Originals {
    /// Bytes of a page.
    pub(super) page_size: usize,
    /// Pages of the database before the transaction.
    pub(super) count: u32,
    /// Where each one's bytes stand in the journal.
    pub(super) pages: BTreeMap<u32, Original>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original {
    /// Where its bytes begin.
    pub(super) place: u64,
    /// Whether the journal was not flushed since: SQLite writes nothing over a page before it was.
    pub(super) is_pending: bool,
}

/// Whether a database that was not there before holds nothing that was ever committed: nothing at all, or what its
/// first transaction had written when it was killed.
///
/// Safety: a commit writes the first page into the main file before its journal is gone, and a write-ahead log comes
/// only behind that. So in an empty file nothing was committed, whatever journal lies beside it; nor where the journal
/// holds whole and says that there were no pages before its transaction, to which SQLite itself would go back.
pub fn holds_nothing_committed(files: &FileSet) -> bool {
    if files.wal_bytes.is_some_and(|bytes| bytes > 0) {
        return false;
    }
    let began_with_nothing = || {
        let journal = Journal::read(&side_file(&files.path, "-journal"));
        matches!(journal, Ok(Journal::Whole(originals)) if originals.count == 0)
    };
    match files.main {
        MainFile::Missing | MainFile::Empty => true,
        MainFile::Database(_) | MainFile::NotADatabase { .. } => began_with_nothing(),
        MainFile::NotAFile(_) | MainFile::Unreadable(_) => false,
    }
}

const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Bytes of a header that say something.
const HEADER: usize = 28;

/// In a journal that is never flushed: records up to the end of the file.
const TO_THE_END: u32 = u32::MAX;

/// The page that no database has, for SQLite's locks are there.
const LOCK_BYTE: usize = 0x4000_0000;

#[derive(Clone, Copy)]
struct Header {
    magic: [u8; 8],
    records: u32,
    nonce: u32,
    /// Pages of the database, bytes of a sector and of a page: the same in every header of a transaction.
    shape: [u32; 3],
}

impl Header {
    fn read(file: &File, at: u64) -> io::Result<Option<Header>> {
        let mut bytes = [0; HEADER];
        Ok(match read_exact_at(file, &mut bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            read => read.map(|()| {
                Some(Header {
                    magic: std::array::from_fn(|at| bytes[at]),
                    records: u32_at(&bytes, 8),
                    nonce: u32_at(&bytes, 12),
                    shape: [16, 20, 24].map(|at| u32_at(&bytes, at)),
                })
            })?,
        })
    }

    /// As it is written first, and overwritten with the magic number and the count when it is flushed; also
    /// where that was not finished.
    fn is_pending(&self) -> bool {
        let written = self.magic.iter().take_while(|byte| **byte != 0).count();
        let is_begun = self.magic.starts_with(&MAGIC[..written]);
        let is_rest_zero = self.magic[written..].iter().all(|byte| *byte == 0);
        written < MAGIC.len() && is_begun && is_rest_zero && self.records == 0
    }

    /// What was left by an older transaction: its first byte was overwritten, so that it is no header.
    fn is_revoked(&self) -> bool {
        self.magic[0] == 0 && self.magic[1..] == MAGIC[1..]
    }
}

impl Journal {
    /// Reads a journal as SQLite would.
    ///
    /// Safety: what a killed writer leaves holds exactly. A header counts the records behind it when they are
    /// flushed, and then a new header begins; so none follows that holds under the same number, and before the count
    /// is written the header is no header. What an older transaction left behind in the same file has another
    /// random number. Of the bytes of a page only every two hundredth is in its checksum: a change of the others
    /// is not seen.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) fn read(path: &Path) -> io::Result<Journal> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let Some(first) = Header::read(&file, 0)? else {
            return beginning_only(&file, bytes);
        };
        if first.is_pending() {
            return Ok(Journal::Finished);
        }
        let broken = |lacks| Ok(Journal::Broken(BrokenJournal { pages: 0, lacks }));
        let [count, sector, page_size] = first.shape;
        let is_size = |bytes: u32, min| (min..=65_536).contains(&bytes) && bytes.is_power_of_two();
        if first.magic != MAGIC || !is_size(sector, 32) || !is_size(page_size, 512) {
            return broken("its header");
        }
        if bytes < u64::from(sector) {
            return broken("its end");
        }
        match super_journal(&file, bytes)? {
            SuperJournal::Gone => return Ok(Journal::Finished),
            SuperJournal::Broken => return broken("the name of the journal above it"),
            SuperJournal::None | SuperJournal::There => {}
        }
        let mut reader = Reader {
            file,
            bytes,
            sector: u64::from(sector),
            at: u64::from(sector),
            page: vec![0; page_size as usize + 8],
            originals: Originals {
                page_size: page_size as usize,
                count,
                pages: BTreeMap::new(),
            },
        };
        Ok(match reader.read_all(first)? {
            None => Journal::Whole(reader.originals),
            Some(lacks) => Journal::Broken(BrokenJournal {
                pages: reader.originals.pages.len(),
                lacks,
            }),
        })
    }
}

/// Less than a header: SQLite rolls nothing back.
fn beginning_only(file: &File, bytes: u64) -> io::Result<Journal> {
    let mut beginning = vec![0; usize::try_from(bytes).unwrap_or(HEADER).min(HEADER)];
    read_exact_at(file, &mut beginning, 0)?;
    Ok(match beginning.iter().all(|byte| *byte == 0) {
        true => Journal::Finished,
        false => Journal::Broken(BrokenJournal {
            pages: 0,
            lacks: "its header",
        }),
    })
}

struct Reader {
    file: File,
    bytes: u64,
    sector: u64,
    at: u64,
    page: Vec<u8>,
    originals: Originals,
}

impl Reader {
    /// What does not hold; none where everything does.
    fn read_all(&mut self, first: Header) -> io::Result<Option<&'static str>> {
        let mut header = first;
        loop {
            if let Some(lacks) = self.read_counted(&header)? {
                return Ok(Some(lacks));
            }
            if header.records == TO_THE_END {
                return Ok(None);
            }
            let next = self.at.next_multiple_of(self.sector);
            let Some(there) = Header::read(&self.file, next)? else {
                return Ok(None);
            };
            self.at = next + self.sector;
            if there.is_pending() && there.shape == first.shape {
                while self.take(there.nonce, true)? {}
                return Ok(None);
            }
            if there.magic != MAGIC {
                let is_header = there.shape == first.shape && !there.is_revoked();
                return Ok(is_header.then_some("a header"));
            }
            header = there;
        }
    }

    fn read_counted(&mut self, header: &Header) -> io::Result<Option<&'static str>> {
        let mut held = 0;
        while held < header.records && self.take(header.nonce, false)? {
            held += 1;
        }
        let step = self.page.len() as u64;
        if header.records == TO_THE_END && self.is_nearly_one(header.nonce)? {
            return Ok(Some("a page"));
        }
        let behind = match header.records {
            // An unfinished record, or an older transaction's, ends it.
            TO_THE_END => self.at.saturating_add(step),
            records if held < records => return Ok(Some("a page")),
            _ => self.at,
        };
        let is_magic =
            Header::read(&self.file, behind)?.is_some_and(|header| header.magic == MAGIC);
        let follows = !is_magic && self.number(behind, header.nonce)?.is_some();
        if follows {
            return Ok(Some("the count of its pages"));
        }
        let aligned = self.at.next_multiple_of(self.sector);
        let names_another = |at| self.is_lock_page(at);
        let is_named = names_another(self.at)? || names_another(aligned)?;
        let is_whole = matches!(
            super_journal(&self.file, self.bytes)?,
            SuperJournal::There | SuperJournal::Gone
        );
        Ok((is_named && !is_whole).then_some("the name of the journal above it"))
    }

    /// Takes the next record, where it holds.
    fn take(&mut self, nonce: u32, is_pending: bool) -> io::Result<bool> {
        let Some(page) = self.number(self.at, nonce)? else {
            return Ok(false);
        };
        let place = self.at + 4;
        let original = Original { place, is_pending };
        // Each page is there once.
        if self.originals.pages.contains_key(&page) {
            return Ok(false);
        }
        self.originals.pages.insert(page, original);
        self.at += self.page.len() as u64;
        Ok(true)
    }

    /// The page's number of the record there, where that holds.
    fn number(&mut self, at: u64, nonce: u32) -> io::Result<Option<u32>> {
        let Some((number, record_nonce)) = self.record(at)? else {
            return Ok(None);
        };
        let is_page = (1..=self.originals.count).contains(&number);
        Ok((is_page && record_nonce == nonce).then_some(number))
    }

    /// The page's number of the record there, and the number that its checksum began from; none where it ends
    /// before.
    fn record(&mut self, at: u64) -> io::Result<Option<(u32, u32)>> {
        match read_exact_at(&self.file, &mut self.page, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let size = self.originals.page_size;
        let contents = &self.page[4..4 + size];
        let summed = (1..)
            .map_while(|step| size.checked_sub(200 * step))
            .filter(|at| *at > 0);
        let sum = u32_at(&self.page, 4 + size);
        let nonce = summed.fold(sum, |sum, at| sum.wrapping_sub(u32::from(contents[at])));
        Ok(Some((u32_at(&self.page, 0), nonce)))
    }

    /// Whether the next record would be one of this transaction, were it not for one byte: an older one's has
    /// another random number.
    fn is_nearly_one(&mut self, nonce: u32) -> io::Result<bool> {
        let Some((_, there)) = self.record(self.at)? else {
            return Ok(false);
        };
        let by_sum = there.wrapping_sub(nonce).cast_signed().unsigned_abs();
        let bytes = (there ^ nonce).to_be_bytes();
        let by_bytes = bytes.iter().filter(|byte| **byte != 0).count();
        Ok(by_sum <= u32::from(u8::MAX) || by_bytes <= 1)
    }

    /// The name of the journal above it follows the number of a page that no database has.
    fn is_lock_page(&self, at: u64) -> io::Result<bool> {
        let mut number = [0; 4];
        let lock_page = LOCK_BYTE / self.originals.page_size + 1;
        Ok(match read_exact_at(&self.file, &mut number, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            read => read.map(|()| u32_at(&number, 0) as usize == lock_page)?,
        })
    }
}

/// The journal of a transaction over several databases, which is over when that is gone.
enum SuperJournal {
    None,
    There,
    Gone,
    Broken,
}

fn super_journal(file: &File, bytes: u64) -> io::Result<SuperJournal> {
    /// Length, checksum and the magic number.
    const TAIL: usize = 16;
    /// Longer than the name of any file.
    const NAME_MAX: u32 = 65_536;
    let mut tail = [0; TAIL];
    let Some(end) = bytes.checked_sub(TAIL as u64) else {
        return Ok(SuperJournal::None);
    };
    read_exact_at(file, &mut tail, end)?;
    if tail[8..] != MAGIC {
        return Ok(SuperJournal::None);
    }
    let length = u32_at(&tail, 0);
    let Some(begin) = end
        .checked_sub(u64::from(length))
        .filter(|_| (1..NAME_MAX).contains(&length))
    else {
        return Ok(SuperJournal::Broken);
    };
    let mut name = vec![0; length as usize];
    read_exact_at(file, &mut name, begin)?;
    // SQLite sums what C calls characters, and those are signed or not as the machine has them.
    let signed = |sum: u32, byte: &u8| sum.wrapping_add_signed(i32::from(byte.cast_signed()));
    let sums = [
        name.iter().fold(0, signed),
        name.iter().map(|byte| u32::from(*byte)).sum(),
    ];
    Ok(match std::str::from_utf8(&name) {
        Ok(name) if sums.contains(&u32_at(&tail, 4)) => match Path::new(name).try_exists()? {
            true => SuperJournal::There,
            false => SuperJournal::Gone,
        },
        _ => SuperJournal::Broken,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nothing_can_have_been_committed_nothing_was() {
        let of_another = b"SQLite format 3\0 and so on";
        for (main, beside, holds_nothing) in [
            (None, None, true),
            (Some(&b""[..]), None, true),
            (Some(b""), Some(("-journal", &b"not flushed"[..])), true),
            (Some(b""), Some(("-wal", b"frames")), false),
            (None, Some(("-wal", b"frames")), false),
            (Some(of_another), None, false),
            (Some(of_another), Some(("-journal", b"not flushed")), false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            if let Some(bytes) = main {
                std::fs::write(&path, bytes).unwrap();
            }
            if let Some((suffix, bytes)) = beside {
                std::fs::write(side_file(&path, suffix), bytes).unwrap();
            }
            let files = FileSet::look(&path);
            assert_eq!(
                holds_nothing_committed(&files),
                holds_nothing,
                "{main:?} {beside:?}"
            );
        }
    }
}
