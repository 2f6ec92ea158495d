//! Damaged databases: each kind of damage at many places, with what was saved and lost counted against
//! the rows that were there.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use boot_checks::model::{Lost, Method, SalvageReport, SqlValue};
use boot_checks::services::db::{
    Access, Connection, FileSet, Integrity, MainFile, integrity_check, quick_check,
};

use crate::damaged::salvaged;

/// A generator of the same numbers each time.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    ZeroedInterior,
    ZeroedLeaf,
    CellPointers,
    IndexPage,
    CutOff,
    Header,
    Garbage,
    FreeList,
    /// The first page of a tree as it was when it was the only one: a write that never came to the disk.
    OldRoot,
    /// The first page of a table as it was when the table was made.
    EmptyRoot,
    /// A leaf of a table names fewer rows than it holds.
    FewerRows,
    /// A leaf of an index or of a table without rowids names fewer entries than it holds.
    FewerEntries,
    /// A page is a copy of another: a write that went to the wrong place.
    CopyOfAnother,
    /// Two pages have each other's place.
    Swapped,
    /// Bytes of a row in place: no structure is hurt, and nothing can see it.
    Payload,
}

pub(crate) const STRUCTURAL: [Damage; 14] = [
    Damage::ZeroedInterior,
    Damage::ZeroedLeaf,
    Damage::CellPointers,
    Damage::IndexPage,
    Damage::CutOff,
    Damage::Header,
    Damage::Garbage,
    Damage::FreeList,
    Damage::OldRoot,
    Damage::EmptyRoot,
    Damage::FewerRows,
    Damage::FewerEntries,
    Damage::CopyOfAnother,
    Damage::Swapped,
];

/// Whether SQLite sees damage of this kind wherever it is. A page that another takes the place of may fit
/// there, and where no index counts the rows of a table, nothing does.
pub(crate) fn is_always_seen(kind: Damage) -> bool {
    !matches!(kind, Damage::CopyOfAnother | Damage::Swapped)
}

const SEEDS: u64 = 50;

const PAGE: usize = 1024;

/// Tables of every sort: with and without a column for the rowid, counted, without rowids, with rows
/// longer than a page, with free pages.
fn build(path: &Path) {
    let mut connection = Connection::open(path, Access::Create, Duration::ZERO).unwrap();
    connection
        .execute(&format!(
            "PRAGMA page_size = {PAGE};
             CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, extra BLOB);
             CREATE TABLE events (kind TEXT, n INTEGER, half REAL, late TEXT DEFAULT 'none');
             CREATE INDEX events_kind ON events (kind);
             CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT);
             CREATE TABLE pairs (a INTEGER, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
             CREATE TABLE gone (x BLOB);
             CREATE VIEW both_of AS SELECT body FROM notes JOIN events ON n = id;
             CREATE TRIGGER never AFTER INSERT ON notes BEGIN DELETE FROM events; END;
             PRAGMA user_version = 7;"
        ))
        .unwrap();
    let numbers = |n: usize| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})")
    };
    connection
        .execute(&format!(
            "{} INSERT INTO events (kind, n, half) SELECT 'kind ' || (i % 7), i, i FROM n;
             DROP TRIGGER never;
             {} INSERT INTO notes SELECT i * 3, 'note ' || i, CASE i % 40 WHEN 0 THEN replace(hex(zeroblob(2500)), '00', 'xy') ELSE zeroblob(i % 50) END FROM n;
             CREATE TRIGGER never AFTER INSERT ON notes BEGIN DELETE FROM events; END;
             {} INSERT INTO counted (word) SELECT hex(i * 7919) FROM n;
             {} INSERT INTO pairs SELECT i, 'pair ' || i FROM n;
             {} INSERT INTO gone SELECT zeroblob(900) FROM n; DELETE FROM gone;",
            numbers(700),
            numbers(900),
            numbers(600),
            numbers(400),
            numbers(40),
        ))
        .unwrap();
    connection.close();
}

type Rows = BTreeMap<String, Vec<String>>;

const TABLES: [&str; 5] = ["notes", "events", "counted", "pairs", "gone"];

