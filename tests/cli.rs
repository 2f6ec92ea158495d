//! The command line of `cargo xtask boot`, on the real binary and real folders.
#![cfg(unix)]
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a suite speaks to its terminal"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use boot_checks::host::Clock;
use boot_checks::plan;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use support::{Fixture, step, steps};

#[test]
fn an_empty_root_is_made_ready_and_then_left_alone() {
    let fixture = Fixture::empty();
    let first = fixture.boot(&[]);
    first.says(
        0,
        &[
            "BOOT PIPELINE SUCCESS",
            "Passed: 8/8",
            "Failed: 0",
            "Database exists - fixed by create_database",
            "Secrets are set - fixed by create_default_env",
        ],
    );
    let report = fixture.report();
    for line in [
        "Success: YES",
        "Stages Passed: 8/8",
        "created database var/grace.db",
        "created .env with SECRET_KEY and DATABASE_URL",
    ] {
        assert!(report.contains(line), "{report}");
    }

    let before = fixture.tree_of_others();
    let second = fixture.boot(&[]);
    second.says(0, &["BOOT PIPELINE SUCCESS", "Passed: 8/8"]);
    assert!(!second.stdout.contains("[FIX]"), "{}", second.stdout);
    assert!(!fixture.report().contains("Fixes Applied"));
    let after = fixture.tree_of_others();
    assert_eq!(names(&before), names(&after));
    assert!(
        before == after,
        "a healthy boot keeps every byte and every time"
    );
}

#[test]
fn the_made_env_is_private_and_its_key_is_random() {
    let keys: Vec<String> = (0..2)
        .map(|_| {
            let fixture = Fixture::empty();
            fixture.boot(&["secret_key"]);
            let metadata = fs::metadata(fixture.path(".env")).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
            let env = fixture.read(".env");
            let key = env
                .lines()
                .find_map(|line| line.strip_prefix("SECRET_KEY="))
                .unwrap();
            assert!(key.len() >= 64, "{} characters", key.len());
            key.to_owned()
        })
        .collect();
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn an_existing_env_keeps_every_byte() {
    let fixture = Fixture::empty();
    let before = "# ours\r\nDEBUG='1' \n\nexport OTHER=\"two\nlines\"";
    let path = fixture.write(".env", before);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    fixture
        .boot(&[])
        .says(0, &["completed .env with SECRET_KEY and DATABASE_URL"]);
    let after = fixture.read(".env");
    assert!(after.starts_with(before), "{after}");
    assert!(after[before.len()..].contains("SECRET_KEY="));
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o640, "its permissions are its owner's business");
}

#[test]
fn the_example_is_the_start_of_a_new_env() {
    let fixture = Fixture::empty();
    fixture.write(
        ".env.example",
        "# Settings\nSECRET_KEY=changeme\nPAGE_SIZE=20\n",
    );
    fixture.boot(&[]).says(0, &["8/8"]);
    let env = fixture.read(".env");
    assert!(
        env.contains("PAGE_SIZE=20") && !env.contains("changeme"),
        "{env}"
    );
}

#[test]
fn list_names_every_step_and_looks_at_nothing() {
    let fixture = Fixture::empty();
    let nowhere = fixture.path("does/not/exist").display().to_string();
    let all: String = plan::step_ids().map(|id| format!("{id}\n")).collect();
    for root in [nowhere.as_str(), "/dev/null"] {
        let mut command = assert_cmd::Command::cargo_bin("xtask").unwrap();
        command.env_clear().args(["boot", "--list", "--root", root]);
        command.assert().code(0).stdout(all.clone()).stderr("");
    }
    assert!(fixture.tree().is_empty());
}

#[test]
fn filters_choose_steps_and_unknown_names_are_usage_errors() {
    let fixture = Fixture::empty();
    let cases: [(&[&str], &[&str]); 6] = [
        (
            &["codec"],
            &["codec::ascii", "codec::emoji", "codec::unicode"],
        ),
        (&["codec::emoji", "--exact"], &["codec::emoji"]),
        (
            &["codec", "--skip", "emoji"],
            &["codec::ascii", "codec::unicode"],
        ),
        (&["--stage", "codec", "--skip", "i"], &[]),
        (&["--stage", "6", "rules"], &["autonomy::proactive_rules"]),
        (
            &["--stage", "smoke", "--stage", "5", "metrics"],
            &["smoke::metrics_snapshot"],
        ),
    ];
    for (arguments, expected) in cases {
        let answer = fixture.boot(&[&["--list"], arguments].concat());
        let listed: Vec<&str> = answer.stdout.lines().collect();
        assert_eq!(
            (answer.code, listed),
            (0, expected.to_vec()),
            "{arguments:?}"
        );
    }
    fixture
        .boot(&["preflight::database_exist", "--exact"])
        .says(
            2,
            &[
                "`preflight::database_exist`",
                "did you mean `preflight::database_exists`?",
            ],
        );
    fixture
        .boot(&["--skip", "unicorn"])
        .says(2, &["`unicorn`", "did you mean `unicode`?"]);
    fixture
        .boot(&["zzzzzz"])
        .says(2, &["no check is named `zzzzzz`", "--list"]);
    fixture
        .boot(&["--stage", "coedc"])
        .says(2, &["coedc", "codec"]);
    assert!(fixture.tree().is_empty(), "nothing was begun");
}

