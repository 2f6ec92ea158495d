//! What a boot leaves behind is its own, and true.

use std::time::{Duration, Instant};

use crate::support::{self, Fixture, PATIENCE, answer, step};

/// A database from before the incident: no record of migrations, and columns that are not there yet.
pub(crate) const LEGACY: &str = "
    CREATE TABLE verification_events (
        id INTEGER PRIMARY KEY, verification_type VARCHAR(50) NOT NULL,
        target_component VARCHAR(100) NOT NULL, verification_method VARCHAR(100),
        result VARCHAR(20) NOT NULL, anomaly_score FLOAT, confidence FLOAT, details TEXT,
        verified_by VARCHAR(100), created_at DATETIME);
    CREATE TABLE theirs (x);
    INSERT INTO theirs VALUES ('kept');
    INSERT INTO verification_events (verification_type, target_component, result)
        VALUES ('hash', 'core', 'ok');";

#[test]
fn a_healed_stage_goes_on() {
    let fixture = Fixture::empty();
    fixture.sql(LEGACY);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(json["summary"]["stages_passed"], 8);
    let healed = step(&json, "preflight::required_tables");
    assert_eq!(healed["status"], "fixed");
    assert_eq!(healed["repairs"][0]["result"], "verified");
    assert_eq!(step(&json, "preflight::schema_version")["status"], "pass");
    assert_eq!(json["metrics"]["startup.validation_errors"], 0);
    assert_eq!(json["metrics"]["startup.schema_mismatches"], 0);
    assert!(fixture.tables().contains(&"theirs".to_owned()));
}

#[test]
fn what_was_written_of_a_replacement_and_is_damaged_says_what_to_do() {
    let fixture = Fixture::healthy();
    fixture.write("var/boot/swap.json", "{\"database\": ");
    fixture
        .boot(&[])
        .says(1, &["swap.json: it is damaged", "then move this file away"]);
}

/// Whoever put it there: nobody writes into it, and it is not waited for.
#[test]
fn a_pipe_in_the_place_of_what_the_gate_remembers_holds_nothing_up() {
    const READ: [&str; 3] = ["journal.jsonl", "swap.json", "lock"];
    for name in READ.into_iter().chain(["integrity", "database_seen"]) {
        let fixture = Fixture::healthy();
        let path = fixture.path(&format!("var/boot/{name}"));
        let _ = std::fs::remove_file(&path);
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        // So that there is something to heal.
        fixture.sql("DELETE FROM playbooks");
        let begin = Instant::now();
        let answer = fixture.boot(&[]);
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{name}: {}",
            answer.all()
        );
        let words: Vec<_> = answer.all().split_whitespace().map(str::to_owned).collect();
        let is_named = words.join(" ").contains("not a regular file");
        // What is only remembered is remembered anew.
        assert_eq!(is_named, READ.contains(&name), "{}", answer.all());
    }
}

/// Who says in its lock file who it is writes into no other file that has its name.
#[test]
fn a_lock_that_is_the_database_is_not_written_into() {
    use std::os::unix::fs::symlink;
    type Link = fn(&Fixture);
    let links: [(Link, &str); 2] = [
        (
            |fixture| symlink("../grace.db", fixture.path("var/boot/lock")).unwrap(),
            "it is a link, and not a file",
        ),
        (
            |fixture| {
                let lock = fixture.path("var/boot/lock");
                std::fs::hard_link(fixture.database(), lock).unwrap();
            },
            "it holds something else than a lock does",
        ),
    ];
    for (link, words) in links {
        let fixture = Fixture::healthy();
        std::fs::remove_file(fixture.path("var/boot/lock")).unwrap();
        link(&fixture);
        let before = std::fs::read(fixture.database()).unwrap();
        fixture
            .boot(&[])
            .says_at_once(0, &["cannot lock", words, "looking only"]);
        let heal = fixture.run(&["heal", "schedule_monitor"]);
        heal.says_at_once(1, &["cannot lock", words]);
        assert!(
            std::fs::read(fixture.database()).unwrap() == before,
            "{words}"
        );
    }
}

