//! What a rebuilt database says of itself besides its tables.

use std::path::Path;
use std::time::Duration;

use boot_checks::model::{Lost, Method, SalvageReport, SqlValue};
use boot_checks::services::db::salvage::{KeptCopy, Salvaged, salvage};
use boot_checks::services::db::{Access, Connection};

use crate::damaged::{fill_root_page, root_page, salvaged};

const PAGE: usize = 4096;

const RESERVED: u8 = 32;

/// An empty database each of whose pages keeps bytes for an extension.
fn with_reserved_bytes(path: &Path) {
    let mut connection = Connection::open(path, Access::Create, Duration::ZERO).unwrap();
    connection
        .execute(&format!(
            "PRAGMA page_size = {PAGE}; PRAGMA user_version = 7"
        ))
        .unwrap();
    connection.close();
    let mut bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.len(), PAGE);
    bytes[20] = RESERVED;
    let usable = u16::try_from(PAGE - usize::from(RESERVED)).unwrap();
    bytes[105..107].copy_from_slice(&usable.to_be_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_not_in_its_tables_goes_along_or_is_said_not_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    with_reserved_bytes(&path);
    let asked = [
        "PRAGMA user_version",
        "PRAGMA application_id",
        "PRAGMA default_cache_size",
        "SELECT group_concat(tbl || ' ' || idx || ' ' || stat, ';') FROM sqlite_stat1",
        "SELECT sql FROM sqlite_schema WHERE name = 'sqlite_stat1'",
        "SELECT seq FROM sqlite_sequence",
    ];
    let answers = |path: &Path| -> Vec<SqlValue> {
        let mut connection = Connection::open(path, Access::ReadWrite, Duration::ZERO).unwrap();
        let answers = asked.map(|sql| connection.scalar(sql).unwrap_or(SqlValue::Null));
        connection.close();
        answers.to_vec()
    };
    let mut connection = Connection::open(&path, Access::ReadWrite, Duration::ZERO).unwrap();
    connection
        .execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x); CREATE INDEX i ON t (x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
             INSERT INTO t (x) SELECT i % 10 FROM n; DELETE FROM t WHERE id > 40; ANALYZE;
             PRAGMA application_id = 99; PRAGMA default_cache_size = 123",
        )
        .unwrap();
    connection.close();
    let before = answers(&path);
    assert!(!before.contains(&SqlValue::Null), "{before:?}");
    fill_root_page(&path, "i", PAGE);
    let work = tempfile::tempdir().unwrap();
    let Salvaged { file, report } = salvaged(&path, work.path()).unwrap();
    assert_eq!(
        (report.method, report.lost()),
        (Method::Rebuild, Lost::Exactly(0)),
        "{report:#?}"
    );
    assert_eq!(answers(&file), before);
    let is_told = report
        .notes
        .iter()
        .any(|it| it.starts_with("32 bytes of each page"));
    assert!(is_told, "{report:#?}");
}

/// An ordinary mistake where foreign keys are off; SQLite refuses to check such a table.
#[test]
fn a_reference_that_names_no_unique_key_keeps_nothing_from_being_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
    connection
        .execute(&format!(
            "PRAGMA page_size = {PAGE}; PRAGMA foreign_keys = OFF;
             CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT); CREATE TABLE c (code TEXT REFERENCES p (code));
             CREATE TABLE d (p REFERENCES p); CREATE TABLE t (id INTEGER PRIMARY KEY);
             INSERT INTO c VALUES ('x'); INSERT INTO d VALUES (7); INSERT INTO t VALUES (1)"
        ))
        .unwrap();
    connection.close();
    fill_root_page(&path, "t", PAGE);
    let work = tempfile::tempdir().unwrap();
    let report = salvaged(&path, work.path()).unwrap().report;
    assert_eq!(report.dangling, 1, "{report:#?}");
    let words = "what rows of c refer to cannot be checked: a reference of it names no unique key";
    assert!(report.notes.iter().any(|it| it == words), "{report:#?}");
}