/// Every row of every table, in words.
fn rows(path: &Path) -> Rows {
    let mut connection = Connection::open(path, Access::ReadOnly, Duration::ZERO).unwrap();
    let mut all = Rows::new();
    for table in TABLES {
        let rowid = if table == "pairs" { "" } else { "rowid, " };
        let sql = format!("SELECT {rowid}* FROM {table}");
        let rows = connection.query(&sql, &[]).unwrap_or_default();
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        all.insert(table.to_owned(), rows);
    }
    connection.close();
    all
}

/// Pages of the list of free pages, from 0: what happens to them is no damage.
fn free_pages(bytes: &[u8], page: usize) -> Vec<usize> {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut free = Vec::new();
    let mut trunk = number(32);
    while trunk != 0 {
        let at = (trunk - 1) * page;
        free.push(trunk - 1);
        free.extend((0..number(at + 4)).map(|leaf| number(at + 8 + 4 * leaf) - 1));
        trunk = number(at);
    }
    free
}

/// Pages by the first byte of their tree, without the first page.
fn pages_of(bytes: &[u8], page: usize, kinds: &[u8]) -> Vec<usize> {
    let free = free_pages(bytes, page);
    (1..bytes.len() / page)
        .filter(|number| !free.contains(number))
        .filter(|number| kinds.contains(&bytes[number * page]))
        .filter(|number| bytes[number * page + 3..number * page + 5] != [0, 0])
        .collect()
}

fn number(bytes: &[u8], at: usize, length: usize) -> usize {
    let bytes = &bytes[at..at + length];
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// First pages of trees of more than one page, with the first of their leaves, both from 0.
fn roots(bytes: &[u8], page: usize, kinds: [u8; 2]) -> Vec<(usize, usize)> {
    let [interior, leaf] = kinds;
    let above = pages_of(bytes, page, &[interior]);
    let children = |at: usize| {
        let cells = number(bytes, at * page + 3, 2);
        let cell = move |cell| at * page + number(bytes, at * page + 12 + 2 * cell, 2);
        let left = (0..cells).map(move |it| number(bytes, cell(it), 4) - 1);
        left.chain([number(bytes, at * page + 8, 4) - 1])
    };
    let below: Vec<usize> = above.iter().flat_map(|at| children(*at)).collect();
    let roots = above.iter().filter(|at| !below.contains(at));
    let first_leaf = |root: usize| {
        let mut at = root;
        while bytes[at * page] == interior {
            at = children(at).next().unwrap();
        }
        assert_eq!(bytes[at * page], leaf);
        at
    };
    roots.map(|root| (*root, first_leaf(*root))).collect()
}

/// Damages a healthy database; deterministic for each seed.
pub(crate) fn damage(bytes: &mut Vec<u8>, kind: Damage, seed: u64) {
    let page = match u16::from_be_bytes([bytes[16], bytes[17]]) {
        1 => 65_536,
        size => usize::from(size),
    };
    let mut numbers = Numbers::new(seed + 1);
    let whole = bytes.clone();
    let mut pick = |kinds: &[u8]| {
        let pages = pages_of(&whole, page, kinds);
        assert!(!pages.is_empty(), "{kind:?}");
        pages[numbers.below(pages.len())] * page
    };
    match kind {
        Damage::ZeroedInterior => {
            let at = pick(&[0x05]);
            bytes[at..at + page].fill(0);
        }
        Damage::ZeroedLeaf => {
            let at = pick(&[0x0d]);
            bytes[at..at + page].fill(0);
        }
        Damage::CellPointers => {
            let at = pick(&[0x0d]);
            let cells = usize::from(u16::from_be_bytes([bytes[at + 3], bytes[at + 4]]));
            for _ in 0..3 {
                let place = at + 8 + numbers.below(2 * cells);
                bytes[place] ^= 1 + numbers.below(255) as u8;
            }
        }
        Damage::IndexPage => {
            let at = pick(&[0x0a, 0x02]);
            for byte in &mut bytes[at..at + page / 2] {
                *byte = numbers.below(256) as u8;
            }
        }
        Damage::CutOff => {
            let pages = bytes.len() / page;
            let keep = pages / 3 + numbers.below(pages / 2);
            bytes.truncate(keep * page + numbers.below(page));
        }
        Damage::Header => match seed % 4 {
            0 => bytes[..16].fill(0),
            1 => bytes[16..18].copy_from_slice(&[0x12, 0x34]),
            2 => bytes[..30].fill(0xff),
            _ => bytes[numbers.below(16)] ^= 0x55,
        },
        Damage::Garbage => {
            let free = free_pages(bytes, page);
            let used: Vec<usize> = (1..bytes.len() / page)
                .filter(|number| !free.contains(number))
                .collect();
            let at = used[numbers.below(used.len())] * page;
            for byte in &mut bytes[at..at + page] {
                *byte = numbers.below(256) as u8;
            }
        }
        Damage::FreeList => {
            let trunk = u32::from_be_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]) as usize;
            assert!(trunk > 0);
            if seed.is_multiple_of(2) {
                bytes[36..40].copy_from_slice(&7777_u32.to_be_bytes());
            } else {
                let at = (trunk - 1) * page + 8 + 4 * numbers.below(8);
                bytes[at..at + 4].copy_from_slice(&(2 + numbers.below(9) as u32).to_be_bytes());
            }
        }
        Damage::OldRoot => {
            let mut roots_of_all = roots(&whole, page, [0x05, 0x0d]);
            roots_of_all.extend(roots(&whole, page, [0x02, 0x0a]));
            let (root, leaf) = roots_of_all[numbers.below(roots_of_all.len())];
            bytes.copy_within(leaf * page..(leaf + 1) * page, root * page);
        }
        Damage::EmptyRoot => {
            let roots = roots(&whole, page, [0x05, 0x0d]);
            let at = roots[numbers.below(roots.len())].0 * page;
            bytes[at..at + page].fill(0);
            bytes[at] = 0x0d;
            bytes[at + 5..at + 7].copy_from_slice(&(page as u16).to_be_bytes());
        }
        Damage::FewerRows | Damage::FewerEntries => {
            let leaf = if kind == Damage::FewerRows {
                0x0d
            } else {
                0x0a
            };
            let at = pick(&[leaf]);
            let cells = number(bytes, at + 3, 2);
            let named = cells - 1 - numbers.below(cells.min(24));
            bytes[at + 3..at + 5].copy_from_slice(&(named as u16).to_be_bytes());
        }
        Damage::CopyOfAnother | Damage::Swapped => {
            let all = [0x02, 0x05, 0x0a, 0x0d];
            let (one, mut other) = (pick(&all), pick(&all));
            while whole[one..one + page] == whole[other..other + page] {
                other = pick(&all);
            }
            bytes[one..one + page].copy_from_slice(&whole[other..other + page]);
            if kind == Damage::Swapped {
                bytes[other..other + page].copy_from_slice(&whole[one..one + page]);
            }
        }
        Damage::Payload => {
            let at = pick(&[0x0d]);
            let last = at + page - 1;
            bytes[last] ^= 0x20;
        }
    }
}

