//! Every known incident is reproduced, found, healed, verified and undone, by the real binary; and
//! nothing is healed where nothing is wrong.
#![cfg(unix)]
#![allow(clippy::print_stderr, reason = "a case that is skipped says so")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use assert_cmd::Command;
use boot_checks::model::StepId;
use boot_checks::patterns::{self, Embedded, OwnPackages, recognise};
use boot_checks::plan;
use serde_json::Value;

use support::{Answer, answer};

/// Fewer would prove little: the states that a hasty gate would heal.
const CONTROLS_MIN: usize = 10;

/// What the gate's checks do not look for yet: faults in the application's source.
const WITHOUT_REPLAY: [&str; 6] = [
    "circular_import_avn_models",
    "import_name_missing",
    "missing_dependency",
    "missing_internal_module",
    "syntax_error",
    "trigger_mesh_unawaited",
];

fn replay(arguments: &[&str]) -> Answer {
    let mut command = Command::cargo_bin("xtask").unwrap();
    answer(command.arg("replay").args(arguments))
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let answer = replay(&[&["--format", "json"], arguments].concat());
    let report = serde_json::from_str(&answer.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", answer.all()));
    (answer.code, report)
}

/// One run of everything, for all tests.
static ALL: LazyLock<(i32, Value)> = LazyLock::new(|| json(&["--all", "--test-threads", "2"]));

fn replays(report: &Value) -> impl Iterator<Item = &Value> {
    let all = ["patterns", "controls"].map(|kind| report[kind].as_array().unwrap());
    all.into_iter().flatten()
}

/// What this machine cannot show, which is said on standard error: no interpreter, no right to mount.
fn unmet(report: &Value) -> BTreeSet<String> {
    let is_unmet = |replay: &&Value| {
        let steps = replay["steps"].as_array().unwrap();
        steps.iter().any(|step| step["status"] == "unmet")
    };
    let unmet = replays(report).filter(is_unmet);
    unmet
        .map(|replay| {
            let id = replay["id"].as_str().unwrap().to_owned();
            eprintln!("skipped: {id}: {}", replay["steps"][0]["why"]);
            id
        })
        .collect()
}

/// Removes what the report itself declares to differ from run to run.
fn without_declared(mut report: Value) -> Value {
    let declared = report["declared_fields"].as_array().unwrap().clone();
    for field in &declared {
        let (list, name) = field.as_str().unwrap().split_once("[].").unwrap();
        for replay in report[list].as_array_mut().unwrap() {
            assert!(replay.as_object_mut().unwrap().remove(name).is_some());
        }
    }
    report
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::repository().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("replay_{name}"), text));
}

#[test]
fn every_step_of_every_replay_holds() {
    let (code, report) = &*ALL;
    let unmet = unmet(report);
    for replay in replays(report) {
        let id = replay["id"].as_str().unwrap();
        if !unmet.contains(id) {
            assert_eq!(replay["held"], true, "{replay:#}");
            for step in replay["steps"].as_array().unwrap() {
                assert_eq!(step["status"], "held", "{replay:#}");
            }
        }
    }
    assert_eq!(*code, i32::from(!unmet.is_empty()), "{}", report["summary"]);
}

#[test]
fn each_report_is_as_it_was_reviewed() {
    let report = without_declared(ALL.1.clone());
    let unmet = unmet(&report);
    for replay in replays(&report) {
        let id = replay["id"].as_str().unwrap();
        if !unmet.contains(id) {
            snapshot(id, &format!("{replay:#}\n"));
        }
    }
}

#[test]
fn order_and_threads_do_not_change_the_report() {
    let mut ids: Vec<&str> = patterns::replays()
        .iter()
        .chain(patterns::controls())
        .map(|embedded| embedded.id)
        .collect();
    let expected = without_declared(ALL.1.clone());
    for (threads, by) in [("1", 7), ("5", 4)] {
        // Another order each time: some steps along a ring that visits all of them.
        let shift = by % ids.len();
        ids.rotate_left(shift);
        ids.reverse();
        let arguments = [&["--test-threads", threads], ids.as_slice()].concat();
        let report = without_declared(json(&arguments).1);
        assert_eq!(report, expected, "{threads} threads, {ids:?}");
    }
}

