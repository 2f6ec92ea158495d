//! Boots that are over, whole, and records that no version of ours has written.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::model::{
    Change, CommandFile, Decision, Ending, Event, Finding, Lost, Method, Repair, RepairResult,
    SalvageReport, SqlStatement, TableSalvage, Verdict,
};
use crate::report::attempt::attempt;
use crate::report::{pretty, sample};

const AGAIN: &str = " --root /srv/grace";

fn style(width: usize) -> Style {
    Style {
        color: false,
        width,
    }
}

fn record(events: &[Event]) -> BootRecord {
    BootRecord::fold(events).unwrap()
}

fn shown(record: &BootRecord) -> String {
    past(record, AGAIN, style(80))
}

/// The text with whatever was wrapped on one line again.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ended(ending: Ending) -> Vec<Event> {
    sample::boot(sample::start(), |_| None, ending)
}

fn interrupted() -> Vec<Event> {
    ended(Ending::Interrupted { signal: "SIGTERM" })
}

fn panicked() -> Vec<Event> {
    let message = "index out of bounds".to_owned();
    ended(Ending::Panicked { message })
}

fn all() -> [(&'static str, Vec<Event>); 8] {
    [
        ("completed", sample::completed()),
        ("completed_with_fixes", sample::completed_with_fixes()),
        ("aborted", sample::aborted()),
        ("observed", sample::observed()),
        ("partial", sample::partial()),
        ("interrupted", interrupted()),
        ("panicked", panicked()),
        ("refused", sample::every_kind()),
    ]
}

/// Compares with `snapshots/report_past_<name>.snap` at the workspace's root.
fn snapshot(name: &str, output: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("report_past_{name}"), output));
}

#[test]
fn every_ending_afterwards() {
    for (name, events) in all() {
        snapshot(name, &shown(&record(&events)));
    }
}

#[test]
fn at_night_on_a_narrow_terminal() {
    let text = past(&record(&sample::aborted()), AGAIN, style(60));
    snapshot("narrow", &text);
}

#[test]
fn it_is_headed_as_the_boot_itself_ended() {
    for (name, events) in all() {
        let live = pretty(
            &crate::model::BootReport::fold(&events).unwrap(),
            style(120),
        );
        let later = past(&record(&events), AGAIN, style(120));
        let (_, block) = live.rsplit_once("\n\n====").unwrap();
        let (_, headline) = block.split_once('\n').unwrap();
        let headline = headline.lines().next().unwrap();
        let exit = block
            .lines()
            .find_map(|it| it.strip_prefix("Exit code: "))
            .unwrap();
        assert!(
            later.contains(&format!("\n{headline}\n")),
            "{name}: {later}"
        );
        let exit = format!("\nExit code:   {exit}\n");
        assert!(later.contains(&exit), "{name}: {later}");
    }
}

/// The record of a boot whose one bad step has this.
fn with_step(status: &str, problems: Value, repairs: Value) -> BootRecord {
    let mut record = record(&sample::aborted());
    let step = &mut record.stages[0].steps[1];
    step.status = status.to_owned();
    step.problems = problems.as_array().unwrap().clone();
    step.repairs = repairs.as_array().unwrap().clone();
    record
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    let text_on_one_line = unwrapped(text);
    for word in words {
        assert!(text_on_one_line.contains(word), "no `{word}` in {text}");
    }
}

#[test]
fn every_field_of_a_finding_is_shown() {
    let finding = Finding::new("the_code", "the message")
        .evidence("first label", "first value")
        .evidence("second label", "second value\nits second line")
        .cause("the cause")
        .action("the next step")
        .pattern("database_locked");
    let words = [
        "the message",
        "(the_code)",
        "seen: first label: first value",
        "second label: second value its second line",
        "cause: the cause",
        "known: database_locked",
    ];
    for status in ["warn", "fail", "fixed", "error", "pass", "unheard-of"] {
        let text = shown(&with_step(status, json!([finding]), json!([])));
        says(&text, &words);
        let is_owed = matches!(status, "warn" | "fail");
        assert_eq!(text.contains("next:   the next step"), is_owed, "{text}");
    }
}

