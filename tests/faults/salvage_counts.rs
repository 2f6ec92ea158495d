//! What is said to be lost of a small table: never less than what is.

use std::path::Path;
use std::time::Duration;

use boot_checks::model::{Lost, Method, SalvageReport, SqlValue};
use boot_checks::services::db::salvage::Salvaged;
use boot_checks::services::db::{Access, Connection};

use crate::damaged::{root_page, salvaged};

const PAGE_SIZES: [usize; 5] = [512, 1024, 4096, 8192, 65_536];

/// Which page of the table `t` is hurt.
#[derive(Clone, Copy, Debug)]
enum Which {
    Root,
    /// The last page of the file.
    Last,
}

/// Something that a page became.
type Hurt = fn(&mut Vec<u8>, usize, usize);

const HURTS: [(&str, Hurt); 5] = [
    ("zeros", |bytes, from, page| {
        bytes[from..from + page].fill(0)
    }),
    ("a sector of zeros", |bytes, from, _| {
        bytes[from..from + 512].fill(0);
    }),
    ("another kind", |bytes, from, _| bytes[from] = 0),
    ("something else", |bytes, from, page| {
        bytes[from..from + page].fill(0xee);
    }),
    ("cut off", |bytes, from, page| {
        // Only what ends the file can be.
        match from + page == bytes.len() {
            true => bytes.truncate(from),
            false => bytes[from..from + page].fill(0),
        }
    }),
];

/// Where the table `t` begins.
fn created(path: &Path, sql: &str) -> usize {
    let mut connection = Connection::open(path, Access::Create, Duration::ZERO).unwrap();
    connection.execute(sql).unwrap();
    connection.close();
    root_page(path, "t")
}

fn rows_of(path: &Path, table: &str) -> u64 {
    let mut connection = Connection::open(path, Access::ReadWrite, Duration::ZERO).unwrap();
    let rows = connection.scalar(&format!("SELECT count(*) FROM {table}"));
    connection.close();
    match rows {
        Ok(SqlValue::Integer(rows)) => rows.unsigned_abs(),
        other => panic!("{table}: {other:?}"),
    }
}

fn verify(what: &str, report: &SalvageReport, table: &str, before: u64, after: u64) {
    let told = report.tables.iter().find(|it| it.table == table).unwrap();
    assert_eq!(told.saved, after, "{what}: {report:#?}");
    let gone = before - after;
    let is_true = match told.lost {
        Lost::Exactly(rows) => rows == gone,
        Lost::AtMost(rows) => gone <= rows,
        Lost::NotKnown => true,
    };
    assert!(is_true, "{what}: {gone} of {before} lost: {report:#?}");
    assert!(gone == 0 || report.method == Method::Salvage, "{what}");
    assert!(gone == 0 || told.is_hurt, "{what}: {report:#?}");
}

/// Hurts one page in every way, of a table of so many rows, at every size of a page.
fn hurt_everywhere(schema: &str, rows: u64, which: Which) {
    for page in PAGE_SIZES {
        for (name, hurt) in HURTS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let sql = format!(
                "PRAGMA page_size = {page}; CREATE TABLE kept (id INTEGER PRIMARY KEY, x);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
                 INSERT INTO kept SELECT i, 'row' || i FROM n; {schema};
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 INSERT INTO t (x) SELECT 'row' || i FROM n; UPDATE t SET x = x || 'x'"
            );
            let root = created(&path, &sql);
            let mut bytes = std::fs::read(&path).unwrap();
            let number = match which {
                Which::Root => root,
                Which::Last => bytes.len() / page,
            };
            hurt(&mut bytes, (number - 1) * page, page);
            std::fs::write(&path, &bytes).unwrap();
            let work = tempfile::tempdir().unwrap();
            let Salvaged { file, report } = salvaged(&path, work.path()).unwrap();
            let what = format!("{schema}, pages of {page}, {which:?}: {name}");
            verify(&what, &report, "t", rows, rows_of(&file, "t"));
            verify(&what, &report, "kept", 300, rows_of(&file, "kept"));
        }
    }
}

