//! `cargo xtask diagnose` from the outside: what it prints, how it ends.

use std::fs;
use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use insta::assert_snapshot;
use predicates::prelude::*;
use serde_json::Value;

const CHAIN: &str = include_str!("../fixtures/logs/sqlalchemy_chain.log");
const LOCKED: &str = "sqlite3.OperationalError: database is locked\n";

fn xtask() -> Command {
    let mut command = Command::cargo_bin("xtask").unwrap();
    command.arg("diagnose");
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_log_from_a_pipe_is_explained() {
    assert_snapshot!(stdout(xtask().arg("-").write_stdin(CHAIN)), @r###"
    standard input: 40 lines, 1 known incident, 1 sighting

    database_locked
      Another connection holds the database's lock
            1x  line 7
                database is locked
      cause: A live process holds a write or exclusive lock for longer than the
             wait, or a reader tried to write from an old snapshot.
      heal:  unlock_database, risk low, tier_1
      do:    Find who holds the file and let it finish; a lock is never removed by
             deleting files beside the database.
      next:  cargo xtask boot --observe --stage preflight
    "###);
}

#[test]
fn json_is_one_object_with_the_documented_fields() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    fs::write(&log, CHAIN).unwrap();
    let text = stdout(xtask().args(["--format", "json"]).arg(&log).arg(&log));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["incidents"].as_array().unwrap().len(), 2);
    let incident = &value["incidents"][0];
    assert_eq!(incident["pattern"], "database_locked");
    assert_eq!(incident["count"], 1);
    assert_eq!(incident["first"]["line"], 7);
    assert_eq!(
        incident["last"]["offset"],
        CHAIN.find("is locked").unwrap() as u64 - 9
    );
    assert_eq!(incident["playbook"], "unlock_database");
    assert_eq!(value["lines"], 2 * CHAIN.lines().count());
    assert_eq!(value["exit_code"], 0);
}

#[test]
fn the_exit_code_speaks_of_incidents_only_when_asked_to() {
    xtask().arg("-").write_stdin(LOCKED).assert().code(0);
    xtask()
        .args(["--fail-on-incident", "-"])
        .write_stdin(LOCKED)
        .assert()
        .code(1);
    xtask()
        .args(["--fail-on-incident", "-"])
        .write_stdin("INFO fine\n")
        .assert()
        .code(0);
}

#[test]
fn what_cannot_be_read_is_named_with_a_next_step() {
    let missing = xtask()
        .arg("/nowhere/app.log")
        .assert()
        .code(2)
        .get_output()
        .clone();
    assert_snapshot!(String::from_utf8(missing.stderr).unwrap(), @r###"
    error: `/nowhere/app.log` does not exist
      next: check the path, or pipe the log in: COMMAND 2>&1 | cargo xtask diagnose -
    "###);
    xtask()
        .arg("/")
        .assert()
        .code(2)
        .stderr(predicate::str::contains("is a folder, not a log"));
    xtask()
        .assert()
        .code(2)
        .stderr(predicate::str::contains("--help"));
}

#[test]
fn the_readable_files_are_reported_beside_an_unreadable_one() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    fs::write(&log, LOCKED).unwrap();
    xtask()
        .arg("/nowhere/app.log")
        .arg(&log)
        .assert()
        .code(2)
        .stdout(predicate::str::contains("database_locked"));
}

#[test]
fn own_packages_tell_a_moved_module_from_a_dependency() {
    let text = "ModuleNotFoundError: No module named 'orders'\n";
    let pattern = |more: &[&str]| {
        let mut command = xtask();
        command
            .args(more)
            .args(["--format", "json", "-"])
            .write_stdin(text);
        let value: Value = serde_json::from_str(&stdout(&mut command)).unwrap();
        value["incidents"][0]["pattern"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(pattern(&[]), "missing_dependency");
    assert_eq!(
        pattern(&["--own-package", "orders"]),
        "missing_internal_module"
    );
}

#[test]
fn following_reads_each_line_once_across_runs() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    let follow = || {
        let mut command = xtask();
        command.env("BOOT_ROOT", folder.path());
        command
            .args(["--follow", "--once", "--format", "json"])
            .arg(&log);
        stdout(&mut command).lines().count()
    };
    fs::write(&log, LOCKED).unwrap();
    assert_eq!(follow(), 1);
    assert_eq!(follow(), 0);
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(LOCKED.as_bytes()).unwrap();
    assert_eq!(follow(), 1);
    assert!(folder.path().join("var/boot/follow").is_dir());
}

#[test]
fn an_evaluation_that_falls_short_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines.jsonl");
    let text = "{\"text\": \"database is locked\", \"label\": \"database_locked\", \"kind\": \"log\"}\n\
                {\"text\": \"held\", \"label\": \"database_locked\", \"kind\": \"log\"}\n";
    fs::write(&lines, text).unwrap();
    xtask().arg("--evaluate").arg(&lines).assert().code(0);
    xtask()
        .arg("--evaluate")
        .arg(&lines)
        .args(["--min-recall", "0.9"])
        .assert()
        .code(1);
    fs::write(&lines, "{\"text\": 1}\n").unwrap();
    xtask()
        .arg("--evaluate")
        .arg(&lines)
        .assert()
        .code(2)
        .stderr(predicate::str::contains("line 1"));
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    // More than a pipe holds, so that writing really meets the closed end.
    let many: String = (0..2_000)
        .map(|n| format!("ImportError: cannot import name 'N{n}' from 'm'\n"))
        .collect();
    fs::write(&log, many).unwrap();
    let mut child = Process::new(assert_cmd::cargo::cargo_bin("xtask"))
        .args(["diagnose", "--format", "json"])
        .arg(&log)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
