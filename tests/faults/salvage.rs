//! Damaged databases through the whole gate: proposed, approved, counted, kept and taken back.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use boot_checks::model::SqlValue;
use serde_json::Value;

use crate::boots::{boot, command, run};
use crate::corruption::{Damage, STRUCTURAL, damage, is_always_seen};
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};

/// The files of a database, byte for byte.
pub(crate) type Files = BTreeMap<&'static str, Vec<u8>>;

pub(crate) fn files(sandbox: &Sandbox) -> Files {
    files_of(&sandbox.database())
}

fn files_of(main: &Path) -> Files {
    let side = |suffix| format!("{}{suffix}", main.display());
    ["", "-wal", "-journal"]
        .into_iter()
        .filter_map(|suffix| Some((suffix, std::fs::read(side(suffix)).ok()?)))
        .filter(|(suffix, bytes)| suffix.is_empty() || !bytes.is_empty())
        .collect()
}

/// A database that a boot has healed and kept a copy of, with free pages.
pub(crate) fn healthy() -> Sandbox {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
    let first = boot(sandbox.root());
    assert_eq!(first.code, Some(0), "{}", first.text());
    let mut connection = sandbox.open();
    connection
        .execute(
            "CREATE TABLE gone (x); INSERT INTO gone SELECT zeroblob(3000) FROM notes;
             DROP TABLE gone; CREATE INDEX notes_body ON notes (body)",
        )
        .unwrap();
    connection.close();
    sandbox
}

pub(crate) fn hurt(sandbox: &Sandbox, kind: Damage, seed: u64) {
    let mut bytes = std::fs::read(sandbox.database()).unwrap();
    damage(&mut bytes, kind, seed);
    std::fs::write(sandbox.database(), bytes).unwrap();
    // As after a restart of the machine.
    let _ = std::fs::remove_file(sandbox.root().join("var/boot/integrity"));
}

pub(crate) fn boot_json(sandbox: &Sandbox, arguments: &[&str]) -> (Option<i32>, Value) {
    let done = run(command(sandbox.root())
        .args(["--format", "json"])
        .args(arguments));
    let json = serde_json::from_slice(&done.output.stdout);
    (
        done.code,
        json.unwrap_or_else(|error| panic!("{error}: {}", done.text())),
    )
}

/// The repair of a damaged database in a record.
pub(crate) fn repair(record: &Value) -> Option<&Value> {
    let stages = record["stages"].as_array()?.iter();
    let mut steps = stages.flat_map(|stage| stage["steps"].as_array().unwrap());
    let is_ours = |repair: &&Value| {
        ["rebuild_database", "salvage_database"].contains(&repair["playbook"].as_str().unwrap())
    };
    steps.find_map(|step| step["repairs"].as_array()?.iter().find(is_ours))
}

/// Approves what the boot proposed.
pub(crate) fn approve(sandbox: &Sandbox, record: &Value) -> (Option<i32>, Value) {
    let plan = repair(record).unwrap()["fingerprint"].as_str().unwrap();
    boot_json(sandbox, &["--approve", plan])
}

/// Every row of every table, in words.
type Rows = BTreeMap<String, Vec<String>>;

fn rows(sandbox: &Sandbox) -> Rows {
    let mut connection = sandbox.open();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut all = Rows::new();
    for row in connection.query(sql, &[]).unwrap() {
        let [SqlValue::Text(name)] = row.as_slice() else {
            panic!("{row:?}")
        };
        let rows = connection.query(&format!("SELECT * FROM \"{name}\""), &[]);
        let mut rows: Vec<String> = rows.unwrap().iter().map(|it| format!("{it:?}")).collect();
        rows.sort();
        all.insert(name.clone(), rows);
    }
    connection.close();
    all
}

/// What is there against what was there and what was told, row by row.
fn verify_told(sandbox: &Sandbox, record: &Value, before: &Rows, what: &str) {
    let repair = repair(record).unwrap();
    let report = &repair["changes"][0]["report"];
    let after = rows(sandbox);
    if repair["playbook"] == "rebuild_database" {
        assert!(after == *before, "{what}, without a person: {report:#}");
    }
    for told in report["tables"].as_array().unwrap() {
        let name = told["table"].as_str().unwrap();
        // The same boot fills these again.
        if ["playbooks", "_sqlx_migrations"].contains(&name) {
            continue;
        }
        let (before, after) = (&before[name], &after[name]);
        let count = told["saved"].as_u64().unwrap() + told["merged"].as_u64().unwrap();
        assert_eq!(after.len() as u64, count, "{what}, {name}: {report:#}");
        let gone = before
            .iter()
            .filter(|row| after.binary_search(row).is_err());
        let gone = gone.count() as u64;
        let lost = &told["lost"];
        if let Some(exactly) = lost["exactly"].as_u64() {
            assert_eq!(exactly, gone, "{what}, {name}: {report:#}");
        } else if let Some(most) = lost["at-most"].as_u64() {
            assert!(most >= gone, "{what}, {name} lost {gone}: {report:#}");
        } else {
            assert_eq!(lost, "not-known", "{what}, {name}: {report:#}");
        }
        let is_strange = |row: &&String| before.binary_search(row).is_err();
        let strange = after.iter().filter(is_strange).count();
        assert!(
            strange == 0 || lost == "not-known",
            "{what}, {name}: {strange} {report:#}"
        );
    }
    let mut connection = sandbox.open();
    let check = connection.scalar("PRAGMA integrity_check");
    assert_eq!(check, Ok("ok".into()), "{what}");
    connection.close();
}

