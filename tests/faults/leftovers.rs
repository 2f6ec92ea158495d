//! What a crash of the application leaves beside its database.

use std::process::Command;

use boot_checks::model::SqlValue;

use crate::boots::{Boot, boot, run};
use crate::holders::{Other, bytes};
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};

/// Kills a program that committed `rows` rows, one transaction each, into a write-ahead log.
fn crash_with_a_hot_log(rows: usize, autocheckpoint: u32) {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::HotWal));
    let mut statements = format!(
        "PRAGMA journal_mode = WAL\nPRAGMA synchronous = OFF\n\
         PRAGMA wal_autocheckpoint = {autocheckpoint}\nCREATE TABLE crash (id INTEGER PRIMARY KEY)\n"
    );
    for row in 1..=rows {
        statements += &format!("INSERT INTO crash VALUES ({row})\n");
    }
    // Every statement that was answered before the kill was acknowledged.
    Other::start(&sandbox.database(), statements.trim_end()).kill();
    assert!(sandbox.side("-wal").metadata().unwrap().len() > 0);
    // What a person does who takes it for locked, beside somebody who really holds it and after that one died.
    let locked = sandbox.copy();
    let holder = Other::start(&locked.database(), "BEGIN IMMEDIATE");
    let held = unlock(&locked);
    let named = format!("pid {}", holder.pid());
    assert!(
        held.code == Some(1) && held.text().contains(&named),
        "{}",
        held.text()
    );
    holder.kill();
    let unlocked = unlock(&locked);
    assert_eq!(unlocked.code, Some(0), "{}", unlocked.text());
    let plain = boot(sandbox.root());
    assert_eq!(plain.code, Some(0), "{}", plain.text());
    for sandbox in [&locked, &sandbox] {
        let mut connection = sandbox.open();
        let sql = "SELECT count(*) * 1000000 + count(DISTINCT id) FROM crash";
        let expected = i64::try_from(rows * 1_000_001).unwrap();
        assert_eq!(connection.scalar(sql), Ok(SqlValue::Integer(expected)));
        verify_rows(&mut connection, ROWS).unwrap();
        connection.close();
    }
    println!("| hot log | {rows} rows, autocheckpoint {autocheckpoint} | 0 rows lost |");
}

fn unlock(sandbox: &Sandbox) -> Boot {
    let mut heal = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let heal = heal.env_clear().args(["heal", "unlock_database"]);
    run(heal
        .args(["--lock-timeout", "300ms", "--root"])
        .arg(sandbox.root()))
}

macro_rules! hot_logs {
    ($($name:ident: $rows:literal, $autocheckpoint:literal;)+) => {
        $(#[test] fn $name() { crash_with_a_hot_log($rows, $autocheckpoint); })+
    };
}

hot_logs! {
    a_log_of_100_rows: 100, 1000;
    a_log_of_100_rows_without_checkpoints: 100, 0;
    a_log_of_900_rows: 900, 1000;
    a_log_of_900_rows_without_checkpoints: 900, 0;
    a_log_of_5000_rows: 5000, 1000;
    a_log_of_5000_rows_without_checkpoints: 5000, 0;
}

/// Kills a program in the middle of a transaction over `rows` rows.
pub(crate) fn crash_with_a_hot_journal(sandbox: &Sandbox, rows: i64) {
    // A cache of one page makes SQLite write into the main file before the transaction ends.
    let statements = format!(
        "PRAGMA cache_size = 1\nBEGIN IMMEDIATE\n\
         UPDATE notes SET body = 'torn' || zeroblob(500) WHERE id <= {rows}\n\
         INSERT INTO notes (body) SELECT body || body FROM notes LIMIT {rows}"
    );
    Other::start(&sandbox.database(), &statements).kill();
    assert!(sandbox.side("-journal").metadata().unwrap().len() > 0);
}

#[test]
fn a_hot_journal_is_rolled_back() {
    let points: Vec<i64> = (1..=20).map(|n| n * ROWS / 20).collect();
    for rows in &points {
        let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
        crash_with_a_hot_journal(&sandbox, *rows);
        let plain = boot(sandbox.root());
        assert_eq!(plain.code, Some(0), "{rows}: {}", plain.text());
        sandbox.verify(Start::Legacy(Journal::Delete)).unwrap();
    }
    println!("| hot journal | {} crashes | 0 rows lost |", points.len());
}

/// Refused, and every byte of what is there is kept; twice, so that the refusal itself leaves
/// nothing that a second boot trips over.
fn refused_untouched(sandbox: &Sandbox) {
    let before = bytes(sandbox);
    assert!(!before.is_empty());
    for _ in 0..2 {
        let refused = boot(sandbox.root());
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(before == bytes(sandbox), "bytes changed");
    }
}

#[test]
fn a_vanished_main_file_beside_a_journal_is_refused() {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
    std::fs::write(sandbox.side("-journal"), "rows").unwrap();
    std::fs::remove_file(sandbox.database()).unwrap();
    refused_untouched(&sandbox);
}

#[test]
fn a_database_that_was_seen_and_vanished_is_refused() {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
    assert_eq!(boot(sandbox.root()).code, Some(0));
    std::fs::remove_file(sandbox.database()).unwrap();
    let refused = boot(sandbox.root());
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    assert!(!sandbox.database().exists());
}

/// Where the folder for temporary files cannot take it, the copy is made where the gate may write; where nothing has
/// the room, could-not-look is no pass.
#[test]
fn what_a_crash_left_is_tried_where_there_is_room() {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
    crash_with_a_hot_journal(&sandbox, ROWS / 2);
    let before = bytes(&sandbox);
    let boot_with = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let missing = sandbox.root().join("missing");
        let command = command.env_clear().env("TMPDIR", missing).arg("boot");
        run(command.args(arguments).arg("--root").arg(sandbox.root()))
    };
    let observed = boot_with(&["--observe"]);
    assert_eq!(observed.code, Some(1), "{}", observed.text());
    let words = "could not be tried on a copy";
    assert!(observed.text().contains(words), "{}", observed.text());
    assert!(before == bytes(&sandbox), "bytes changed");
    let healed = boot_with(&[]);
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    assert!(!healed.text().contains("on a copy"), "{}", healed.text());
    sandbox.verify(Start::Legacy(Journal::Delete)).unwrap();
    let is_copy = |name: &String| name.contains("grace-boot-copy");
    assert!(!sandbox.names().iter().any(is_copy));
}

/// Where somebody else made the database meanwhile, no boot makes it again, and yet one tidies up.
#[test]
fn a_database_that_was_never_finished_is_tidied_away() {
    let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
    let left = [".grace.db.creating-1.0", ".grace.db.creating-1.0-journal"];
    for name in left {
        std::fs::write(sandbox.root().join("var").join(name), "half").unwrap();
    }
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    for name in left {
        assert!(!sandbox.root().join("var").join(name).exists(), "{name}");
    }
}