/// What a boot would see of it.
fn is_caught(path: &Path) -> bool {
    match FileSet::look(path).main {
        MainFile::Database(header) if !header.is_cut_short() => {}
        _ => return true,
    }
    let Ok(mut connection) = Connection::open(path, Access::ReadOnly, Duration::ZERO) else {
        return true;
    };
    let seen = quick_check(&mut connection, Duration::from_secs(60)).unwrap();
    connection.close();
    matches!(seen, Integrity::Damaged(_))
}

/// Whether every row that is said to be saved is there and was there, and every loss is owned up to.
fn verify(kind: Damage, seed: u64, before: &Rows, file: &Path, report: &SalvageReport) {
    let what = format!("{kind:?} {seed}: {report:#?}");
    let after = rows(file);
    for (table, rows_before) in before {
        let there = &after[table];
        let told = report.tables.iter().find(|told| told.table == *table);
        let told = told.unwrap_or_else(|| panic!("{table} is not named; {what}"));
        assert_eq!(
            there.len() as u64,
            told.saved + told.merged,
            "{table}; {what}"
        );
        let is_strange = |row: &&String| rows_before.binary_search(row).is_err();
        let strange = there.iter().filter(is_strange).count();
        let gone = rows_before.iter();
        let gone = gone.filter(|row| there.binary_search(row).is_err());
        let gone = gone.count() as u64;
        match told.lost {
            Lost::Exactly(lost) => assert_eq!((lost, strange), (gone, 0), "{table}; {what}"),
            Lost::AtMost(lost) => {
                assert!(lost >= gone, "{table} lost {gone}; {what}");
                assert_eq!(strange, 0, "{table}; {what}");
            }
            // Only then may rows of another table be among those that were saved.
            Lost::NotKnown => {}
        }
        if report.method != Method::Salvage {
            assert_eq!(there, rows_before, "{table}, without a person; {what}");
        }
    }
    let mut connection = Connection::open(file, Access::ReadOnly, Duration::ZERO).unwrap();
    assert_eq!(
        integrity_check(&mut connection),
        Ok(Integrity::Intact),
        "{what}"
    );
    let version = connection.scalar("PRAGMA user_version");
    assert_eq!(version, Ok(SqlValue::Integer(7)), "{what}");
    let names = connection.scalar(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('both_of', 'never', 'events_kind')",
    );
    assert_eq!(names, Ok(SqlValue::Integer(3)), "{what}");
    connection.close();
    assert!(report.saved() > 0, "a silent empty start: {what}");
}