#[test]
fn a_red_boot_replaces_the_green_report() {
    let fixture = Fixture::healthy();
    assert!(fixture.report().contains("Success: YES"));
    fixture.write("var/grace.db", [7; 4096]);
    let answer = fixture.boot(&[]);
    answer.says(
        1,
        &[
            "BOOT PIPELINE ABORTED",
            "Reason: var/grace.db is not an SQLite database",
            "Where: preflight::database_readable",
            "Next step: check that DATABASE_URL names the right file",
            "Not reached: 7 (blocked by preflight::database_readable)",
            "1 (blocked): grace must not start",
        ],
    );
    let report = fixture.report();
    for line in [
        "Success: NO",
        "Stages Passed: 0/8",
        "Reason: preflight::database_readable: var/grace.db is not an SQLite database",
        "Exit Code: 1 (blocked",
    ] {
        assert!(report.contains(line), "{report}");
    }
    let metrics = fixture.read("logs/startup_metrics.prom");
    assert!(
        metrics.contains("startup_preflight_status{status=\"fail\"} 1")
            || metrics.contains("startup_preflight_status 0"),
        "{metrics}"
    );
}

/// A limit on the size of files stands for a full disk: every write of contents fails, names can
/// still be made and removed.
#[test]
fn a_report_that_cannot_be_written_takes_the_old_one_with_it() {
    let fixture = Fixture::healthy();
    assert!(fixture.report().contains("Success: YES"));
    let answer = boot_within(0, &fixture);
    answer.says(
        1,
        &["the report could not be written", "Exit code: 1 (blocked)"],
    );
    assert!(!answer.all().contains("SUCCESS"), "{}", answer.all());
    assert!(!fixture.path("logs/last_boot_report.txt").exists());
    fixture.boot(&[]).says(0, &["Passed: 8/8"]);
}

/// The system would end a process that goes beyond the limit.
#[test]
fn a_limit_on_the_size_of_files_stops_a_heal_and_harms_nothing() {
    let fixture = Fixture::empty();
    fixture.sql(LEGACY);
    fixture.sql("CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(300000))");
    let before = std::fs::read(fixture.database()).unwrap();
    let answer = boot_within(200, &fixture);
    answer.says(
        1,
        &["changed nothing: cannot make a backup", "File too large"],
    );
    assert!(before == std::fs::read(fixture.database()).unwrap());
    assert!(fixture.report().contains("Success: NO"));
    fixture.boot(&[]).says(0, &["Passed: 8/8"]);
}

/// A boot that may make files of so many blocks of 512 bytes.
fn boot_within(blocks: u32, fixture: &Fixture) -> support::Answer {
    let script = format!("ulimit -f {blocks}; exec \"$0\" boot --root \"$1\"");
    let mut command = assert_cmd::Command::new("sh");
    let command = command.args(["-c", &script]).arg(support::binary());
    command.arg(fixture.root()).env_clear();
    command.envs(fixture.environment()).timeout(PATIENCE);
    answer(command)
}

#[test]
fn a_report_that_was_asked_for_and_cannot_be_written_is_no_green_boot() {
    let fixture = Fixture::healthy();
    let answer = fixture.boot(&["--report", "junit:nowhere/at/all.xml"]);
    let words = [
        "Reason: the report could not be written: cannot write nowhere/at/all.xml",
        "Exit code: 1 (blocked)",
    ];
    answer.says(1, &words);
    assert!(!answer.stdout.contains("SUCCESS"), "{}", answer.stdout);
    assert!(
        fixture.report().contains("Success: NO"),
        "{}",
        fixture.report()
    );
    let (code, json) = fixture.boot_json(&["--report", "text:nowhere/at/all.txt"]);
    assert_eq!((code, &json["summary"]["exit_code"]), (1, &1.into()));
}

#[test]
fn boots_in_one_second_keep_their_own_records() {
    const BOOTS: usize = 6;
    let fixture = Fixture::healthy();
    let before = fixture.records().len();
    let started = Instant::now();
    for _ in 0..BOOTS {
        assert_eq!(fixture.boot(&["--observe"]).code, 0);
    }
    let records = fixture.records();
    assert_eq!(records.len(), before + BOOTS, "{records:?}");
    for name in &records {
        let json: serde_json::Value =
            serde_json::from_str(&fixture.read(&format!("grace_training/startup_failures/{name}")))
                .unwrap();
        assert_eq!(
            format!("boot_{}.json", json["run_id"].as_str().unwrap()),
            *name
        );
    }
    let shared = records.iter().any(|name| name.ends_with("_2.json"));
    assert!(
        shared || started.elapsed() > Duration::from_secs(BOOTS as u64 - 1),
        "{records:?}"
    );
}
