//! What happened to a database after its rows were acknowledged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection, quoted};
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    None,
    /// There never was one.
    Missing,
    /// Every row is in the log, and the main file is gone.
    LogAlone,
    /// The main file has no byte.
    Empty,
    /// The main file has no byte, and every row is in the log.
    EmptyBesideLog,
    /// Every byte of a page is this one.
    Page {
        of: Kind,
        at: u16,
        byte: u8,
    },
    /// The file ends after so many thousandths.
    CutShort(u16),
    /// A commit had begun to be written to the log, and none was acknowledged.
    TornLog,
    /// One byte in the middle of the log is another.
    LogHole,
    /// A transaction was being written to the main file, and none was acknowledged.
    HotJournal,
    ReadOnly,
    /// Somebody has it for themselves.
    Locked,
}

/// Which pages, by the type that their first byte says
/// (<https://www.sqlite.org/fileformat2.html#b_tree_pages>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Header,
    TableInterior,
    TableLeaf,
    Index,
}

/// What is tried in as many states each; what is common, in more than one share.
pub(crate) fn kinds() -> Vec<BoxedStrategy<Harm>> {
    let page = |of| {
        let byte = select(vec![0, 0xa5]);
        let page = (any::<u16>(), byte).prop_map(move |(at, byte)| Harm::Page { of, at, byte });
        page.boxed()
    };
    let certain = [
        Harm::None,
        Harm::None,
        Harm::None,
        Harm::None,
        Harm::Missing,
        Harm::LogAlone,
        Harm::Empty,
        Harm::EmptyBesideLog,
        Harm::TornLog,
        Harm::LogHole,
        Harm::HotJournal,
        Harm::ReadOnly,
        Harm::Locked,
    ];
    let pages = [
        Kind::Header,
        Kind::TableInterior,
        Kind::TableLeaf,
        Kind::TableLeaf,
        Kind::TableLeaf,
        Kind::TableLeaf,
        Kind::Index,
        Kind::Index,
    ];
    let certain = certain.into_iter().map(|harm| Just(harm).boxed());
    let cut_short = (1_u16..1000).prop_map(Harm::CutShort).boxed();
    certain.chain(pages.map(page)).chain([cut_short]).collect()
}

impl Harm {
    /// How its database kept its journal, where it matters.
    pub(crate) fn journal(self) -> Option<&'static str> {
        match self {
            Harm::LogAlone | Harm::EmptyBesideLog | Harm::TornLog | Harm::LogHole => {
                Some("hot WAL")
            }
            Harm::Missing | Harm::Empty | Harm::HotJournal => Some("DELETE"),
            // What is only in a log is not in a page of the main file.
            Harm::Page { at, .. } | Harm::CutShort(at) => {
                Some(if at % 3 == 0 { "WAL" } else { "DELETE" })
            }
            Harm::None | Harm::ReadOnly | Harm::Locked => None,
        }
    }

    /// Whether rows are gone, or may be, whatever anybody does.
    pub(crate) fn may_cost_rows(self) -> bool {
        match self {
            Harm::None | Harm::Missing | Harm::TornLog | Harm::HotJournal => false,
            Harm::ReadOnly | Harm::Locked => false,
            Harm::LogAlone | Harm::Empty | Harm::EmptyBesideLog | Harm::LogHole => true,
            Harm::Page { .. } | Harm::CutShort(_) => true,
        }
    }

    pub(crate) fn befall(self, main: &Path) {
        let log = beside(main, "-wal");
        match self {
            Harm::None | Harm::Locked => {}
            Harm::Missing | Harm::LogAlone => fs::remove_file(main).unwrap(),
            Harm::Empty | Harm::EmptyBesideLog => fs::write(main, "").unwrap(),
            Harm::Page { of, at, byte } => fill_page(main, of, at, byte),
            Harm::CutShort(thousandths) => {
                let bytes = fs::read(main).unwrap();
                let end = bytes.len() * usize::from(thousandths) / 1000;
                fs::write(main, &bytes[..end.max(1)]).unwrap();
            }
            Harm::TornLog => {
                let mut bytes = fs::read(&log).unwrap();
                // The beginning of a frame, with the salts of the log.
                let salts = bytes[16..24].to_vec();
                bytes.extend([0, 0, 0, 2, 0, 0, 0, 9]);
                bytes.extend(salts);
                bytes.extend([7; 200]);
                fs::write(&log, bytes).unwrap();
            }
            Harm::LogHole => {
                let mut bytes = fs::read(&log).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x55;
                fs::write(&log, bytes).unwrap();
            }
            Harm::HotJournal => leave_a_journal(main),
            Harm::ReadOnly => {
                let mut permissions = fs::metadata(main).unwrap().permissions();
                permissions.set_readonly(true);
                fs::set_permissions(main, permissions).unwrap();
            }
        }
    }

    /// Whoever has it for themselves while this lives.
    pub(crate) fn holder(self, main: &Path) -> Option<Connection> {
        if self != Harm::Locked {
            return None;
        }
        let mut holder = Connection::open(main, Access::ReadWrite, Duration::ZERO).unwrap();
        holder.execute("BEGIN EXCLUSIVE").unwrap();
        Some(holder)
    }
}

/// Leaves a file that has no such page as it is.
fn fill_page(main: &Path, of: Kind, at: u16, byte: u8) {
    let mut bytes = fs::read(main).unwrap();
    if of == Kind::Header {
        bytes[..100].fill(byte);
        return fs::write(main, bytes).unwrap();
    }
    let page_bytes = match usize::from(u16::from_be_bytes([bytes[16], bytes[17]])) {
        1 => 65_536,
        other => other,
    };
    let types: &[u8] = match of {
        Kind::Header => &[],
        Kind::TableInterior => &[0x05],
        Kind::TableLeaf => &[0x0d],
        Kind::Index => &[0x02, 0x0a],
    };
    let pages = bytes.chunks_mut(page_bytes).skip(1);
    let meant = pages.filter(|page| types.contains(&page[0]));
    let mut meant: Vec<&mut [u8]> = meant.collect();
    if !meant.is_empty() {
        let at = usize::from(at) % meant.len();
        meant[at].fill(byte);
    }
    fs::write(main, bytes).unwrap();
}

/// As a crash leaves it: half of the rows are deleted in the main file, and how to take that back is in the
/// journal.
fn leave_a_journal(main: &Path) {
    let mut connection = Connection::open(main, Access::ReadWrite, Duration::ZERO).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let names = connection.query(sql, &[]).unwrap();
    // So that pages are written before the commit.
    connection
        .execute("PRAGMA cache_size = 1; BEGIN IMMEDIATE")
        .unwrap();
    for name in &names {
        let SqlValue::Text(name) = &name[0] else {
            continue;
        };
        // A table without rowids keeps its rows.
        let _ = connection.execute(&format!("DELETE FROM {} WHERE rowid % 2", quoted(name)));
    }
    let filler = "CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(300000))";
    connection.execute(filler).unwrap();
    let files = [main.to_owned(), beside(main, "-journal")];
    let bytes = files.each_ref().map(|file| fs::read(file).unwrap());
    connection.execute("ROLLBACK").unwrap();
    connection.close();
    for (file, bytes) in files.iter().zip(bytes) {
        fs::write(file, bytes).unwrap();
    }
}

/// A file that SQLite keeps beside a database.
pub(crate) fn beside(main: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", main.display()))
}