/// What it is said to know of a table of which only an older copy and the rows know anything.
fn counter_after(kept_at: Option<i64>, schema: &str, hurt: impl Fn(&Path)) -> (i64, SalvageReport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let execute = |path: &Path, sql: &str| {
        let mut connection = Connection::open(path, Access::Create, Duration::ZERO).unwrap();
        connection.execute(sql).unwrap();
        connection.close();
    };
    execute(
        &path,
        &format!(
            "PRAGMA page_size = {PAGE}; {schema}; CREATE TABLE other (x); INSERT INTO other VALUES (1);
             CREATE TABLE zz (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO zz VALUES (7)"
        ),
    );
    let copy = folder.path().join("copy.db");
    if let Some(number) = kept_at {
        std::fs::copy(&path, &copy).unwrap();
        execute(&copy, &format!("UPDATE sqlite_sequence SET seq = {number}"));
    }
    hurt(&path);
    let kept = kept_at.map(|_| KeptCopy {
        run_id: "run1".to_owned(),
        path: copy,
        is_whole: true,
    });
    let kept = || Ok(Box::new(kept.clone().into_iter()) as Box<dyn Iterator<Item = KeptCopy>>);
    let work = tempfile::tempdir().unwrap();
    let Salvaged { file, report } = salvage(&path, &kept, work.path()).unwrap();
    let mut connection = Connection::open(&file, Access::ReadWrite, Duration::ZERO).unwrap();
    connection
        .execute("INSERT INTO t (a) VALUES ('next')")
        .unwrap();
    let next = connection.scalar("SELECT max(id) FROM t").unwrap();
    connection.close();
    match next {
        SqlValue::Integer(next) => (next, report),
        other => panic!("{other:?}"),
    }
}

const COUNTED: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a);
    INSERT INTO t (a) VALUES (1), (2), (3); DELETE FROM t WHERE id = 3";

fn fill(name: &str) -> impl Fn(&Path) {
    move |path| fill_root_page(path, name, PAGE)
}

#[test]
fn a_counter_that_is_lost_is_said_to_be_and_taken_from_a_copy_where_that_is_higher() {
    for (kept_at, next, words) in [
        (
            None,
            3,
            "the counter of table t is lost: numbers of deleted rows may be given again",
        ),
        (
            Some(1),
            3,
            "the counter of table t is lost: numbers of deleted rows may be given again",
        ),
        (
            Some(20),
            21,
            "the counter of table t is lost, and is the one of the copy of run run1: numbers of rows deleted \
             since may be given again",
        ),
    ] {
        let (given, report) = counter_after(kept_at, COUNTED, fill("sqlite_sequence"));
        assert_eq!(given, next, "{kept_at:?}: {report:#?}");
        // Something that was committed is lost: a person decides.
        assert_eq!(report.method, Method::Salvage, "{report:#?}");
        assert_eq!(report.counters, ["t", "zz"], "{report:#?}");
        assert!(report.lost().is_nothing(), "{report:#?}");
        assert!(report.notes.iter().any(|it| it == words), "{report:#?}");
        assert!(
            report
                .summary()
                .ends_with("0 lost, the counters of 2 tables lost"),
            "{}",
            report.summary()
        );
    }
}

/// The copy is older: what the file itself says is what counts.
#[test]
fn a_counter_that_can_be_read_is_kept() {
    // A table that never had a row has none.
    let schema = format!("{COUNTED}; CREATE TABLE never (id INTEGER PRIMARY KEY AUTOINCREMENT)");
    let (given, report) = counter_after(Some(20), &schema, fill("other"));
    assert_eq!(given, 4, "{report:#?}");
    assert!(report.counters.is_empty(), "{report:#?}");
    // Whose name comes before that of the table with the counters too.
    let schema = COUNTED.replace(" t ", " a ") + "; CREATE TABLE t (id INTEGER PRIMARY KEY, a)";
    let (_, report) = counter_after(Some(20), &schema, fill("sqlite_sequence"));
    assert_eq!(report.counters, ["a", "zz"], "{report:#?}");
    assert!(
        report
            .notes
            .iter()
            .any(|it| it.starts_with("the counter of table a is lost, and"))
    );
}

/// A page of a table stands in an index: a write went elsewhere, and of no other it is certain that its own did not.
#[test]
fn a_counter_may_be_older_where_other_pages_are() {
    let schema =
        format!("{COUNTED}; CREATE TABLE u (x); INSERT INTO u VALUES (1); CREATE INDEX i ON u (x)");
    let (given, report) = counter_after(Some(20), &schema, |path| {
        let [from, to] = ["u", "i"].map(|name| (root_page(path, name) - 1) * PAGE);
        let mut bytes = std::fs::read(path).unwrap();
        bytes.copy_within(from..from + PAGE, to);
        std::fs::write(path, bytes).unwrap();
    });
    assert_eq!(given, 4, "{report:#?}");
    assert!(report.counters.is_empty(), "{report:#?}");
    let words = "the counters of tables may be older than their rows: numbers of deleted rows may be given again";
    assert!(report.notes.iter().any(|it| it == words), "{report:#?}");
}