fn undo(sandbox: &Sandbox, record: &Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let run_id = record["run_id"].as_str().unwrap();
    command.env_clear().args(["undo", run_id, "--root"]);
    let undone = run(command.arg(sandbox.root()));
    assert_eq!(undone.code, Some(0), "{}", undone.text());
}

fn seeds() -> u64 {
    if std::env::var("FAULTS").is_ok_and(|value| value == "all") {
        50
    } else {
        3
    }
}

#[test]
fn damage_is_proposed_approved_counted_and_taken_back() {
    let template = healthy();
    let rows_before = rows(&template);
    for kind in STRUCTURAL {
        let (mut healed, mut approved, mut refused, mut unseen) = (0, 0, 0, 0);
        for seed in 0..seeds() {
            let what = format!("{kind:?} {seed}");
            let sandbox = template.copy();
            hurt(&sandbox, kind, seed);
            let before = files(&sandbox);
            let (mut code, mut record) = boot_json(&sandbox, &[]);
            if code == Some(0) && repair(&record).is_none() {
                assert!(!is_always_seen(kind), "{what} was not seen");
                unseen += 1;
                continue;
            }
            let waits = code == Some(8);
            if waits {
                assert!(
                    files(&sandbox) == before,
                    "{what}: touched without approval"
                );
                (code, record) = approve(&sandbox, &record);
            }
            if code == Some(1) {
                assert!(files(&sandbox) == before, "{what}: refused, and touched");
                refused += 1;
                continue;
            }
            assert_eq!(code, Some(0), "{what}: {record:#}");
            approved += u64::from(waits);
            healed += u64::from(!waits);
            verify_told(&sandbox, &record, &rows_before, &what);
            undo(&sandbox, &record);
            assert!(files(&sandbox) == before, "{what}: not as it was");
        }
        assert!(refused < seeds(), "{kind:?}");
        println!(
            "| {kind:?} through the gate | {} places | {unseen} not seen | {healed} without a person | {approved} approved | {refused} refused |",
            seeds()
        );
    }
}

#[test]
fn lost_rows_come_back_from_the_newest_copy() {
    let sandbox = healthy();
    hurt(&sandbox, Damage::ZeroedLeaf, 4);
    let (code, proposal) = boot_json(&sandbox, &[]);
    assert_eq!(code, Some(8), "{proposal:#}");
    let (code, record) = approve(&sandbox, &proposal);
    assert_eq!(code, Some(0), "{record:#}");
    let report = &repair(&record).unwrap()["changes"][0]["report"];
    let merged = report["tables"].as_array().unwrap().iter();
    let merged: i64 = merged.map(|table| table["merged"].as_i64().unwrap()).sum();
    assert!(merged > 0 && report["backup"].is_string(), "{report:#}");
    verify_rows(&mut sandbox.open(), ROWS).unwrap();
}

/// Also where the last lines alone are read.
#[test]
fn what_was_lost_is_said_at_the_end_and_in_the_report() {
    let sandbox = healthy();
    std::fs::remove_dir_all(sandbox.root().join("var/boot/backups")).unwrap();
    hurt(&sandbox, Damage::ZeroedLeaf, 4);
    let (code, proposal) = boot_json(&sandbox, &[]);
    assert_eq!(code, Some(8), "{proposal:#}");
    let plan = repair(&proposal).unwrap()["fingerprint"].as_str().unwrap();
    let healed = run(command(sandbox.root()).args(["--approve", plan]));
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let text = healed.unwrapped();
    let (_, end) = text.rsplit_once("BOOT PIPELINE SUCCESS").unwrap();
    let report = std::fs::read_to_string(sandbox.root().join("logs/last_boot_report.txt")).unwrap();
    for said in [end, &report] {
        assert!(said.contains("Lost: "), "{said}");
        assert!(said.contains("cargo xtask undo "), "{said}");
    }
}