fn results() -> Vec<RepairResult> {
    let (taken_back, stays) = (false, Some("the copy lies in /kept".to_owned()));
    vec![
        RepairResult::Verified,
        RepairResult::Proposed,
        RepairResult::Refused {
            error: "the file is held".to_owned(),
        },
        RepairResult::Failed {
            error: "no room".to_owned(),
            taken_back: true,
            stays: None,
        },
        RepairResult::NotVerified {
            problems: vec![sample::schema_outdated()],
            taken_back,
            stays,
        },
    ]
}

const DECISIONS: [Decision; 5] = [
    Decision::Apply,
    Decision::ApplyAndNotify,
    Decision::NeedsApproval,
    Decision::NeedsQuorum,
    Decision::ObserveOnly,
];

#[test]
fn every_result_is_told_as_the_boot_told_it() {
    for (result, decision) in results()
        .into_iter()
        .flat_map(|result| DECISIONS.map(|decision| (result.clone(), decision)))
    {
        let repair = Repair {
            changes: vec![rebuild()],
            proposal: Some("--- a/x.py\n+++ b/x.py\n+    the edit".to_owned()),
            ..sample::repair(decision, result)
        };
        let text = shown(&with_step("fail", json!([]), json!([repair])));
        says(&text, &[&attempt(&repair, AGAIN), "plan: 5f2c9a, "]);
        assert!(
            text.contains("\n                 +    the edit\n"),
            "a diff is not wrapped: {text}"
        );
        let is_done = repair.is_verified();
        let summary = "healed it: Applied migrations 2 and 3";
        assert_eq!(unwrapped(&text).contains(summary), is_done, "{text}");
        let stays = matches!(repair.result, RepairResult::NotVerified { .. }) || is_done;
        let undo = "`cargo xtask undo 20251109_183015 --root /srv/grace`";
        assert_eq!(text.contains(undo), stays, "{text}");
    }
}

fn rebuild() -> Change {
    Change::RebuildDatabase {
        path: PathBuf::from("/srv/x.db"),
        present: "abc".to_owned(),
        report: SalvageReport {
            method: Method::Salvage,
            tables: vec![TableSalvage {
                table: "orders".to_owned(),
                saved: 7,
                lost: Lost::AtMost(2),
                merged: 0,
                is_hurt: true,
            }],
            backup: None,
            backup_digest: None,
            unassigned: 0,
            dangling: 0,
            counters: vec!["orders".to_owned()],
            notes: vec!["a note of the salvage".to_owned()],
        },
    }
}

/// One of each kind.
fn changes() -> Vec<Change> {
    let path = || PathBuf::from("/srv/x");
    let (bytes, versions) = (Vec::new, || vec![2, 3]);
    vec![
        Change::CreateFolder { path: path() },
        Change::CreateFile {
            path: path(),
            contents: bytes(),
            mode: 0o600,
        },
        Change::AppendToFile {
            path: path(),
            expected: bytes(),
            addition: bytes(),
        },
        Change::EditFile {
            path: path(),
            expected: bytes(),
            edited: bytes(),
            diff: String::new(),
        },
        Change::ReplaceOwnFile {
            path: path(),
            contents: bytes(),
        },
        Change::CreateDatabase {
            path: path(),
            versions: versions(),
            texts: Vec::new(),
        },
        Change::ApplyMigrations {
            versions: versions(),
            texts: Vec::new(),
        },
        Change::AdoptSchema {
            statements: vec!["ALTER TABLE t ADD COLUMN a".to_owned()],
            versions: versions(),
            expected_fingerprint: "abc".to_owned(),
            lacking_rows: vec!["1 row of t".to_owned()],
        },
        Change::RestampMigrations {
            versions: versions(),
            checksums: vec!["abc".to_owned()],
        },
        rebuild(),
        Change::RestoreCopy {
            path: path(),
            copy: PathBuf::from("/kept/x"),
            kept: "abc".to_owned(),
            present: "abc".to_owned(),
        },
        Change::WriteRows {
            statements: vec![SqlStatement {
                sql: "UPDATE t SET a = 1".to_owned(),
                parameters: Vec::new(),
            }],
        },
        Change::RunMigrator {
            argv: vec!["alembic".to_owned(), "upgrade".to_owned()],
            files: vec![CommandFile {
                path: "alembic.ini".to_owned(),
                sha256: "abc".to_owned(),
            }],
        },
    ]
}