#[test]
fn the_catalogue_is_complete() {
    let steps: BTreeSet<String> = plan::step_ids().map(|id: StepId| id.to_string()).collect();
    let folder = support::repository().join("fixtures/patterns");
    let mut folders: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let ids: Vec<&str> = patterns::all().iter().map(|pattern| pattern.id).collect();
    assert_eq!(folders, ids);
    for pattern in patterns::all() {
        let id = pattern.id;
        let embedded = replay_of(id);
        assert_eq!(embedded.is_none(), WITHOUT_REPLAY.contains(&id), "{id}");
        let Some(embedded) = embedded else {
            continue;
        };
        let snapshot = format!("snapshots/replay_{id}.snap");
        assert!(support::repository().join(&snapshot).exists(), "{snapshot}");
        for check in pattern.checks {
            assert!(
                steps.contains(*check),
                "{id} names {check}, which is no step"
            );
        }
        let expect = embedded.fixture().expect;
        assert!(
            pattern.checks.contains(&expect.step.as_str()),
            "{id}: {}",
            expect.step
        );
        let playbooks: Vec<_> = boot_checks::playbooks::ALL
            .iter()
            .map(|playbook| playbook.meta())
            .collect();
        if let Some(name) = pattern.playbook {
            let meta = playbooks.iter().find(|meta| meta.id == name);
            let meta = meta.unwrap_or_else(|| panic!("{id}: {name} is no playbook"));
            assert_eq!(
                (meta.risk, meta.tier),
                (pattern.risk, pattern.tier),
                "{id}: {name}"
            );
        }
        let own = OwnPackages::default();
        let recognises = |text: &str| recognise(text, &own).iter().any(|it| it.pattern == id);
        assert!(pattern.samples.iter().any(|it| recognises(it.text)), "{id}");
        assert!(!pattern.look_alikes.is_empty(), "{id}");
        for look_alike in pattern.look_alikes {
            assert!(!recognises(look_alike.text), "{id}: {}", look_alike.text);
        }
    }
}

fn replay_of(id: &str) -> Option<&'static Embedded> {
    patterns::replays()
        .iter()
        .find(|embedded| embedded.id == id)
}

#[test]
fn there_are_enough_states_in_which_nothing_is_healed() {
    assert!(patterns::controls().len() >= CONTROLS_MIN);
    for control in patterns::controls() {
        assert!(patterns::find(control.id).is_none(), "{}", control.id);
    }
}

#[test]
fn a_table_ends_a_replay_of_many() {
    let answer = replay(&["missing_env_secrets", "port_in_use", "healthy"]);
    if answer.stdout.contains("UNMET") {
        eprintln!("skipped: python3 is missing");
        return;
    }
    assert_eq!(answer.code, 0, "{}", answer.all());
    snapshot("table", &answer.stdout);
}

#[test]
fn observing_ends_after_finding_it() {
    let (code, report) = json(&["--observe", "verification_events_schema_mismatch"]);
    let steps = report["patterns"][0]["steps"].as_array().unwrap();
    let status: Vec<&str> = steps
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    assert_eq!(status, ["held", "held", "not-run", "not-run", "not-run"]);
    assert_eq!(code, 0);
}

#[test]
fn a_kept_sandbox_is_the_incident_to_look_at() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let arguments = ["--keep", keep.to_str().unwrap(), "port_in_use"];
    replay(&arguments).says(0, &["kept in"]);
    let root = keep.join("port_in_use/app");
    assert!(root.join("logs/last_boot_report.txt").exists());
    // What is there may be somebody's.
    replay(&arguments).says(2, &["is not empty"]);
}

#[test]
fn wrong_names_and_the_list() {
    replay(&["database_loked"]).says(
        2,
        &[
            "there is no pattern or control `database_loked`",
            "did you mean `database_locked`?",
        ],
    );
    replay(&[]).says(2, &["--all"]);
    let answer = replay(&["--list"]);
    assert_eq!(answer.code, 0);
    let all = patterns::replays().len() + patterns::controls().len();
    assert_eq!(answer.stdout.lines().count(), all);
}
