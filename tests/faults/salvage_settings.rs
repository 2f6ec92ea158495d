//! What a rebuilt database says of itself besides its tables.

use std::path::Path;
use std::time::Duration;

use boot_checks::model::{Lost, Method, SqlValue};
use boot_checks::services::db::salvage::Salvaged;
use boot_checks::services::db::{Access, Connection};

use crate::damaged::{fill_root_page, salvaged};

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