#[test]
fn every_change_is_told_in_words() {
    for change in changes() {
        let expect: &[&str] = match change {
            Change::CreateFolder { .. } => &["make the folder /srv/x"],
            Change::CreateFile { .. } => &["make /srv/x with mode 600"],
            Change::AppendToFile { .. } => &["add to the end of /srv/x"],
            Change::EditFile { .. } => &["edit /srv/x"],
            Change::ReplaceOwnFile { .. } => &["write /srv/x"],
            Change::CreateDatabase { .. } => &["make the database /srv/x, by migrations 2, 3"],
            Change::ApplyMigrations { .. } => &["apply migrations 2, 3"],
            Change::AdoptSchema { .. } => &[
                "add to the database, and record migrations 2, 3",
                "- ALTER TABLE t ADD COLUMN a",
                "- without 1 row of t, which the migrations write",
            ],
            Change::RestampMigrations { .. } => &["renew the checksums of migrations 2, 3"],
            Change::RebuildDatabase { .. } => &[
                "put what was saved in the place of /srv/x.db, which is kept",
                "- 7 rows of 1 tables saved, lost: unknown, at most 2, the counter of orders lost \
                 (orders: 7 saved, lost: unknown, at most 2)",
            ],
            Change::RestoreCopy { .. } => &["put /kept/x in the place of /srv/x, which is kept"],
            Change::WriteRows { .. } => &["change rows by 1 statement, in one transaction"],
            Change::RunMigrator { .. } => &["run `alembic upgrade`", "- by alembic.ini"],
        };
        assert_eq!(change::lines(&json!(change)), expect);
    }
}

/// What no version of ours writes.
fn odd() -> [Value; 9] {
    [
        json!(null),
        json!(true),
        json!(5),
        json!(1e300),
        json!("a text"),
        json!([]),
        json!([["deep", null], 5]),
        json!({}),
        json!({"label": 5, "kind": [], "others": {"deep": "value"}}),
    ]
}

#[test]
fn what_has_another_shape_is_shown_as_it_is() {
    let finding = json!(sample::schema_outdated());
    let repair = Repair {
        changes: changes(),
        ..sample::repair(Decision::NeedsQuorum, results().pop().unwrap())
    };
    let repair = json!(repair);
    for odd in odd() {
        let text = shown(&with_step("fail", json!([odd]), json!([odd])));
        assert!(text.contains("[FAIL] "), "{text}");
        for (whole, is_finding) in [(&finding, true), (&repair, false)] {
            for name in whole.as_object().unwrap().keys() {
                let mut changed = whole.clone();
                changed[name] = odd.clone();
                let (one, none) = (json!([changed]), json!([]));
                let text = if is_finding {
                    shown(&with_step("fail", one, none))
                } else {
                    shown(&with_step("fail", none, one))
                };
                // One field in another shape hides no other.
                let other = match (is_finding, name.as_str()) {
                    (true, "message") => "(schema_outdated)",
                    (true, _) => "table playbooks lacks",
                    (false, "playbook") => "5f2c9a",
                    (false, _) => "apply_pending_migrations ",
                };
                says(&text, &[other]);
            }
        }
    }
}