fn salvage_all(kind: Damage) {
    let folder = tempfile::tempdir().unwrap();
    let healthy = folder.path().join("healthy.db");
    build(&healthy);
    let before = rows(&healthy);
    let bytes = std::fs::read(&healthy).unwrap();
    let total: usize = before.values().map(Vec::len).sum();
    let (mut saved, mut refused, mut exact) = (0, 0, 0);
    let (mut unseen, mut automatic) = (0, 0);
    for seed in 0..SEEDS {
        let path = folder.path().join("damaged.db");
        let mut damaged = bytes.clone();
        damage(&mut damaged, kind, seed);
        std::fs::write(&path, &damaged).unwrap();
        if !is_caught(&path) {
            assert!(!is_always_seen(kind), "{kind:?} {seed} was not caught");
            unseen += 1;
            continue;
        }
        let work = tempfile::tempdir().unwrap();
        match salvaged(&path, work.path()) {
            Ok(salvaged) => {
                verify(kind, seed, &before, &salvaged.file, &salvaged.report);
                saved += salvaged.report.saved() as usize;
                automatic += usize::from(salvaged.report.method != Method::Salvage);
                let is_exact = |it: &boot_checks::model::TableSalvage| {
                    matches!(it.lost, Lost::Exactly(_) | Lost::AtMost(0))
                };
                exact += usize::from(salvaged.report.tables.iter().all(is_exact));
            }
            Err(error) => {
                println!("{kind:?} {seed}: {error}");
                refused += 1;
            }
        }
        assert!(
            std::fs::read(&path).unwrap() == damaged,
            "the damaged file was touched"
        );
    }
    let tries = SEEDS as usize - unseen;
    assert!(refused < tries, "{kind:?}: nothing was ever saved");
    println!(
        "| {kind:?} | {SEEDS} places | {unseen} not seen | {automatic} whole without a person | {saved} of {} rows saved | {exact} with exact losses | {refused} refused |",
        total * (tries - refused)
    );
}

macro_rules! kinds {
    ($($name:ident: $kind:ident;)+) => {
        $(#[test] fn $name() { salvage_all(Damage::$kind); })+
    };
}

kinds! {
    a_zeroed_interior_page: ZeroedInterior;
    a_zeroed_leaf: ZeroedLeaf;
    damaged_cell_pointers: CellPointers;
    a_damaged_index_page: IndexPage;
    a_file_that_was_cut_off: CutOff;
    a_damaged_header: Header;
    a_page_of_garbage: Garbage;
    a_damaged_free_list: FreeList;
    an_old_first_page: OldRoot;
    an_empty_first_page: EmptyRoot;
    a_leaf_that_names_fewer_rows: FewerRows;
    a_leaf_that_names_fewer_entries: FewerEntries;
    a_page_that_is_a_copy_of_another: CopyOfAnother;
    two_pages_in_each_others_place: Swapped;
}

/// No checksum stands beside a row: bytes that were changed in place are the application's to notice.
/// Nothing is healed, because nothing is seen.
#[test]
fn changed_bytes_of_a_row_are_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    build(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    damage(&mut bytes, Damage::Payload, 0);
    std::fs::write(&path, &bytes).unwrap();
    assert!(!is_caught(&path));
}

/// What is cut off reads as zeros, and zeros would pass for the end of a long row.
#[test]
fn a_row_whose_end_is_cut_off_is_lost_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
    connection
        .execute(
            "PRAGMA page_size = 1024; CREATE TABLE t (id INTEGER PRIMARY KEY, body);
             INSERT INTO t VALUES (1, 'short'), (2, replace(hex(zeroblob(4000)), '00', 'xy'))",
        )
        .unwrap();
    connection.close();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let work = tempfile::tempdir().unwrap();
    let salvaged = salvaged(&path, work.path()).unwrap();
    assert_eq!(salvaged.report.method, Method::Salvage);
    assert_eq!(salvaged.report.tables[0].saved, 1);
    assert!(
        !salvaged.report.lost().is_nothing(),
        "{:?}",
        salvaged.report
    );
}

