//! Virtual tables after a salvage: usable, or said not to be.

use std::time::Duration;

use boot_checks::model::{Lost, Method, SalvageReport, SqlValue};
use boot_checks::services::db::salvage::Salvaged;
use boot_checks::services::db::{Access, Connection, Integrity, integrity_check};

use crate::damaged::{fill_root_page, salvaged};

const PAGE: usize = 4096;

const ROWS: i64 = 30;

/// Makes a virtual table `f` of so many rows, fills one page with something else, and asks what came of it.
fn salvaged_without(sql: &str, part: &str, ask: &[&str]) -> (SalvageReport, Vec<SqlValue>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
    connection
        .execute(&format!(
            "PRAGMA page_size = {PAGE}; CREATE TABLE kept (id INTEGER PRIMARY KEY, x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO kept SELECT i, 'a text ' || i FROM n; {sql}"
        ))
        .unwrap();
    connection.close();
    fill_root_page(&path, part, PAGE);
    let work = tempfile::tempdir().unwrap();
    let Salvaged { file, report } = salvaged(&path, work.path()).unwrap();
    let mut connection = Connection::open(&file, Access::ReadWrite, Duration::ZERO).unwrap();
    let seen = integrity_check(&mut connection).unwrap();
    let is_seen = matches!(seen, Integrity::Intact | Integrity::Partly { .. });
    assert!(is_seen, "{part}: {seen:?}: {report:#?}");
    let mut answer = |sql: &&str| connection.scalar(sql);
    let answers = ask.iter().map(&mut answer).collect::<Result<_, _>>();
    let answers = answers.unwrap_or_else(|error| panic!("{part}: {error}: {report:#?}"));
    connection.close();
    (report, answers)
}

const READ: [&str; 2] = [
    "SELECT count(*) FROM f",
    "SELECT count(*) FROM f WHERE f MATCH 'text'",
];

#[test]
fn a_full_text_index_that_lost_any_part_of_its_own_can_be_searched_and_written_afterwards() {
    let own = "INSERT INTO f SELECT x FROM kept";
    let others = "INSERT INTO f (f) VALUES ('rebuild')";
    let cases = [
        (
            format!("CREATE VIRTUAL TABLE f USING fts5 (x); {own}"),
            "f_config f_data f_idx f_docsize",
        ),
        (
            format!(
                "CREATE VIRTUAL TABLE f USING fts5 (x, content='kept', content_rowid='id'); {others}"
            ),
            "f_config f_data f_idx f_docsize",
        ),
        (
            format!("CREATE VIRTUAL TABLE f USING fts4 (x); {own}"),
            "f_segments f_segdir f_docsize f_stat",
        ),
    ];
    for (sql, parts) in &cases {
        for part in parts.split(' ') {
            let (report, answers) = salvaged_without(sql, part, &READ);
            assert_eq!(
                answers,
                [ROWS.into(), ROWS.into()],
                "{sql}, {part}: {report:#?}"
            );
            assert_eq!(report.method, Method::Salvage);
            let is_told = report.notes.iter().any(|it| it.contains("built anew"));
            assert!(is_told, "{sql}, {part}: {report:#?}");
        }
    }
}

#[test]
fn an_index_that_keeps_no_rows_is_not_said_to_have_lost_none() {
    let text = "CREATE VIRTUAL TABLE f USING fts5 (x, content='');
                INSERT INTO f (rowid, x) SELECT id, x FROM kept";
    let places = "CREATE VIRTUAL TABLE f USING rtree (id, a, b);
                  INSERT INTO f SELECT id, id, id + 1 FROM kept";
    let searched = ["SELECT count(*) FROM f WHERE f MATCH 'text'"];
    let read = ["SELECT count(*) FROM f"];
    for (sql, part, ask, left) in [
        (text, "f_config", searched, 0),
        (text, "f_data", searched, 0),
        (places, "f_node", read, 0),
        (places, "f_parent", read, ROWS),
    ] {
        let (report, answers) = salvaged_without(sql, part, &ask);
        assert_eq!(answers, [SqlValue::Integer(left)], "{part}: {report:#?}");
        assert_eq!(report.lost(), Lost::NotKnown, "{part}: {report:#?}");
    }
}

/// SQLite cannot look at it, and it can be made from nothing.
#[test]
fn a_full_text_index_that_keeps_no_rows_stays_as_it_is_where_another_table_is_hurt() {
    let sql = "CREATE VIRTUAL TABLE f USING fts4 (content='', x);
               INSERT INTO f (docid, x) SELECT id, x FROM kept;
               CREATE VIRTUAL TABLE g USING fts5 (x); INSERT INTO g SELECT x FROM kept";
    for part in ["kept", "g_data"] {
        let (report, answers) = salvaged_without(sql, part, &READ[1..]);
        assert_eq!(answers, [ROWS.into()], "{part}: {report:#?}");
        let mut own = report.tables.iter().filter(|it| it.table.starts_with('f'));
        assert!(own.all(|it| it.lost.is_nothing()), "{part}: {report:#?}");
    }
}
