//! When every page is looked at, and what an edited migration means.
#![cfg(unix)]

mod support;

use std::fs;

use support::{Fixture, step};

const PAGES: &str = "preflight::database_intact";
const CHECKSUMS: &str = "schema_secrets::migration_checksums";

/// What a boot said about its look at the pages.
fn observed(fixture: &Fixture) -> String {
    let (_, record) = fixture.boot_json(&[]);
    step(&record, PAGES)["observed"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn every_page_is_looked_at_after_an_unclean_end_and_now_and_then() {
    let fixture = Fixture::healthy();
    let plain = "header and schema; every page again in 49 boots";
    let memory = fixture.path("var/boot/integrity");
    let remembered = fs::read_to_string(&memory).unwrap();
    let is_unsettled = remembered.ends_with("\n!");
    assert!(is_unsettled, "what was healed was not looked at since");
    assert_eq!(
        observed(&fixture),
        "every page fits (no finished check is known)"
    );
    fixture.boot(&[]);
    assert_eq!(observed(&fixture), plain);

    let text = fs::read_to_string(&memory).unwrap();
    fs::write(&memory, format!("{text}{}", ".".repeat(60))).unwrap();
    assert_eq!(
        observed(&fixture),
        "every page fits (50 boots since the last time)"
    );

    fs::write(&memory, format!("another-{text}")).unwrap();
    assert_eq!(
        observed(&fixture),
        "every page fits (the machine was started anew)"
    );

    fs::remove_file(&memory).unwrap();
    assert_eq!(
        observed(&fixture),
        "every page fits (no finished check is known)"
    );

    // As after a crash: a log that nobody tidied up.
    let log = fixture.path("var/grace.db-wal");
    let database = fs::read(fixture.database()).unwrap();
    let mut connection = boot_checks::services::db::Connection::open(
        &fixture.database(),
        boot_checks::services::db::Access::ReadWrite,
        support::PATIENCE,
    )
    .unwrap();
    connection
        .execute("PRAGMA journal_mode = WAL; PRAGMA user_version = 7")
        .unwrap();
    let (main, frames) = (
        fs::read(fixture.database()).unwrap(),
        fs::read(&log).unwrap(),
    );
    connection.close();
    assert!(main.len() == database.len() && !frames.is_empty());
    fs::write(fixture.database(), main).unwrap();
    fs::write(&log, frames).unwrap();
    assert_eq!(
        observed(&fixture),
        "every page fits (a log or journal was left behind)"
    );
}

/// Not by a boot, until it is due.
#[test]
fn every_page_is_looked_at_where_a_person_asks() {
    let fixture = Fixture::healthy();
    fixture.sql(
        "CREATE TABLE theirs (x);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO theirs SELECT printf('%0500d', i) FROM n",
    );
    for _ in 0..2 {
        fixture.boot(&[]).says(0, &[]);
    }
    let mut bytes = fs::read(fixture.database()).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(7);
    fs::write(fixture.database(), bytes).unwrap();
    let look = ["boot", "--observe", "--stage", "preflight"];
    for asked in [
        &["heal", "rebuild_database", "--plan"][..],
        &["heal", "salvage_database", "--plan"],
        &look,
    ] {
        let answer = fixture.run(asked);
        assert!(
            answer.all().contains("malformed"),
            "{asked:?}: {}",
            answer.all()
        );
    }
    fixture.boot(&[]).says(0, &["every page again in"]);
}

/// A write that went to the wrong place: each page holds, and the index knows of other rows.
#[test]
fn an_index_with_the_page_of_another_is_found() {
    let fixture = Fixture::healthy();
    fixture.boot(&[]).says(0, &[]);
    fixture.sql(
        "CREATE TABLE theirs (x, y); CREATE INDEX theirs_x ON theirs (x);
         CREATE INDEX theirs_y ON theirs (y); INSERT INTO theirs VALUES ('a', 'b'), ('c', 'd')",
    );
    let mut connection = boot_checks::services::db::Connection::open(
        &fixture.database(),
        boot_checks::services::db::Access::ReadOnly,
        support::PATIENCE,
    )
    .unwrap();
    let mut root = |name: &str| {
        let sql = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'");
        match connection.scalar(&sql) {
            Ok(boot_checks::model::SqlValue::Integer(page)) => usize::try_from(page).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let (from, to) = (root("theirs_x"), root("theirs_y"));
    connection.close();
    let mut bytes = fs::read(fixture.database()).unwrap();
    let page = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    bytes.copy_within((from - 1) * page..from * page, (to - 1) * page);
    fs::write(fixture.database(), bytes).unwrap();
    fs::remove_file(fixture.path("var/boot/integrity")).unwrap();
    let (code, record) = fixture.boot_json(&[]);
    let pages = step(&record, PAGES);
    assert!(
        code == 8 && pages.to_string().contains("missing from index theirs_y"),
        "{code}: {pages:#}"
    );
}

/// SQLite's own check gives up at it, and at everything else with it.
#[test]
fn a_virtual_table_that_cannot_be_read_is_found_and_made_anew_with_approval() {
    let fixture = Fixture::healthy();
    fixture.boot(&[]).says(0, &[]);
    fixture.sql(
        "CREATE VIRTUAL TABLE theirs USING fts5 (x); INSERT INTO theirs VALUES ('a'), ('b');
         DELETE FROM theirs_config",
    );
    fs::remove_file(fixture.path("var/boot/integrity")).unwrap();
    let (code, record) = fixture.boot_json(&[]);
    let pages = step(&record, PAGES);
    let words = "virtual table theirs cannot be read: its settings are lost";
    assert!(
        code == 8 && pages.to_string().contains(words),
        "{code}: {pages:#}"
    );
    let plan = pages["repairs"][0]["fingerprint"].as_str().unwrap();
    fixture.boot(&["--approve", plan]).says(0, &[]);
    fixture.sql("INSERT INTO theirs VALUES ('c')");
}

/// Changes a definition behind SQLite's back, as a tool that edits the schema does.
fn redefine(fixture: &Fixture, from: &str, to: &str) {
    fixture.sql(&format!(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema
         SET sql = replace(sql, '{from}', '{to}') WHERE name = 'theirs'"
    ));
}

#[test]
fn what_the_application_wrote_is_told_and_is_nobodys_to_heal() {
    let fixture = Fixture::healthy();
    fixture.boot(&[]).says(0, &[]);
    fixture.sql(
        "CREATE TABLE theirs (id INTEGER PRIMARY KEY, n CHECK (n > 0), word TEXT, x);
         PRAGMA ignore_check_constraints = ON; INSERT INTO theirs VALUES (1, -1, NULL, 1)",
    );
    redefine(&fixture, "word TEXT", "word TEXT NOT NULL");
    fs::remove_file(fixture.path("var/boot/integrity")).unwrap();
    let before = fs::read(fixture.database()).unwrap();
    let (code, record) = fixture.boot_json(&[]);
    assert_eq!((code, &step(&record, PAGES)["status"]), (0, &"pass".into()));
    let notes = step(&record, PAGES)["notes"].to_string();
    for words in [
        "CHECK constraint failed in theirs: the rows are as they were written",
        "NULL value in theirs.word: the rows are as they were written",
    ] {
        assert!(notes.contains(words), "{notes}");
    }
    assert!(fs::read(fixture.database()).unwrap() == before);
    for playbook in ["rebuild_database", "salvage_database"] {
        let planned = fixture.run(&["heal", playbook, "--plan"]);
        assert!(!planned.all().contains("lost"), "{}", planned.all());
    }
    // The look counts: the next one is not due before its time.
    assert!(observed(&fixture).starts_with("header and schema"));
}

#[test]
fn a_log_of_what_the_application_wrote_belongs_to_its_database() {
    let fixture = Fixture::healthy();
    fixture.boot(&[]).says(0, &[]);
    fixture.sql("CREATE TABLE theirs (n CHECK (n > 0)); PRAGMA journal_mode = WAL");
    let mut connection = boot_checks::services::db::Connection::open(
        &fixture.database(),
        boot_checks::services::db::Access::ReadWrite,
        support::PATIENCE,
    )
    .unwrap();
    connection
        .execute("PRAGMA ignore_check_constraints = ON; INSERT INTO theirs VALUES (-1)")
        .unwrap();
    let log = fixture.path("var/grace.db-wal");
    let files = [fixture.database(), log];
    let kept = files.each_ref().map(|path| fs::read(path).unwrap());
    connection.close();
    for (path, contents) in files.iter().zip(kept) {
        fs::write(path, contents).unwrap();
    }
    fixture
        .boot(&[])
        .says(0, &["CHECK constraint failed in theirs"]);
}

/// SQLite goes on from what counts, and deletes the rest. After a power cut that is right, and said; while the system
/// ran on, it never is.
#[test]
fn a_log_that_does_not_hold_counts_after_a_power_cut_up_to_there() {
    for was_cut in [true, false] {
        let fixture = Fixture::healthy();
        let log = fixture.path("var/grace.db-wal");
        let open = || {
            let access = boot_checks::services::db::Access::ReadWrite;
            let path = fixture.database();
            boot_checks::services::db::Connection::open(&path, access, support::PATIENCE).unwrap()
        };
        let mut connection = open();
        let sql =
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 7";
        connection.execute(sql).unwrap();
        let held = fs::metadata(&log).unwrap().len();
        for version in [8, 9] {
            let sql = format!("PRAGMA user_version = {version}");
            connection.execute(&sql).unwrap();
        }
        let (main, mut frames) = (
            fs::read(fixture.database()).unwrap(),
            fs::read(&log).unwrap(),
        );
        connection.close();
        frames[usize::try_from(held).unwrap() + 100] ^= 1;
        fs::write(fixture.database(), main).unwrap();
        fs::write(&log, &frames).unwrap();
        if was_cut {
            let file = fs::File::options().write(true).open(&log).unwrap();
            let before = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30);
            file.set_modified(before).unwrap();
        }
        let (code, record) = fixture.boot_json(&[]);
        let readable = step(&record, "preflight::database_readable").clone();
        if was_cut {
            assert_eq!(code, 0, "{readable}");
            let note =
                "of its log 1 page counted, and 2 pages behind one that does not hold did not";
            assert!(readable.to_string().contains(note), "{readable}");
            let mut connection = open();
            assert_eq!(connection.scalar("PRAGMA user_version"), Ok(7.into()));
            connection.close();
        } else {
            assert_eq!(code, 1, "{readable}");
            assert!(readable.to_string().contains("does not hold"), "{readable}");
            assert!(fs::read(&log).unwrap() == frames);
        }
    }
}

/// The new file has the encoding of the old one.
#[test]
fn a_database_in_utf_16_is_rebuilt() {
    let fixture = Fixture::empty();
    fixture.sql(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE theirs (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         INSERT INTO theirs SELECT i, 'row ' || i FROM n",
    );
    fixture.boot(&[]).says(0, &[]);
    let mut database = fs::read(fixture.database()).unwrap();
    let mut pages = database.chunks_exact_mut(4096).skip(1);
    // A leaf of the index.
    pages.find(|page| page[0] == 0x0a).unwrap().fill(0);
    fs::write(fixture.database(), database).unwrap();
    fs::remove_file(fixture.path("var/boot/integrity")).unwrap();
    fixture
        .boot(&[])
        .says(0, &["copied every row into a new file"]);
    let mut connection = boot_checks::services::db::Connection::open(
        &fixture.database(),
        boot_checks::services::db::Access::ReadOnly,
        support::PATIENCE,
    )
    .unwrap();
    let encoding = connection.scalar("PRAGMA encoding");
    assert_eq!(encoding, Ok("UTF-16le".into()));
    let rows = connection.scalar("SELECT count(*) FROM theirs WHERE x = 'row ' || id");
    assert_eq!(rows, Ok(900.into()));
    connection.close();
}

#[test]
fn what_only_the_application_registers_aborts_no_boot() {
    let function = ("n > 0", "theirs_is_good(n)");
    let collation = ("nocase", "theirs_order");
    for (from, to) in [function, collation] {
        let fixture = Fixture::healthy();
        fixture.boot(&[]).says(0, &[]);
        fixture.sql(
            "CREATE TABLE theirs (n CHECK (n > 0), word TEXT COLLATE nocase);
             CREATE INDEX theirs_words ON theirs (word); INSERT INTO theirs VALUES (1, 'a')",
        );
        redefine(&fixture, from, to);
        fs::remove_file(fixture.path("var/boot/integrity")).unwrap();
        let named = to.split('(').next().unwrap();
        fixture
            .boot(&[])
            .says(0, &["could not look at all of it", named]);
    }
}

#[test]
fn a_boot_that_does_not_end_well_makes_the_next_one_look_at_every_page() {
    let fixture = Fixture::healthy();
    fixture.boot(&[]);
    fixture.write("boot.toml", "[tables]\nnever_made = [\"id\"]\n");
    assert_ne!(fixture.boot(&[]).code, 0);
    let remembered = fixture.read("var/boot/integrity");
    assert_ne!(fixture.boot(&[]).code, 0);
    let is_bounded = fixture.read("var/boot/integrity") == remembered;
    assert!(is_bounded, "it grows with each boot that ends badly");
    fs::remove_file(fixture.path("boot.toml")).unwrap();
    assert_eq!(
        observed(&fixture),
        "every page fits (no finished check is known)"
    );
}

#[test]
fn a_partial_or_an_observing_run_is_no_boot() {
    let fixture = Fixture::healthy();
    fixture.boot(&[]);
    let memory = fixture.read("var/boot/integrity");
    fixture.boot(&["--observe"]);
    assert_eq!(fixture.read("var/boot/integrity"), memory);
    fixture.boot(&["codec"]);
    assert_eq!(fixture.read("var/boot/integrity"), memory);
}

const FOLDER: &str = "name = \"shop\"\n[database]\nurl = \"sqlite:///./var/grace.db\"\n\
                      [migrations]\nfolder = \"migrations\"\n[tables]\norders = [\"id\"]\n";

const FIRST: &str =
    "-- orders\nCREATE TABLE orders (\n  id INTEGER PRIMARY KEY,\n  note TEXT\n);\n";

/// An application whose one migration was applied as `FIRST`, and reads `text` now.
fn edited(text: &str) -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("boot.toml", FOLDER);
    fixture.write("migrations/1_orders.sql", FIRST);
    fixture.boot(&[]).says(0, &[]);
    fixture.sql("INSERT INTO orders VALUES (1, 'kept')");
    fixture.write("migrations/1_orders.sql", text);
    fixture
}

#[test]
fn other_line_endings_are_stamped_anew_and_nothing_is_run_again() {
    let crlf = FIRST.replace('\n', "\r\n");
    for text in [
        crlf.clone(),
        format!("\u{feff}{FIRST}"),
        format!("\u{feff}{crlf}"),
    ] {
        let fixture = edited(&text);
        let before = fs::read(fixture.database()).unwrap();
        let (code, observed) = fixture.boot_json(&["--observe"]);
        assert_eq!(
            (code, &step(&observed, CHECKSUMS)["status"]),
            (0, &"warn".into())
        );
        let (code, record) = fixture.boot_json(&[]);
        assert_eq!(
            (code, &step(&record, CHECKSUMS)["status"]),
            (0, &"fixed".into())
        );
        let run = record["run_id"].as_str().unwrap().to_owned();
        let (_, again) = fixture.boot_json(&[]);
        assert_eq!(step(&again, CHECKSUMS)["status"], "pass");
        let mut undo = assert_cmd::Command::cargo_bin("xtask").unwrap();
        undo.args(["undo", &run, "--root"]).arg(fixture.root());
        undo.assert().success();
        assert!(fs::read(fixture.database()).unwrap() == before, "{text:?}");
    }
}

#[test]
fn an_edit_that_makes_the_same_structure_is_a_warning() {
    let fixture = edited(&FIRST.replace("-- orders", "-- all orders"));
    let before = fs::read(fixture.database()).unwrap();
    fixture.boot(&[]).says(
        0,
        &["[WARN]", "migration 1 was edited after it was applied"],
    );
    fixture.boot(&["--strict"]).says(5, &[]);
    assert!(fs::read(fixture.database()).unwrap() == before);
}

#[test]
fn an_edit_that_makes_another_structure_aborts_with_the_difference() {
    let cases = [
        (
            "note TEXT",
            "note TEXT, total REAL",
            "column orders.total would be made and is not there",
        ),
        (
            ",\n  note TEXT",
            "",
            "column orders.note is there and would not be made",
        ),
        (
            "note TEXT",
            "note INTEGER",
            "column orders.note: found TEXT, would be INTEGER",
        ),
    ];
    for (from, to, difference) in cases {
        let fixture = edited(&FIRST.replace(from, to));
        let before = fs::read(fixture.database()).unwrap();
        fixture
            .boot(&[])
            .says(1, &["edited after it was applied", difference]);
        assert!(fs::read(fixture.database()).unwrap() == before, "{to}");
    }
}