/// Whatever tables and indexes there may be in a sound database: all of it is seen to be whole, so that a
/// header that was written over is no person's decision.
#[test]
fn every_sort_of_table_and_index_is_proven_whole() {
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)";
    let sql = format!(
        "CREATE TABLE reals (a REAL, b REAL, c NUMERIC); CREATE INDEX reals_all ON reals (a, b DESC, c);
         CREATE TABLE texts (t TEXT COLLATE NOCASE UNIQUE, long TEXT); CREATE INDEX texts_long ON texts (long);
         CREATE TABLE made (a INT, b INT AS (a * 2) STORED, c INT AS (a + 1)); CREATE INDEX made_c ON made (c, b);
         CREATE TABLE some (a, b); CREATE INDEX some_part ON some (a) WHERE b > 5;
         CREATE INDEX some_sum ON some (a + b); CREATE UNIQUE INDEX some_null ON some (b) WHERE b IS NULL;
         CREATE TABLE keyed (a TEXT, b INT, c, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
         CREATE INDEX keyed_c ON keyed (c); CREATE TABLE strict_one (a INT, b ANY) STRICT;
         CREATE TABLE \"rowid\" (rowid INT, _rowid_ INT, x); CREATE TABLE pk (a TEXT PRIMARY KEY, b);
         CREATE TABLE later (a); CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x UNIQUE);
         {numbers} INSERT INTO reals SELECT i, i / 3.0, CASE i % 3 WHEN 0 THEN i ELSE 'x' || i END FROM n;
         {numbers} INSERT INTO texts SELECT 'Text ' || i, CASE i % 50 WHEN 0 THEN hex(zeroblob(i)) END FROM n;
         {numbers} INSERT INTO made (a) SELECT i FROM n;
         {numbers} INSERT INTO some SELECT nullif(i, 7), i % 9 + 1 FROM n;
         {numbers} INSERT INTO keyed SELECT 'key ' || (i % 700), i, i % 11 FROM n;
         {numbers} INSERT INTO strict_one SELECT i, CASE i % 2 WHEN 0 THEN i ELSE 'a' || i END FROM n;
         {numbers} INSERT INTO \"rowid\" SELECT i, 3000 - i, zeroblob(i % 2000) FROM n;
         {numbers} INSERT INTO pk SELECT 'pk ' || (i * 7919 % 3001), i FROM n;
         {numbers} INSERT INTO later SELECT i FROM n; ALTER TABLE later ADD COLUMN b DEFAULT 7;
         CREATE INDEX later_b ON later (b); UPDATE later SET b = 8 WHERE a % 10 = 0;
         {numbers} INSERT INTO counted (x) SELECT i FROM n; DELETE FROM counted WHERE id % 3 = 0;
         DELETE FROM keyed WHERE b % 5 = 0; DELETE FROM texts WHERE rowid BETWEEN 500 AND 2000;
         CREATE VIRTUAL TABLE words USING fts5 (body);
         {numbers} INSERT INTO words SELECT 'word ' || i || ' and more' FROM n; ANALYZE;
         DROP TABLE strict_one"
    );
    for settings in [
        "PRAGMA page_size = 512",
        "PRAGMA page_size = 65536",
        "PRAGMA auto_vacuum = FULL; PRAGMA page_size = 1024",
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA encoding = 'UTF-16le'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        connection.execute(settings).unwrap();
        connection.execute(&sql).unwrap();
        connection.close();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[..16].fill(0);
        std::fs::write(&path, bytes).unwrap();
        let work = tempfile::tempdir().unwrap();
        let report = salvaged(&path, work.path()).unwrap().report;
        assert_ne!(report.method, Method::Salvage, "{settings}: {report:#?}");
    }
}