#[test]
fn what_another_version_wrote_is_shown_too() {
    let problem = json!({"message": "it is bad", "severity": "high", "evidence": "a log line"});
    let repair = json!({"playbook": "mend", "result": "postponed", "error": "not now", "until": 7});
    let mut record = with_step("quarantined", json!([problem]), json!([repair]));
    record.summary.verdict = "may-start-slowly".to_owned();
    record.summary.ending = "adjourned".to_owned();
    record.stages[1].issues = vec!["something: is wrong".to_owned()];
    let words = [
        "it ended as `quarantined`",
        "was: it is bad",
        "seen: seen: a log line",
        "severity: high",
        "fix: mend ended as `postponed`: not now",
        "plan: until: 7",
        "(may-start-slowly): its verdict is not known to this gate",
        "Ended: adjourned",
        "issue: something: is wrong",
    ];
    let text = shown(&record);
    says(&text, &words);
    assert!(!text.contains("SUCCESS"), "{text}");
}

#[test]
fn of_very_many_problems_the_first_are_shown_and_the_rest_counted() {
    let problems: Vec<Value> = (0..1_000).map(|it| json!({"message": it})).collect();
    let text = shown(&with_step("fail", problems.into(), json!([])));
    says(&text, &["more: 960, in the record"]);
    assert!(text.lines().count() < 200, "{text}");
    let long =
        json!([{"message": "x", "evidence": [{"label": "log", "value": "a line\n".repeat(99)}]}]);
    let text = shown(&with_step("fail", long, json!([])));
    says(&text, &["... 79 more lines in the record"]);
}

#[test]
fn what_stands_between_healthy_stages_is_not_lost() {
    let mut record = record(&sample::completed());
    record.stages[2].steps[0].notes = vec!["a note on the database".to_owned()];
    record.stages[4].steps[0].duration_ms = 31_204.0;
    let text = shown(&record);
    says(
        &text,
        &[
            "[OK] core_services::database - write probe rolled back note: a note on the database",
            "[OK] 5. Codec Validation complete - 1 check, 31.204 s",
        ],
    );
}

/// A record can be from a disk that is not ours.
#[test]
fn a_hostile_record_moves_no_cursor_and_forges_no_line() {
    let nasty = "\u{1b}[2J\u{202e}\r\n[OK] forged\nBOOT PIPELINE SUCCESS";
    let mut events = sample::aborted();
    for event in &mut events {
        event.for_each_text(&mut |text| text.push_str(nasty));
    }
    let mut record = record(&events);
    record.run_id += nasty;
    record.stages[3].stage += nasty;
    record.stages[0].steps[1].id += nasty;
    record.summary.verdict += nasty;
    let text = shown(&record);
    assert!(
        !text.contains(|it: char| it.is_control() && it != '\n'),
        "{text}"
    );
    for line in text.lines() {
        assert!(!line.starts_with("[OK] forged"), "{text}");
        assert!(!line.starts_with("BOOT PIPELINE SUCCESS"), "{text}");
    }
}

#[test]
fn no_line_of_ours_is_wider_than_asked_for_and_colour_changes_no_letter() {
    let codes = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for (name, events) in all() {
        let record = record(&events);
        for width in [0, 60, 80, 120, 500] {
            let text = past(&record, AGAIN, style(width));
            assert!(text.is_ascii(), "{name}");
            for line in text.lines().filter(|line| !line.contains('`')) {
                let widest = width.clamp(60, 120);
                assert!(line.len() <= widest, "{name} at {width}: {line}");
            }
            let colour = Style { color: true, width };
            let coloured = past(&record, AGAIN, colour);
            assert!(codes.is_match(&coloured), "{name}");
            assert_eq!(codes.replace_all(&coloured, ""), text, "{name}");
        }
    }
}

#[test]
fn a_record_of_every_verdict_says_what_it_means() {
    for verdict in [
        Verdict::Blocked,
        Verdict::HealFailed,
        Verdict::NeedsApproval,
        Verdict::LockHeld,
        Verdict::Config,
        Verdict::Bug,
    ] {
        let mut record = record(&sample::aborted());
        record.summary.verdict = verdict.word().to_owned();
        let meaning = crate::report::meaning(verdict).replace("the application", "grace");
        says(&shown(&record), &[&format!(": {meaning}")]);
    }
}