/// Zeros are what a list of free pages with nothing on it looks like too.
#[test]
fn a_table_whose_only_page_is_gone_is_never_said_to_have_lost_nothing() {
    for schema in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x)",
        "CREATE TABLE t (x)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t (x)",
        "CREATE TABLE t (x PRIMARY KEY, y) WITHOUT ROWID",
    ] {
        hurt_everywhere(schema, 10, Which::Root);
        hurt_everywhere(schema, 10, Which::Last);
    }
}

#[test]
fn a_table_of_many_pages_never_loses_more_than_is_said() {
    for schema in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x)",
        "CREATE TABLE t (x PRIMARY KEY, y) WITHOUT ROWID",
    ] {
        hurt_everywhere(schema, 2_000, Which::Root);
        hurt_everywhere(schema, 2_000, Which::Last);
    }
}

/// The counter is written when rows are inserted, not when one gets another rowid, and an application may
/// set it back.
#[test]
fn a_counter_of_rowids_bounds_no_loss() {
    for later in [
        "UPDATE t SET id = id + 1000",
        "UPDATE sqlite_sequence SET seq = 0",
    ] {
        let schema = format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x); CREATE TRIGGER late \
                     AFTER UPDATE OF x ON t WHEN new.x = 'row1x' BEGIN {later}; END"
        );
        hurt_everywhere(&schema, 300, Which::Last);
    }
}

/// Where the header does not say how long the file was, what is cut off is not known.
#[test]
fn nothing_bounds_what_is_lost_of_a_file_of_unknown_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, x);
               WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
               INSERT INTO t SELECT i, 'row' || i FROM n";
    let root = created(&path, sql);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[92..96].fill(0xee);
    bytes[(root - 1) * 4096..root * 4096].fill(0);
    bytes.truncate(bytes.len() - 10 * 4096);
    std::fs::write(&path, &bytes).unwrap();
    let work = tempfile::tempdir().unwrap();
    let Salvaged { file, report } = salvaged(&path, work.path()).unwrap();
    verify("cut", &report, "t", 9000, rows_of(&file, "t"));
    assert_eq!(report.tables[0].lost, Lost::NotKnown);
}

/// Two tables of one page each have each other's, and an index of some rows alone knows it.
#[test]
fn rows_that_a_partial_index_does_not_know_are_nobodys_to_index_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let sql = "PRAGMA page_size = 4096; CREATE TABLE t (id INTEGER PRIMARY KEY, x);
               CREATE TABLE other (id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t (x) WHERE x > 'm';
               INSERT INTO t VALUES (1, 'a'), (2, 'p'); INSERT INTO other VALUES (1, 'b'), (2, 'c'), (3, 'd')";
    let root = created(&path, sql);
    let mut bytes = std::fs::read(&path).unwrap();
    let (own, others) = bytes[(root - 1) * 4096..(root + 1) * 4096].split_at_mut(4096);
    own.swap_with_slice(others);
    std::fs::write(&path, &bytes).unwrap();
    let work = tempfile::tempdir().unwrap();
    let report = salvaged(&path, work.path()).unwrap().report;
    assert_eq!(report.method, Method::Salvage, "{report:#?}");
    for table in &report.tables {
        assert_eq!(table.lost, Lost::NotKnown, "{report:#?}");
    }
}

/// The index is the one that has a page of another: the table never had a row.
#[test]
fn entries_that_came_from_elsewhere_are_not_counted_as_lost_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let sql = "PRAGMA page_size = 4096; CREATE TABLE t (x TEXT PRIMARY KEY, y) WITHOUT ROWID;
               CREATE INDEX i ON t (y); CREATE TABLE other (x TEXT PRIMARY KEY, y) WITHOUT ROWID;
               INSERT INTO other VALUES ('b', 'c'), ('d', 'e')";
    let root = created(&path, sql);
    let mut bytes = std::fs::read(&path).unwrap();
    // In the order in which they are made: the table, its index, the other.
    bytes.copy_within((root + 1) * 4096..(root + 2) * 4096, root * 4096);
    std::fs::write(&path, &bytes).unwrap();
    let work = tempfile::tempdir().unwrap();
    let report = salvaged(&path, work.path()).unwrap().report;
    let told = report.tables.iter().find(|it| it.table == "t").unwrap();
    assert_eq!(told.lost, Lost::NotKnown, "{report:#?}");
}
