//! Somebody else holds the database, or boots the same application.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::evidence::LEGACY;
use crate::interrupted::waiting_boot;
use crate::support::{Fixture, PATIENCE, step, steps};

/// Holds an exclusive lock on a database until its standard input is closed. Not a test by itself:
/// the other tests run it in a process of its own.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn lock_holder() {
    use boot_checks::services::db::{Access, Connection};
    let Some(path) = std::env::var_os("LOCK_HOLDER_DATABASE") else {
        return;
    };
    let mut connection = Connection::open(path.as_ref(), Access::ReadWrite, PATIENCE).unwrap();
    let begin = std::env::var("LOCK_HOLDER_BEGINS").unwrap();
    connection.execute(&begin).unwrap();
    println!("\nlocked");
    let _ = std::io::stdin().read_line(&mut String::new());
    connection.execute("ROLLBACK").unwrap();
}

/// A process that holds an exclusive lock on the fixture's database.
pub(crate) fn hold_lock(fixture: &Fixture) -> Child {
    hold(fixture, "BEGIN EXCLUSIVE")
}

fn hold(fixture: &Fixture, begin: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::lock_holder", "--ignored", "--nocapture"])
        .env("LOCK_HOLDER_DATABASE", fixture.database())
        .env("LOCK_HOLDER_BEGINS", begin)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"));
    child
}

