//! Boots that are asked to stop, or killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::locks::{hold_lock, release};
use crate::support::Fixture;

/// A boot that waits for a lock that nobody lets go.
pub(crate) fn waiting_boot(fixture: &Fixture) -> (Child, Child) {
    let holder = hold_lock(fixture);
    let mut boot = fixture.child();
    boot.args(["--lock-timeout", "10m"]);
    let mut boot = boot
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(boot.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("[WAIT]") {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "it waits for the lock"
        );
    }
    // The pipe is kept open by the process that reads on, so that the boot's last lines arrive.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    (boot, holder)
}

pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn a_boot_that_is_asked_to_stop_says_so_in_its_report() {
    let fixture = Fixture::healthy();
    let (mut boot, holder) = waiting_boot(&fixture);
    signal(&boot, rustix::process::Signal::TERM);
    assert_eq!(boot.wait().unwrap().code(), Some(1));
    let report = fixture.report();
    assert!(
        report.contains("Success: NO") && report.contains("SIGTERM"),
        "{report}"
    );
    let record = fixture.records().pop().unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&fixture.read(&format!("grace_training/startup_failures/{record}")))
            .unwrap();
    assert_eq!(json["summary"]["ending"], "interrupted");
    release(holder);
    fixture.boot(&[]).says(0, &["8/8"]);
}

#[test]
fn a_boot_that_is_killed_leaves_nothing_half_written() {
    let fixture = Fixture::healthy();
    let (report, records) = (fixture.report(), fixture.records());
    let (mut boot, holder) = waiting_boot(&fixture);
    signal(&boot, rustix::process::Signal::KILL);
    assert_eq!(boot.wait().unwrap().code(), None);
    assert_eq!(fixture.report(), report, "whole or not at all");
    let left: Vec<String> = fixture.records();
    let finished: Vec<&String> = left.iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(finished, records.iter().collect::<Vec<_>>());
    release(holder);
    fixture.boot(&[]).says(0, &["8/8"]);
}

/// Also where the boot before it had said that it left nothing.
#[test]
fn what_a_killed_boot_was_writing_is_removed_by_the_next() {
    let fixture = Fixture::healthy();
    fixture.boot(&[]).says(0, &["8/8"]);
    let (mut boot, holder) = waiting_boot(&fixture);
    signal(&boot, rustix::process::Signal::KILL);
    boot.wait().unwrap();
    release(holder);
    let pid = boot.id();
    let left = [
        format!("logs/.last_boot_report.txt.{pid}.7.tmp"),
        format!("logs/.startup_metrics.prom.{pid}.8.tmp"),
        format!("var/boot/.notices.json.{pid}.9.tmp"),
    ];
    for name in &left {
        std::fs::write(fixture.path(name), "half").unwrap();
    }
    fixture.boot(&[]).says(0, &["8/8"]);
    for name in left {
        assert!(!fixture.path(&name).exists(), "{name}");
    }
}

/// The delays are no synchronisation: they spread the kills over all that a first boot does.
#[test]
fn a_first_boot_that_is_killed_anywhere_is_made_up_for_by_the_next() {
    let whole = Instant::now();
    Fixture::healthy();
    let whole = whole.elapsed();
    for tenth in 1..=10 {
        let fixture = Fixture::empty();
        let mut boot = fixture.child().stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * tenth / 10);
        signal(&boot, rustix::process::Signal::KILL);
        boot.wait().unwrap();
        if fixture.database().exists() {
            assert!(
                fixture.tables().contains(&"playbooks".to_owned()),
                "{tenth}: complete"
            );
        }
        if fixture.path(".env").exists() {
            assert!(
                fixture.read(".env").contains("DATABASE_URL="),
                "{tenth}: whole"
            );
        }
        for name in fixture
            .records()
            .iter()
            .filter(|name| !name.starts_with('.'))
        {
            let record = fixture.read(&format!("grace_training/startup_failures/{name}"));
            serde_json::from_str::<serde_json::Value>(&record).unwrap();
        }
        fixture.boot(&[]).says(0, &["Passed: 8/8"]);
    }
}