#[test]
fn a_plan_is_approved_for_exactly_these_files() {
    let sandbox = healthy();
    hurt(&sandbox, Damage::ZeroedLeaf, 4);
    let (_, proposal) = boot_json(&sandbox, &[]);
    let mut bytes = std::fs::read(sandbox.database()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(sandbox.database(), &bytes).unwrap();
    let (code, record) = approve(&sandbox, &proposal);
    assert_eq!(code, Some(8), "{record:#}");
    assert!(std::fs::read(sandbox.database()).unwrap() == bytes);
}

/// A log alone: proposed, and with approval every row is there again.
fn rescue_the_log(lose_the_main_file: fn(&Sandbox)) {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::HotWal));
    lose_the_main_file(&sandbox);
    let before = files(&sandbox);
    let (code, proposal) = boot_json(&sandbox, &[]);
    assert_eq!(code, Some(8), "{proposal:#}");
    assert!(files(&sandbox) == before, "touched without approval");
    let (code, record) = approve(&sandbox, &proposal);
    assert_eq!(code, Some(0), "{record:#}");
    sandbox.verify(Start::Legacy(Journal::HotWal)).unwrap();
    undo(&sandbox, &record);
    assert!(files(&sandbox) == before, "not as it was");
}

#[test]
fn a_log_beside_an_empty_main_file_is_rescued() {
    rescue_the_log(|sandbox| std::fs::write(sandbox.database(), "").unwrap());
}

#[test]
fn a_log_whose_main_file_is_gone_is_rescued() {
    rescue_the_log(|sandbox| std::fs::remove_file(sandbox.database()).unwrap());
}

/// SQLite keeps the log beside the file that the link leads to.
#[test]
fn a_log_whose_main_file_is_gone_is_rescued_where_a_link_leads() {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::HotWal));
    let main = sandbox.root().join("disk/grace.db");
    std::fs::create_dir(main.parent().unwrap()).unwrap();
    std::fs::remove_file(sandbox.database()).unwrap();
    std::fs::rename(sandbox.side("-wal"), main.with_file_name("grace.db-wal")).unwrap();
    std::os::unix::fs::symlink("../disk/grace.db", sandbox.database()).unwrap();
    let before = files_of(&main);
    let (code, proposal) = boot_json(&sandbox, &[]);
    assert_eq!(code, Some(8), "{proposal:#}");
    assert!(files_of(&main) == before, "touched without approval");
    let (code, record) = approve(&sandbox, &proposal);
    assert_eq!(code, Some(0), "{record:#}");
    verify_rows(&mut sandbox.open(), ROWS).unwrap();
    let is_link = || sandbox.database().is_symlink();
    assert!(is_link() && main.is_file());
    undo(&sandbox, &record);
    assert!(is_link() && files_of(&main) == before, "not as it was");
}

#[test]
fn a_full_text_index_is_built_anew_from_the_rows_that_are_left() {
    let sandbox = healthy();
    let mut connection = sandbox.open();
    connection
        .execute(
            "CREATE VIRTUAL TABLE words USING fts5 (body);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
             INSERT INTO words SELECT 'a text about number ' || i FROM n",
        )
        .unwrap();
    connection.close();
    overwrite_the_page_of(&sandbox, b"a text about number 500");
    let (code, proposal) = boot_json(&sandbox, &[]);
    assert_eq!(code, Some(8), "{proposal:#}");
    let (code, record) = approve(&sandbox, &proposal);
    assert_eq!(code, Some(0), "{record:#}");
    let mut connection = sandbox.open();
    let mut count = |sql: &str| connection.scalar(sql).unwrap();
    let rows = count("SELECT count(*) FROM words_content");
    assert_eq!(
        count("SELECT count(*) FROM words WHERE words MATCH 'text'"),
        rows
    );
    let lost = count("SELECT count(*) FROM words WHERE words MATCH '500'");
    assert_eq!(lost, SqlValue::Integer(0));
    connection.close();
}

/// Fills the page that a row is on with something else, as after a restart of the machine.
fn overwrite_the_page_of(sandbox: &Sandbox, row: &[u8]) {
    let mut bytes = std::fs::read(sandbox.database()).unwrap();
    let page = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let at = bytes.windows(row.len()).position(|it| it == row).unwrap();
    let start = at / page * page;
    bytes[start..start + page].fill(0xa5);
    std::fs::write(sandbox.database(), bytes).unwrap();
    let _ = std::fs::remove_file(sandbox.root().join("var/boot/integrity"));
}

#[test]
fn a_table_that_is_younger_than_the_copy_is_not_said_to_be_in_it() {
    let sandbox = healthy();
    let mut connection = sandbox.open();
    connection
        .execute(
            "CREATE TABLE later (id INTEGER PRIMARY KEY, body TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
             INSERT INTO later SELECT i, 'a row that came later ' || i FROM n",
        )
        .unwrap();
    connection.close();
    overwrite_the_page_of(&sandbox, b"a row that came later 500");

    let (_, record) = boot_json(&sandbox, &[]);
    let report = &repair(&record).unwrap()["changes"][0]["report"];
    let notes = report["notes"].to_string();
    let expect = "later is not in the copy: nothing was taken from it";
    assert!(notes.contains(expect), "{report:#}");
}
