use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SalvageError;
use super::node::{Node, NodeKind};
use super::pages::{Pages, is_page_size, u16_at, u32_at};
use crate::services::db::committed_log::CommittedLog;
use crate::services::db::owed_sums::OwedSums;
use crate::services::db::{Access, BrokenLog, Connection, broken_log, owed_sums_of, side_file};

/// A copy of a database as one file: what its log or its journal holds is in it, its header is sound,
/// and it is as long as its header says.
pub(super) struct Image {
    pub(super) path: PathBuf,
    /// Whether the database keeps a write-ahead log.
    pub(super) is_wal: bool,
    /// Pages that are not there: cut off, or never in the log.
    pub(super) missing: Missing,
    /// Whether the main file itself was gone or empty, so that the log is all there is.
    pub(super) from_log_alone: bool,
    /// Where SQLite would have taken a part of the log only, of what its index counts.
    pub(super) owed: Option<OwedSums>,
    /// What the log does not hold, and may have been committed.
    pub(super) broken: Option<BrokenLog>,
    /// Whether it says itself how many pages it has: else more than those that are there may be gone.
    pub(super) length_is_known: bool,
}

/// Pages of an image that are in none of the files, in their order: they read as zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing(pub(super) Vec<RangeInclusive<u32>>);

impl Missing {
    pub(super) fn count(&self) -> usize {
        self.0.iter().cloned().map(Iterator::count).sum()
    }

    pub(super) fn contains(&self, page: u32) -> bool {
        let after = self.0.partition_point(|range| *range.end() < page);
        self.0.get(after).is_some_and(|range| range.contains(&page))
    }
}

const MAGIC: &[u8] = b"SQLite format 3\0";

const FRACTIONS: [u8; 3] = [64, 32, 32];

/// Makes the image in a folder of its own.
pub(super) fn assemble(set: &Path, folder: &Path) -> Result<Image, SalvageError> {
    let path = folder.join("image.db");
    for suffix in ["", "-wal", "-journal"] {
        let from = side_file(set, suffix);
        if from.exists() {
            std::fs::copy(from, side_file(&path, suffix))?;
        }
    }
    let log_path = side_file(&path, "-wal");
    let (log, broken) = match log_path.exists() {
        true => (CommittedLog::read(set)?, broken_log(set)?),
        false => (None, None),
    };
    let owed = owed_sums_of(set)?;
    let broken = broken.filter(|it| !it.is_sqlites);
    let main_bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if main_bytes == 0 {
        return from_log(path, &log_path, log, (owed, broken));
    }
    roll_back(&path);
    if let Some(log) = &log {
        let mut main = File::options().write(true).open(&path)?;
        log.apply(&log_path, &mut main)?;
    }
    remove_if_there(&log_path)?;
    remove_if_there(&side_file(&path, "-journal"))?;
    let is_wal = repair_header(&path)? || log.is_some();
    let (missing, length_is_known) = lengthen(&path)?;
    Ok(Image {
        path,
        is_wal,
        missing,
        from_log_alone: false,
        owed,
        broken,
        length_is_known,
    })
}

fn from_log(
    path: PathBuf,
    log_path: &Path,
    log: Option<CommittedLog>,
    (owed, broken): (Option<OwedSums>, Option<BrokenLog>),
) -> Result<Image, SalvageError> {
    let Some(log) = log else {
        return Err(SalvageError::Nothing(
            "there is no committed page beside it".to_owned(),
        ));
    };
    log.apply(log_path, &mut File::create(&path)?)?;
    remove_if_there(log_path)?;
    let _ = repair_header(&path)?;
    Ok(Image {
        path,
        is_wal: true,
        missing: Missing(log.missing()),
        from_log_alone: true,
        owed,
        broken,
        length_is_known: true,
    })
}