pub(crate) fn release(mut holder: Child) {
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

#[test]
fn a_lock_is_waited_for_and_its_holder_is_named() {
    let fixture = Fixture::healthy();
    let before = fs::read(fixture.database()).unwrap();
    let holder = hold_lock(&fixture);
    let pid = format!("pid {}", holder.id());
    let started = Instant::now();
    let answer = fixture.boot(&["--lock-timeout", "700ms"]);
    assert!(
        started.elapsed() >= Duration::from_millis(700),
        "it waited as long as it was told"
    );
    answer.says(
        1,
        &[
            "[WAIT]",
            "waiting up to 700ms",
            &format!("var/grace.db is locked by {pid}"),
            "--lock-timeout waits longer",
            "removing it would lose rows",
        ],
    );
    let (code, json) = fixture.boot_json(&["--lock-timeout", "0s", "--observe"]);
    assert_eq!(code, 1);
    let step = step(&json, "preflight::database_readable");
    assert_eq!(step["problems"][0]["pattern"], "database_locked");
    let message = step["problems"][0]["message"].as_str().unwrap();
    let (_, since) = message
        .trim_end_matches(')')
        .rsplit_once("; since ")
        .unwrap();
    let since: jiff::civil::DateTime = since.parse().unwrap();
    let ago = jiff::ZonedDateTime::now().datetime() - since;
    let seconds = ago.total(jiff::Unit::Second).unwrap();
    assert!((-2.0..600.0).contains(&seconds), "{message}");
    release(holder);
    assert_eq!(before, fs::read(fixture.database()).unwrap());
    fixture.boot(&[]).says(0, &["8/8"]);
}

/// Others may read then, so that it is found by the heal and not by a check.
#[test]
fn a_heal_that_a_lock_keeps_out_has_changed_nothing_and_says_no_more() {
    let fixture = Fixture::empty();
    fixture.sql(LEGACY);
    let before = fs::read(fixture.database()).unwrap();
    let holder = hold(&fixture, "BEGIN IMMEDIATE");
    let (code, json) = fixture.boot_json(&["--lock-timeout", "300ms"]);
    assert_eq!((code, &json["summary"]["verdict"]), (1, &"blocked".into()));
    let step = step(&json, "preflight::required_tables");
    let repair = &step["repairs"][0];
    assert_eq!(repair["result"], "refused", "{repair:#}");
    let error = repair["error"].as_str().unwrap();
    let holder_words = format!("the database is locked by pid {}", holder.id());
    assert!(error.starts_with(&holder_words), "{error}");
    assert!(error.ends_with("let it finish or stop it, then try again"));
    let heal = [
        "heal",
        "apply_pending_migrations",
        "--lock-timeout",
        "300ms",
    ];
    let words = format!("[FAIL] nothing was changed: {holder_words}");
    let answer = fixture.run(&heal);
    answer.says(1, &[&words]);
    let waits = format!("[WAIT] preflight::required_tables: {holder_words}");
    let waits = answer.stderr.lines().find(|line| line.starts_with(&waits));
    let waits = waits.unwrap_or_else(|| panic!("it waits in silence: {}", answer.all()));
    assert!(waits.ends_with("waiting up to 300ms ..."), "{waits}");
    release(holder);
    assert!(before == fs::read(fixture.database()).unwrap());
    assert!(!fixture.path("var/boot/backups").exists());
    let notices = fixture.run(&["acknowledge"]);
    let of_it = notices.stdout.contains("apply_pending_migrations");
    assert!(!of_it, "a notice of what was not done: {}", notices.stdout);
    fixture.boot(&[]).says(0, &["8/8"]);
}

/// Others may read then, so that only a write finds it.
#[test]
fn a_heal_of_a_lock_that_lets_others_read_names_its_holder() {
    let fixture = Fixture::healthy();
    let heal = ["heal", "unlock_database", "--lock-timeout", "300ms"];
    let holder = hold(&fixture, "BEGIN IMMEDIATE");
    let words = format!("var/grace.db is locked by pid {}", holder.id());
    let answer = fixture.run(&heal);
    answer.says(1, &[&words, "removing it would lose rows"]);
    release(holder);
    fixture.run(&heal).says(0, &["nothing to heal"]);
}

#[test]
fn an_undo_touches_nothing_while_somebody_has_the_database() {
    for begin in ["BEGIN IMMEDIATE", "BEGIN"] {
        let fixture = Fixture::empty();
        fixture.boot(&[]).says(0, &["8/8"]);
        let record = fixture.records().pop().unwrap();
        let run = record.trim_start_matches("boot_").trim_end_matches(".json");
        let holder = hold(&fixture, begin);
        let pid = format!("pid {}", holder.id());
        let undo = fixture.run(&["undo", run]);
        undo.says(1, &["nothing was touched", "is open in", &pid]);
        assert!(fixture.path(".env").exists() && fixture.database().exists());
        release(holder);
        fixture.run(&["undo", run]).says(0, &["removed .env"]);
    }
}

#[test]
fn a_lock_that_is_let_go_in_time_delays_only() {
    let fixture = Fixture::healthy();
    let holder = hold_lock(&fixture);
    let mut boot = fixture.child().stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(boot.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("[WAIT]") {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "it waits for the lock"
        );
    }
    release(holder);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(boot.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("Passed: 8/8"), "{rest}");
}

#[test]
fn a_second_boot_waits_for_the_first() {
    let fixture = Fixture::healthy();
    let (mut first, holder) = waiting_boot(&fixture);
    let pid = format!("pid {}", first.id());
    let answer = fixture.boot(&["--lock-timeout", "0s"]);
    answer.says(7, &["another boot", &pid, "since", "7 (lock-held)"]);
    let heal = [
        "heal",
        "create_default_env",
        "--lock-timeout",
        "0s",
        "--format",
        "json",
    ];
    let answer = fixture.run(&heal);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let error = json["error"].as_str().unwrap_or_default();
    assert!(error.contains("another boot"), "{json:#}");
    assert_eq!((answer.code, &json["exit_code"]), (7, &7.into()));
    let report = fixture.report();
    assert!(
        report.contains("Success: YES"),
        "the report is the running boot's to write"
    );

    let mut second = fixture.child();
    let mut second = second
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(second.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(
        line.contains("waiting for another boot") && line.contains(&pid),
        "{line}"
    );
    release(holder);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn boots_at_once_all_come_to_an_answer() {
    let fixture = Fixture::empty();
    let boots: Vec<Child> = (0..4)
        .map(|_| {
            fixture
                .child()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut boot in boots {
        assert_eq!(boot.wait().unwrap().code(), Some(0));
    }
    assert_eq!(fixture.records().len(), 4);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(
        (
            code,
            steps(&json)
                .filter(|step| step["status"] == "fixed")
                .count()
        ),
        (0, 0)
    );
}
