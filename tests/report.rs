//! `report`: one boot that is over, from the real binary.
#![cfg(unix)]

mod support;

use std::fs;

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use serde_json::Value;

use support::{Answer, Fixture, answer, binary};

const FOLDER: &str = "grace_training/startup_failures";

/// A healthy boot, and after it one that is aborted.
fn fixture() -> (Fixture, String, String) {
    let fixture = Fixture::healthy();
    let healthy = run_of(&fixture.records().pop().unwrap());
    fixture.write("var/grace.db", [0xa5; 12_288]);
    fixture.boot(&[]).says(1, &[]);
    let aborted = newest(&fixture);
    assert_ne!(healthy, aborted);
    (fixture, healthy, aborted)
}

fn run_of(name: &str) -> String {
    let run = name.strip_prefix("boot_").unwrap();
    run.strip_suffix(".json").unwrap().to_owned()
}

/// The run of the last boot. Of two in one second, the second has a suffix.
fn newest(fixture: &Fixture) -> String {
    let json = fixture.run(&["history", "--format", "json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    json["runs"][0]["run_id"].as_str().unwrap().to_owned()
}

fn record_of(fixture: &Fixture, run: &str) -> String {
    fixture.read(&format!("{FOLDER}/boot_{run}.json"))
}

/// One line of the answer's error, and nothing on standard output.
#[track_caller]
fn refuses(answer: &Answer, code: i32, words: &[&str]) {
    answer.says(code, words);
    assert_eq!(answer.stdout, "");
    assert!(
        starts_with("error: ").eval(&answer.stderr),
        "{}",
        answer.stderr
    );
}

#[test]
fn the_newest_boot_is_shown_and_any_other_by_its_name() {
    let (fixture, healthy, aborted) = fixture();
    let before = fixture.tree();
    let shown = fixture.run(&["report"]);
    shown.says(
        0,
        &[
            &format!("GRACE BOOT {aborted}"),
            "BOOT PIPELINE ABORTED",
            "grace must not start",
            "Reason: preflight::database_readable: var/grace.db is not an SQLite database",
            "Stages: 0 of 8 passed, 1 failed, 7 not reached",
            "Exit code: 1 (blocked): grace must not start",
            "[FAIL] 1. Preflight Gate failed (1 failure)",
            "where: preflight::database_readable (not_a_database)",
            "next: check that DATABASE_URL names the right file",
            "[NOT RUN] preflight::schema_version - blocked by preflight::database_readable",
            "[NOT RUN] 2. Schema Sync & Secrets - not reached: blocked by preflight::database_readable",
        ],
    );
    assert_eq!(shown.stderr, "");
    for name in [healthy.clone(), format!("boot_{healthy}.json")] {
        let root = fixture.root().display();
        let undo = format!("`cargo xtask undo {healthy} --root {root}`");
        fixture.run(&["report", &name]).says(
            0,
            &[
                &format!("GRACE BOOT {healthy}"),
                "BOOT PIPELINE SUCCESS",
                "Exit code: 0 (may-start): grace may start",
                "create_database healed it: created database var/grace.db",
                &undo,
                "[OK] 5. Codec Validation complete - 3 checks",
            ],
        );
    }
    assert!(before == fixture.tree(), "it writes nothing");
}

#[test]
fn json_is_the_record_byte_for_byte() {
    let (fixture, healthy, aborted) = fixture();
    for (arguments, run) in [
        (&["report", "--format", "json"][..], &aborted),
        (&["report", &healthy, "--format", "json"], &healthy),
    ] {
        let shown = fixture.run(arguments);
        assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
        assert_eq!(shown.stdout, record_of(&fixture, run));
    }
    // What another version wrote into it is not lost.
    let mut record: Value = serde_json::from_str(&record_of(&fixture, &aborted)).unwrap();
    record["weather"] = "rain".into();
    fixture.write(&format!("{FOLDER}/boot_{aborted}.json"), record.to_string());
    let shown = fixture.run(&["report", "--format", "json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&shown.stdout).unwrap(),
        record
    );
}

#[test]
fn a_run_that_left_no_record_is_a_usage_error_and_the_nearest_are_named() {
    let (fixture, _, aborted) = fixture();
    let mut mistyped = aborted.clone();
    mistyped.replace_range(0..1, "3");
    let meant = format!("did you mean `{aborted}`");
    refuses(
        &fixture.run(&["report", &mistyped]),
        2,
        &[
            &format!("no record of run {mistyped}"),
            "did you mean",
            &aborted,
        ],
    );
    refuses(
        &fixture.run(&["report", "19990101_000000"]),
        2,
        &["the newest are", &aborted, "cargo xtask history"],
    );
    refuses(
        &fixture.run(&["report", "latest"]),
        2,
        &["`latest` is no run id"],
    );
    let json = fixture.run(&["report", "--format", "json", "19990101_000000"]);
    let object: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &object["exit_code"]), (2, &2.into()));
    // A path is named by nobody by chance: which run it is, is said.
    let path = format!("./{FOLDER}/boot_{aborted}.json");
    let by_path = fixture.run(&["report", &path]);
    refuses(&by_path, 2, &["is no run id"]);
    assert!(by_path.stderr.contains(&meant) || by_path.stderr.contains("did you mean one of"));
}

#[test]
fn nothing_outside_of_the_folder_is_read() {
    let (fixture, healthy, _) = fixture();
    let marked = record_of(&fixture, &healthy).replace("\"grace\"", "\"outside\"");
    assert!(marked.contains("outside"));
    fixture.write("boot_20200101_000000.json", &marked);
    fixture.write(
        &format!("{FOLDER}/below/boot_20200101_000000.json"),
        &marked,
    );
    let absolute = fixture.path("boot_20200101_000000.json");
    let before = fixture.tree();
    for run in [
        "../../20200101_000000",
        "../../boot_20200101_000000.json",
        "below/20200101_000000",
        "boot_below/../../../boot_20200101_000000.json",
        "20200101_000000/../../../boot_20200101_000000",
        "..",
        "",
        absolute.to_str().unwrap(),
        "\u{1b}[2J",
    ] {
        let answer = fixture.run(&["report", run]);
        refuses(&answer, 2, &["is no run id"]);
        assert!(!answer.all().contains("OUTSIDE"), "{}", answer.all());
        assert!(!answer.stderr.contains('\u{1b}'), "{:?}", answer.stderr);
    }
    assert!(before == fixture.tree());
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_no_older_one_shown_for_it() {
    let (fixture, healthy, _) = fixture();
    let name = format!("{FOLDER}/boot_20990101_000000.json");
    let newer =
        record_of(&fixture, &healthy).replace("\"format_version\": 1", "\"format_version\": 2");
    for (contents, word) in [
        (
            "{\"format_version\": 1, \"run",
            "is damaged: EOF while parsing",
        ),
        ("", "is damaged"),
        (
            "{\"format_version\": 1}",
            "is damaged: missing field `run_id`",
        ),
        (&newer, "has format version 2, and this gate reads up to 1"),
    ] {
        fixture.write(&name, contents);
        for arguments in [&["report"][..], &["report", "20990101_000000"]] {
            refuses(
                &fixture.run(arguments),
                1,
                &["boot_20990101_000000.json", word, "cargo xtask history"],
            );
        }
        let json = fixture.run(&["report", "--format", "json"]);
        let object: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!((json.code, &object["exit_code"]), (1, &1.into()));
    }
    fs::remove_file(fixture.path(&name)).unwrap();
    let mut pipe = std::process::Command::new("mkfifo");
    assert!(pipe.arg(fixture.path(&name)).status().unwrap().success());
    fixture
        .run(&["report"])
        .says_at_once(1, &["cannot be read", "not a regular file"]);
}

#[test]
fn without_a_boot_there_is_nothing_to_show() {
    let fixture = Fixture::empty();
    refuses(
        &fixture.run(&["report"]),
        1,
        &["there is no boot yet", "next: `cargo xtask boot --root"],
    );
    let unknown = fixture.run(&["report", "20250101_000000"]);
    refuses(
        &unknown,
        2,
        &["no record of run 20250101_000000", "no boot yet"],
    );
    assert!(fixture.tree().is_empty(), "nothing is made");
    fixture.write("grace_training", "in the way");
    let unreadable = fixture.run(&["report"]);
    refuses(&unreadable, 1, &[FOLDER, "Not a directory"]);
    let mut command = fixture.command_of(&["report", "--root"]);
    command.arg(fixture.path("nowhere"));
    refuses(&answer(&mut command), 78, &["no such application"]);
}

#[test]
fn it_fits_a_narrow_terminal_and_has_colour_where_that_is_wanted() {
    let (fixture, healthy, _) = fixture();
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = fixture.command_of(&["report"]);
        command.args(arguments).envs(variables.iter().copied());
        answer(command.arg("--root").arg(fixture.root())).stdout
    };
    let root = fixture.root().display().to_string();
    for run in [&healthy, &newest(&fixture)] {
        let narrow = shown(&[run], &[("COLUMNS", "60")]);
        let wide = shown(&[run], &[("COLUMNS", "120")]);
        assert!(narrow.lines().count() > wide.lines().count());
        for line in narrow.lines() {
            let is_whole = line.contains('`') || line.contains(&root);
            assert!(is_whole || line.chars().count() <= 60, "{line}");
        }
        let plain = shown(&[run], &[]);
        assert!(!plain.contains('\u{1b}'), "a pipe has no colours");
        let never = shown(&[run], &[("NO_COLOR", "1")]);
        assert_eq!(plain, never);
        let coloured = shown(&[run, "--color", "always"], &[]);
        assert!(coloured.contains("\u{1b}["), "{coloured}");
    }
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let (fixture, ..) = fixture();
    let mut shell = std::process::Command::new("sh");
    shell.env_clear().envs(fixture.environment());
    shell.arg("-c").arg("\"$0\" report --root \"$1\" | true");
    shell.arg(binary()).arg(fixture.root());
    shell.assert().success().stderr("");
}

#[test]
fn the_help_says_what_it_takes_and_how_it_ends() {
    let fixture = Fixture::empty();
    let help = answer(&mut fixture.command_of(&["report", "--help"]));
    let words = contains("Examples:")
        .and(contains("cargo xtask report 20261123_203824"))
        .and(contains("Exit codes: 0 shown"))
        .and(contains("--format"))
        .and(contains("--color"));
    assert!(words.eval(&help.stdout), "{}", help.stdout);
    let all = answer(&mut fixture.command_of(&["--help"]));
    all.says(0, &["report", "Show one boot that is over"]);
}