#[test]
fn a_filtered_run_is_no_verdict_and_leaves_the_last_report() {
    let fixture = Fixture::healthy();
    let report = fixture.report();
    let answer = fixture.boot(&["codec"]);
    answer.says(
        0,
        &[
            "PARTIAL RUN PASSED",
            "partial run: no verdict on the application",
        ],
    );
    assert_eq!(fixture.report(), report);
    let (code, json) = fixture.boot_json(&["codec"]);
    assert_eq!((code, &json["partial"]), (0, &Value::Bool(true)));
    assert_eq!(step(&json, "codec::emoji")["status"], "pass");
    assert_eq!(step(&json, "preflight::database_exists")["status"], "pass");
    assert_eq!(step(&json, "smoke::database_query")["status"], "skip");
}

#[test]
fn a_run_that_checks_nothing_says_so() {
    let fixture = Fixture::empty();
    let answer = fixture.boot(&["codec", "--skip", "::"]);
    answer.says(4, &["nothing was checked"]);
}

#[test]
fn the_plan_is_shown_and_not_carried_out() {
    let fixture = Fixture::empty();
    let answer = fixture.boot(&["--plan", "--skip", "emoji"]);
    answer.says(
        0,
        &[
            "preflight::database_exists: abort; heals with create_database (low, tier_1)",
            "codec::emoji: warn; skip: left out by --skip",
        ],
    );
    assert!(fixture.tree().is_empty());
}

#[test]
fn json_is_one_object_with_the_documented_keys() {
    let fixture = Fixture::empty();
    let answer = fixture.boot(&["--format", "json"]);
    assert_eq!(answer.stderr, "");
    let json: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(
        keys(&json),
        [
            "format_version",
            "run_id",
            "boot_timestamp",
            "application",
            "mode",
            "partial",
            "stages",
            "summary",
            "metrics"
        ]
    );
    assert_eq!(
        keys(&json["summary"]),
        [
            "success",
            "verdict",
            "exit_code",
            "ending",
            "reason",
            "stages_passed",
            "stages_failed",
            "fixes_applied",
            "duration_ms"
        ]
    );
    assert_eq!(json["summary"]["stages_passed"], 8);
    assert_eq!(json["summary"]["exit_code"], 0);
    let mut metrics = keys(&json["metrics"]);
    metrics.sort_unstable();
    assert_eq!(
        metrics,
        [
            "startup.boot_pipeline_stage",
            "startup.console_encoding",
            "startup.preflight_status",
            "startup.schema_mismatches",
            "startup.tests_passed",
            "startup.validation_errors"
        ]
    );
    for stage in json["stages"].as_array().unwrap() {
        assert_eq!(
            keys(stage),
            [
                "stage", "slug", "success", "reached", "metrics", "issues", "fixes", "steps"
            ]
        );
    }
    for step in steps(&json) {
        assert_eq!(
            keys(step),
            [
                "id",
                "status",
                "on_failure",
                "observed",
                "problems",
                "repairs",
                "notes",
                "duration_ms"
            ]
        );
    }
    let record = fixture.records().pop().unwrap();
    let on_disk = fixture.read(&format!("grace_training/startup_failures/{record}"));
    assert_eq!(answer.stdout, on_disk, "what is printed is what is kept");
}

#[test]
fn reports_are_written_where_they_are_asked_for() {
    let fixture = Fixture::empty();
    let junit = format!("junit:{}", fixture.path("boot.xml").display());
    let json = format!("json:{}", fixture.path("boot.json").display());
    fixture
        .boot(&["--report", &junit, "--report", &json])
        .says(0, &["8/8"]);
    let xml = fixture.read("boot.xml");
    assert!(
        contains("<testsuites")
            .and(contains("preflight"))
            .eval(&xml),
        "{xml}"
    );
    serde_json::from_str::<Value>(&fixture.read("boot.json")).unwrap();
    let printed = fixture.boot(&["--format", "junit"]);
    assert!(printed.stdout.starts_with("<?xml"), "{}", printed.stdout);

    let nowhere = format!("junit:{}", fixture.path("no/such/folder.xml").display());
    let answer = fixture.boot(&["--report", &nowhere]);
    answer.says(1, &["cannot write", "no/such/folder.xml"]);
    fixture
        .boot(&["--report", "jnit:x"])
        .says(2, &["unknown format `jnit`", "junit"]);
}

