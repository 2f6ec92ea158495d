//! Somebody else only reads. With a rollback journal a reader keeps a commit out, and is waited for as a writer is.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::boots::{Boot, boot, command, run};
use crate::drift::{MIGRATIONS, add_migration, orders};
use crate::holders::{Other, bytes};
use crate::sandbox::{Journal, Sandbox, Start};

/// What is to be done to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Apply,
    /// A migration that outgrows SQLite's cache, so that it writes into the main file before it is committed.
    ApplyMuch,
    Adopt,
    Restamp,
}

/// With the question that tells how often it was done.
fn to_do(work: Work) -> (Sandbox, &'static str) {
    if work == Work::Adopt {
        let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
        return (sandbox, "SELECT count(*) > 0 FROM _sqlx_migrations");
    }
    let sandbox = orders();
    let question = match work {
        Work::Restamp => {
            let (name, sql) = MIGRATIONS[0];
            add_migration(&sandbox, name, &sql.replace('\n', "\r\n"));
            "SELECT count(*) = 2 FROM _sqlx_migrations"
        }
        Work::ApplyMuch => {
            let sql = "CREATE TABLE much (x);
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                INSERT INTO much SELECT zeroblob(4000) FROM n;";
            add_migration(&sandbox, "4_much.sql", sql);
            "SELECT count(*) = 2000 FROM much"
        }
        _ => {
            add_migration(&sandbox, "4_tax.sql", "ALTER TABLE orders ADD COLUMN tax;");
            "SELECT count(*) = 3 FROM _sqlx_migrations"
        }
    };
    (sandbox, question)
}

/// A reader that leaves the journal as this mode does, and has not come to the end of its transaction.
fn reader(sandbox: &Sandbox, mode: &str) -> Other {
    let statements = format!(
        "PRAGMA journal_mode = {mode}\nCREATE TABLE IF NOT EXISTS theirs (x)\n\
         INSERT INTO theirs VALUES (1)\nBEGIN\nSELECT count(*) FROM theirs"
    );
    Other::start(&sandbox.database(), &statements)
}

/// The boot, with `meanwhile` run as soon as it says that it waits for a lock.
fn waiting_boot(sandbox: &Sandbox, meanwhile: impl FnOnce()) -> Boot {
    let started = Instant::now();
    let mut child = command(sandbox.root())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    while out.read_line(&mut seen).unwrap() > 0 && !seen.contains("[WAIT]") {}
    assert!(seen.contains("[WAIT]"), "it does not wait: {seen}");
    meanwhile();
    out.read_to_string(&mut seen).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stdout = seen.into_bytes();
    Boot {
        code: output.status.code(),
        took: started.elapsed(),
        output,
    }
}

const MODES: [&str; 3] = ["DELETE", "TRUNCATE", "PERSIST"];

/// How often a repair was begun and applied, and whether one failed, by the journal.
fn phases(sandbox: &Sandbox, playbook: &str) -> Vec<String> {
    let journal = std::fs::read_to_string(sandbox.root().join("var/boot/journal.jsonl"));
    let journal = journal.unwrap_or_default();
    let lines = journal.lines().map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        (
            entry["playbook"].as_str().unwrap().to_owned(),
            entry["phase"].as_str().unwrap().to_owned(),
        )
    });
    let own = lines.filter(|(by, _)| by == playbook);
    own.map(|(_, phase)| phase).collect()
}

fn waited_for(work: Work) {
    for mode in MODES {
        let (sandbox, question) = to_do(work);
        let other = reader(&sandbox, mode);
        let healed = waiting_boot(&sandbox, || other.finish());
        assert_eq!(healed.code, Some(0), "{mode}: {}", healed.text());
        assert!(!healed.text().contains("FAIL"), "{}", healed.text());
        let mut connection = sandbox.open();
        assert_eq!(connection.scalar(question), Ok(1.into()), "{mode}");
        connection.close();
        if work != Work::Restamp {
            let phases = phases(&sandbox, "apply_pending_migrations");
            let last = phases.split_at(phases.len() - 3).1;
            assert_eq!(last, ["begun", "applied", "verified"], "{phases:?}");
        }
    }
}

#[test]
fn a_reader_that_ends_is_waited_for() {
    waited_for(Work::Apply);
}

#[test]
fn a_reader_that_ends_is_waited_for_by_a_migration_that_outgrows_the_cache() {
    waited_for(Work::ApplyMuch);
}

#[test]
fn a_reader_that_ends_is_waited_for_by_an_adoption() {
    waited_for(Work::Adopt);
}

#[test]
fn a_reader_that_ends_is_waited_for_by_new_checksums() {
    waited_for(Work::Restamp);
}

/// Nothing was begun: no copy, no line in the journal, no byte of the database.
#[test]
fn a_reader_that_never_ends_is_named_and_nothing_is_begun() {
    for work in [Work::Apply, Work::ApplyMuch, Work::Adopt] {
        for mode in MODES {
            let (sandbox, _) = to_do(work);
            let other = reader(&sandbox, mode);
            let (before, begun) = (
                bytes(&sandbox),
                phases(&sandbox, "apply_pending_migrations"),
            );
            let heals = |limit: &str| {
                let mut heal = Command::new(env!("CARGO_BIN_EXE_xtask"));
                heal.env_clear()
                    .args(["heal", "apply_pending_migrations", "--lock-timeout", limit])
                    .arg("--root")
                    .arg(sandbox.root());
                run(heal.stdin(Stdio::null()))
            };
            let boots = run(command(sandbox.root()).args(["--lock-timeout", "300ms"]));
            let is_same = before == bytes(&sandbox);
            assert!(is_same, "{work:?} {mode}: a file was touched");
            for refused in [boots, heals("300ms"), heals("0s")] {
                let words: Vec<_> = refused
                    .text()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect();
                let words = words.join(" ");
                assert_eq!(refused.code, Some(1), "{work:?} {mode}: {words}");
                let named = format!("locked by pid {} ", other.pid());
                assert!(words.contains(&named), "{named}: {words}");
                assert!(!words.contains("taken back"), "{words}");
            }
            // A heal also tries whether the database takes writes, after which a finished journal is gone.
            assert!(before[""] == bytes(&sandbox)[""], "{work:?} {mode}");
            assert_eq!(phases(&sandbox, "apply_pending_migrations"), begun);
            other.finish();
            let free = boot(sandbox.root());
            assert_eq!(free.code, Some(0), "{}", free.text());
        }
    }
}

/// Who waits for a reader that does not end lets others read.
#[test]
fn a_boot_that_waits_for_a_reader_keeps_no_other_out() {
    let (sandbox, _) = to_do(Work::Apply);
    let first = reader(&sandbox, "DELETE");
    let healed = waiting_boot(&sandbox, || {
        // Each has SQLite's usual patience.
        for _ in 0..3 {
            let reads = "BEGIN\nSELECT count(*) FROM orders";
            Other::start(&sandbox.database(), reads).finish();
        }
        first.finish();
    });
    assert_eq!(healed.code, Some(0), "{}", healed.text());
}
