//! Tables without rowids: their rows are read from the table, whatever indexes there are beside it.

use std::path::Path;
use std::time::Duration;

use boot_checks::model::{Lost, Method, SqlValue};
use boot_checks::services::db::salvage::Salvaged;
use boot_checks::services::db::{Access, Connection};

use crate::damaged::salvaged;

const PAGE: usize = 4096;

fn created(path: &Path, schema: &str) {
    let mut connection = Connection::open(path, Access::Create, Duration::ZERO).unwrap();
    let sql = format!(
        "PRAGMA page_size = {PAGE}; {schema};
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO w (a, b, c) SELECT 'row' || i, i % 7, i * 7 % 100 FROM n;
         CREATE TABLE other (x); INSERT INTO other SELECT a FROM w"
    );
    connection.execute(&sql).unwrap();
    connection.close();
}

/// A page somewhere in the middle of a tree: where it begins in the file.
fn leaf_of(path: &Path, tree: &str) -> usize {
    let mut connection = Connection::open(path, Access::ReadOnly, Duration::ZERO).unwrap();
    let sql = format!(
        "SELECT pageno FROM dbstat WHERE name = '{tree}' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 3"
    );
    let leaf = connection.scalar(&sql).unwrap();
    connection.close();
    let SqlValue::Integer(leaf) = leaf else {
        panic!("{tree}: {leaf:?}")
    };
    (usize::try_from(leaf).unwrap() - 1) * PAGE
}

fn fill_a_leaf(path: &Path, tree: &str, with: u8) {
    let leaf = leaf_of(path, tree);
    let mut bytes = std::fs::read(path).unwrap();
    bytes[leaf..leaf + PAGE].fill(with);
    std::fs::write(path, bytes).unwrap();
}

/// Makes the first two cells of a leaf lead to nowhere.
fn lose_two_rows(path: &Path, tree: &str) {
    let pointers = leaf_of(path, tree) + 8;
    let mut bytes = std::fs::read(path).unwrap();
    bytes[pointers..pointers + 4].fill(0xff);
    std::fs::write(path, bytes).unwrap();
}

/// Indexes as large as the table, smaller, and such as hold all that its key has.
#[test]
fn a_damaged_index_beside_a_table_without_rowids_needs_no_person() {
    let keys = [
        "PRIMARY KEY (a, b)",
        "PRIMARY KEY (b DESC, a COLLATE NOCASE), UNIQUE (a, c)",
    ];
    let indexes = [
        "w (c)",
        "w (c, a)",
        "w (c, a, b)",
        "w (a, b)",
        "w (a, b, c)",
        "w (b DESC, a COLLATE NOCASE, c)",
    ];
    for (key, columns) in keys.iter().flat_map(|it| [(it, "c"), (it, "c, d, e")]) {
        for over in indexes {
            for with in [0, 0xee] {
                let what = format!("{columns}, {key}, {over}, filled with {with}");
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("a.db");
                let schema = format!(
                    "CREATE TABLE w (a TEXT, b INT, {columns}, {key}) WITHOUT ROWID;
                     CREATE INDEX wi ON {over}"
                );
                created(&path, &schema);
                fill_a_leaf(&path, "wi", with);
                let work = tempfile::tempdir().unwrap();
                let report = salvaged(&path, work.path()).unwrap().report;
                assert_ne!(report.method, Method::Salvage, "{what}: {report:#?}");
                assert!(report.lost().is_nothing(), "{what}: {report:#?}");
            }
        }
    }
}

/// Rows can be read up to the damage only in the order in which they stand, from either end.
#[test]
fn rows_on_both_sides_of_the_damage_are_saved_whatever_the_key_is_ordered_by() {
    for key in ["a, b", "b DESC, a", "b, a COLLATE NOCASE DESC"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let schema = format!(
            "CREATE TABLE w (a TEXT, b INT, c, PRIMARY KEY ({key})) WITHOUT ROWID;
             CREATE INDEX wi ON w (b, a, c)"
        );
        created(&path, &schema);
        fill_a_leaf(&path, "w", 0xee);
        let work = tempfile::tempdir().unwrap();
        let Salvaged { report, .. } = salvaged(&path, work.path()).unwrap();
        let told = report.tables.iter().find(|it| it.table == "w").unwrap();
        // A leaf holds no more than some three hundred of them.
        assert!(told.saved > 2_500, "{key}: {report:#?}");
        assert!(!told.lost.is_nothing(), "{key}: {report:#?}");
    }
}

/// SQLite reads the index of a `UNIQUE` by way of the table, and passes over entries whose row is not there.
#[test]
fn rows_that_the_index_of_a_unique_knows_are_counted() {
    for schema in [
        "(a TEXT PRIMARY KEY, b, c, d AS (b * 100 + c), UNIQUE (a, c)) WITHOUT ROWID",
        "(a TEXT PRIMARY KEY UNIQUE, b, c, UNIQUE (c, b, a)) WITHOUT ROWID",
        "(a TEXT UNIQUE, b, c, PRIMARY KEY (b DESC, a)) WITHOUT ROWID",
        "(a TEXT UNIQUE, b, c, PRIMARY KEY (b, a COLLATE NOCASE)) WITHOUT ROWID",
        "(a TEXT COLLATE NOCASE PRIMARY KEY, b, c, UNIQUE (b, a)) WITHOUT ROWID",
        "(a TEXT PRIMARY KEY, b, c) WITHOUT ROWID; CREATE UNIQUE INDEX wi ON w (b, a)",
        "(a TEXT PRIMARY KEY, b, c)",
        "(a TEXT, b, c, id INTEGER PRIMARY KEY, UNIQUE (a))",
        "(a TEXT, b, c, UNIQUE (a, b), UNIQUE (b, a))",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        created(&path, &format!("CREATE TABLE w {schema}"));
        lose_two_rows(&path, "w");
        let work = tempfile::tempdir().unwrap();
        let report = salvaged(&path, work.path()).unwrap().report;
        let told = report.tables.iter().find(|it| it.table == "w").unwrap();
        let seen = (told.saved, told.lost);
        assert_eq!(seen, (2_998, Lost::Exactly(2)), "{schema}: {report:#?}");
    }
}