#[test]
fn a_report_takes_no_other_files_name() {
    let fixture = Fixture::healthy();
    for name in [
        "var/grace.db",
        "var/grace.db-wal",
        "var/grace.db-journal",
        ".env",
    ] {
        let before = std::fs::read(fixture.path(name)).ok();
        let report = format!("junit:{}", fixture.path(name).display());
        fixture
            .boot(&["--report", &report])
            .says(2, &["name another file"]);
        assert!(std::fs::read(fixture.path(name)).ok() == before, "{name}");
    }
    // What the boot itself makes of an empty folder.
    let empty = Fixture::empty();
    let report = format!("junit:{}", empty.path("var/grace.db").display());
    empty
        .boot(&["--report", &report])
        .says(1, &["is there, and no report"]);
    let made = std::fs::read(empty.path("var/grace.db")).unwrap();
    assert!(made.starts_with(b"SQLite format 3"));
    // One of its own is replaced, and an empty file.
    let path = fixture.path("report.xml");
    std::fs::write(&path, "").unwrap();
    for _ in 0..2 {
        let report = format!("junit:{}", path.display());
        fixture.boot(&["--report", &report]).says(0, &[]);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("<?xml"));
    }
}

#[test]
fn threads_change_no_outcome() {
    for healthy in [true, false] {
        let outcome = |threads: &str| {
            let fixture = Fixture::empty();
            if !healthy {
                fixture.write("var/grace.db", [7; 4096]);
            }
            let (code, json) = fixture.boot_json(&["--test-threads", threads]);
            let outcomes: Vec<(Value, Value)> = steps(&json)
                .map(|step| (step["id"].clone(), step["status"].clone()))
                .collect();
            assert_eq!(outcomes.len(), plan::step_ids().count());
            (code, outcomes)
        };
        assert_eq!(outcome("1"), outcome("8"));
    }
}

#[test]
fn strict_makes_warnings_block() {
    let fixture = Fixture::healthy();
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let boot = |arguments: &[&str]| {
        support::answer(fixture.command().env("BOOT_PORT", &port).args(arguments))
    };
    let by = format!("process: pid {} (", std::process::id());
    boot(&[]).says(0, &["BOOT PIPELINE SUCCESS (1 warning)", "is in use", &by]);
    boot(&["--strict"]).says(
        5,
        &[
            "FAILED (1 warning)",
            "--strict forbids warnings",
            "is in use",
        ],
    );
}

#[test]
fn fail_fast_stops_at_what_blocks_and_at_nothing_less() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let fixture = Fixture::healthy();
    let mut command = fixture.command();
    command.env("BOOT_PORT", &port).arg("--fail-fast");
    support::answer(&mut command).says(0, &["is in use", "Passed: 8/8"]);

    fixture.write("var/grace.db", [7; 4096]);
    let (code, json) = fixture.boot_json(&["--fail-fast"]);
    assert_eq!(code, 1);
    assert_eq!(
        step(&json, "preflight::database_readable")["status"],
        "fail"
    );
    assert_eq!(step(&json, "preflight::port_free")["status"], "skip");
    assert_eq!(step(&json, "codec::ascii")["status"], "not-run");
}

#[test]
fn observing_changes_nothing_but_the_evidence() {
    type Break = fn(&Fixture);
    let cases: [(&str, Break, i32); 8] = [
        ("an empty root", |_| {}, 1),
        ("a healthy one", |fixture| drop(fixture.boot(&[])), 0),
        (
            "a half-made one",
            |fixture| {
                fixture.write(".env", "SECRET_KEY=\n");
                fixture.sql("CREATE TABLE playbooks (id INTEGER PRIMARY KEY, name TEXT)");
            },
            1,
        ),
        (
            "random bytes",
            |fixture| drop(fixture.write("var/grace.db", [7; 5000])),
            1,
        ),
        (
            "an empty database file",
            |fixture| drop(fixture.write("var/grace.db", "")),
            1,
        ),
        (
            "a log without its database",
            |fixture| {
                fixture.write("var/grace.db-wal", [1; 64]);
            },
            1,
        ),
        (
            "a write-ahead log",
            |fixture| {
                fixture.boot(&[]);
                leave_write_ahead_log(fixture);
            },
            0,
        ),
        (
            "a hot journal",
            |fixture| {
                fixture.boot(&[]);
                leave_hot_journal(fixture);
            },
            0,
        ),
    ];
    for (name, break_it, code) in cases {
        let fixture = Fixture::empty();
        break_it(&fixture);
        let before = fixture.tree_of_others();
        for round in 1..=2 {
            let answer = fixture.boot(&["--observe"]);
            assert_eq!(answer.code, code, "{name}, round {round}: {}", answer.all());
            let after = fixture.tree_of_others();
            assert_eq!(names(&before), names(&after), "{name}, round {round}");
            for (file, entry) in &before {
                assert!(
                    after[file] == *entry,
                    "{name}, round {round}: {file} changed"
                );
            }
        }
        assert!(
            fixture
                .report()
                .contains("Mode: observe: nothing but this run's own report was written")
        );
    }
}