/// SQLite rolls back a hot journal before it looks at anything else. Where it cannot, the pages are
/// judged as they are.
fn roll_back(image: &Path) {
    let journal = side_file(image, "-journal");
    if std::fs::metadata(journal).is_ok_and(|metadata| metadata.len() > 0)
        && let Ok(mut connection) = Connection::open(image, Access::ReadWrite, Duration::ZERO)
    {
        let _ = connection.query("SELECT count(*) FROM sqlite_schema", &[]);
        connection.close();
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts back what every header has, and finds the size of a page where the header does not name it.
/// Whether it was a database with a write-ahead log. The image itself has none.
fn repair_header(path: &Path) -> Result<bool, SalvageError> {
    use std::io::{Read, Seek, SeekFrom, Write};

    let mut file = std::fs::File::options().read(true).write(true).open(path)?;
    let bytes = file.metadata()?.len();
    let mut page = vec![0; usize::try_from(bytes.min(65_536)).unwrap_or(65_536)];
    file.read_exact(&mut page)?;
    if page.len() < 512 {
        return Err(SalvageError::Nothing(
            "it is shorter than a page".to_owned(),
        ));
    }
    let named = match u16_at(&page, 16) {
        Some(1) => 65_536,
        Some(size) => size,
        None => 0,
    };
    let size = if is_page_size(named) && fits(&page, named) {
        named
    } else {
        find_page_size(&mut file, &page, bytes)?
    };
    let is_wal = page[18] == 2 || page[19] == 2;
    page[..16].copy_from_slice(MAGIC);
    let size_field = if size == 65_536 { 1 } else { size as u16 };
    page[16..18].copy_from_slice(&size_field.to_be_bytes());
    page[18..20].fill(1);
    // Beside what every header has the same, a count of reserved bytes can be believed.
    if page[21..24] != FRACTIONS || usize::from(page[20]) > size - 480 {
        page[20] = 0;
    }
    page[21..24].copy_from_slice(&FRACTIONS);
    if !(1..=4).contains(&u32_at(&page, 44).unwrap_or_default()) {
        page[44..48].copy_from_slice(&4_u32.to_be_bytes());
    }
    if !(1..=3).contains(&u32_at(&page, 56).unwrap_or_default()) {
        page[56..60].copy_from_slice(&1_u32.to_be_bytes());
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&page[..100])?;
    Ok(is_wal)
}

/// Whether the first page holds the tree that names every table.
fn fits(page: &[u8], size: usize) -> bool {
    let Some(first) = page.get(..size) else {
        return false;
    };
    let node = Node::parse(first, 1, size);
    let is_table = |node: &Node| matches!(node.kind, NodeKind::TableLeaf | NodeKind::TableInterior);
    node.filter(is_table).is_some_and(|node| {
        let content = u16_at(first, 105).unwrap_or_default();
        let content = if content == 0 { 65_536 } else { content };
        content <= size && node.cells.iter().all(|cell| *cell + 4 <= size)
    })
}

/// The size at which most pages look like pages.
fn find_page_size(
    file: &mut std::fs::File,
    first: &[u8],
    bytes: u64,
) -> Result<usize, SalvageError> {
    use std::io::{Read, Seek, SeekFrom};

    const PAGES_LOOKED_AT: u64 = 2_000;
    let mut best = (0, 0);
    for size in (9..=16).map(|bits| 1_usize << bits) {
        if !fits(first, size) || !bytes.is_multiple_of(size as u64) {
            continue;
        }
        let mut sound = 0;
        let mut page = vec![0; size];
        let pages = (bytes / size as u64).min(PAGES_LOOKED_AT);
        for number in 1..=pages {
            file.seek(SeekFrom::Start((number - 1) * size as u64))?;
            file.read_exact(&mut page)?;
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let node = Node::parse(&page, number, size);
            sound += usize::from(node.is_some_and(|node| !node.cells.is_empty())) * size;
        }
        best = best.max((sound, size));
    }
    match best {
        (0, _) => Err(SalvageError::Nothing(
            "its first page is lost, and with it the names of all tables".to_owned(),
        )),
        (_, size) => Ok(size),
    }
}

/// As long as its header says, so that what is missing is a page that holds nothing. A page of which
/// only a part is there is missing: the rest of its rows would be read as zeros. Whether the header says a
/// length at all comes with it.
fn lengthen(path: &Path) -> Result<(Missing, bool), SalvageError> {
    let mut pages = Pages::open(path)?;
    let whole = u64::from(pages.count()) * pages.size() as u64;
    let file = std::fs::File::options().write(true).open(path)?;
    let has_part = file.metadata()?.len() > whole;
    file.set_len(whole)?;
    let header = pages.read(1)?;
    let field = |at| u32_at(&header, at).unwrap_or_default();
    let is_valid = field(24) == field(92) && field(28) > 0;
    // More than this is no count but damage: the file was not cut to less than a hundredth.
    let is_plausible = u64::from(field(28)) <= u64::from(pages.count()).saturating_mul(100) + 1000;
    let wanted = if is_valid && is_plausible {
        field(28).max(pages.count())
    } else {
        pages.count()
    };
    let wanted = wanted.max(pages.count() + u32::from(has_part));
    let missing = Missing(vec![pages.count() + 1..=wanted]);
    pages.set_header(28, &wanted.to_be_bytes())?;
    pages.set_header(92, &header[24..28])?;
    let bytes = u64::from(wanted) * pages.size() as u64;
    file.set_len(bytes)?;
    Ok((missing, is_valid && is_plausible))
}