/// What a writer leaves that was killed after a commit: rows that stand only in the log.
fn leave_write_ahead_log(fixture: &Fixture) {
    copied_while_open(
        fixture,
        "PRAGMA journal_mode=WAL; CREATE TABLE mine (x); INSERT INTO mine VALUES (1);",
    );
    assert!(fixture.path("var/grace.db-wal").metadata().unwrap().len() > 0);
}

/// What a writer leaves that was killed in the middle of a transaction.
fn leave_hot_journal(fixture: &Fixture) {
    copied_while_open(
        fixture,
        "CREATE TABLE mine (x); INSERT INTO mine VALUES (zeroblob(200000));
         PRAGMA cache_size = 2; BEGIN IMMEDIATE; UPDATE mine SET x = zeroblob(100000);
         INSERT INTO mine VALUES (zeroblob(300000));",
    );
    assert!(
        fixture
            .path("var/grace.db-journal")
            .metadata()
            .unwrap()
            .len()
            > 0
    );
}

fn copied_while_open(fixture: &Fixture, sql: &str) {
    use boot_checks::services::db::{Access, Connection};
    let mut connection =
        Connection::open(&fixture.database(), Access::ReadWrite, support::PATIENCE).unwrap();
    connection.execute(sql).unwrap();
    let files = ["", "-wal", "-shm", "-journal"].map(|suffix| {
        let path = fixture.path(&format!("var/grace.db{suffix}"));
        (path.clone(), fs::read(path).ok())
    });
    // Waits until SQLite has tidied up, so that it does not do so afterwards.
    connection.close();
    for (path, contents) in files {
        match contents {
            Some(contents) => fs::write(path, contents).unwrap(),
            None => drop(fs::remove_file(path)),
        }
    }
}

#[test]
fn the_time_stands_in_the_name_of_the_record() {
    let fixture = Fixture::empty();
    let before = Clock::System.now();
    let (_, json) = fixture.boot_json(&[]);
    let run = json["run_id"].as_str().unwrap();
    assert_eq!(fixture.records(), [format!("boot_{run}.json")]);
    let timestamp: jiff::civil::DateTime =
        json["boot_timestamp"].as_str().unwrap().parse().unwrap();
    assert!(timestamp.date().year() >= before.date().year());
    assert_eq!(run, timestamp.strftime("%Y%m%d_%H%M%S").to_string());
}

fn names(tree: &std::collections::BTreeMap<String, support::Entry>) -> Vec<&String> {
    tree.keys().collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn one_object_says_why_a_command_did_not_begin() {
    let fixture = Fixture::empty();
    let nowhere = fixture.path("nowhere").display().to_string();
    fixture.write(
        "broken/.env",
        "A='never closed\nSECRET_KEY=hunter2-hunter2\n",
    );
    let broken = fixture.path("broken").display().to_string();
    let heal = ["heal", "create_default_env"];
    let restore = ["backups", "restore", "20260101_000000"];
    for (command, root, word) in [
        (&["history"][..], &nowhere, "no such application"),
        (&["report"], &nowhere, "no such application"),
        (&heal, &nowhere, "nowhere"),
        (&restore, &nowhere, "nowhere"),
        (&heal, &broken, ".env"),
        (&restore, &broken, ".env"),
    ] {
        let command = [command, &["--format", "json", "--root", root]].concat();
        let answer = support::answer(&mut fixture.command_of(&command));
        let json: Value = serde_json::from_str(&answer.stdout)
            .unwrap_or_else(|error| panic!("{command:?}: {error}: {}", answer.all()));
        assert_eq!(
            (answer.code, &json["exit_code"]),
            (78, &78.into()),
            "{json:#}"
        );
        let error = json["error"].as_str().unwrap();
        assert!(
            error.contains(word) && answer.stderr.contains(error),
            "{json:#}"
        );
        assert!(!answer.all().contains("hunter2"), "{}", answer.all());
    }
}
