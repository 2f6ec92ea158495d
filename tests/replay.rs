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
use boot_checks::patterns::{self, Embedded, Outcome, OwnPackages, recognise};
use boot_checks::plan;
use serde_json::Value;

use support::{Answer, Fixture, answer};

/// Fewer would prove little: the states that a hasty gate would heal.
const CONTROLS_MIN: usize = 10;

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
static ALL: LazyLock<(i32, Value)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("xtask").unwrap();
    command.args(["replay", "--all", "--format", "json", "--test-threads", "2"]);
    let answer = answer(command.env("TMPDIR", folder.path()));
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "sandboxes are left behind");
    (answer.code, serde_json::from_str(&answer.stdout).unwrap())
});

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
        let Some(embedded) = replay_of(id) else {
            panic!("{id} has no replay.toml");
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
fn with_approval_a_proposal_is_carried_out_and_taken_back() {
    let proposals: Vec<&str> = patterns::replays()
        .iter()
        .filter(|embedded| embedded.fixture().expect.outcome == Outcome::Proposal)
        .map(|embedded| embedded.id)
        .collect();
    assert!(!proposals.is_empty());
    let (_, report) = json(&[&["--approve"], proposals.as_slice()].concat());
    let unmet = unmet(&report);
    for replay in replays(&report) {
        if !unmet.contains(replay["id"].as_str().unwrap()) {
            assert_eq!(replay["held"], true, "{replay:#}");
            assert_eq!(replay["outcome"], "healed");
            let heal = &replay["steps"][2]["seen"];
            assert_eq!(heal["result"], "verified", "{heal:#}");
            assert_eq!(heal["approved by"][0], "ann", "{heal:#}");
        }
    }
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
fn what_a_machine_cannot_show_is_unmet_and_no_success() {
    let without_tools = |id: &str| {
        let mut command = Command::cargo_bin("xtask").unwrap();
        answer(command.args(["replay", id]).env("PATH", "/nowhere"))
    };
    without_tools("missing_env_secrets").says(1, &["UNMET", "python3 is missing", "held: 0/1"]);
    without_tools("disk_full").says(1, &["UNMET", "nobody may mount", "held: 0/1"]);
    without_tools("port_in_use").says(0, &["held: 1/1"]);
}

#[test]
fn the_gates_own_output_is_shown_on_request() {
    let answer = replay(&["--boots", "port_in_use"]);
    assert_eq!(answer.code, 0, "{}", answer.all());
    let boots = answer.stdout.matches("| BOOT PIPELINE SUCCESS").count();
    assert_eq!(boots, 3, "{}", answer.stdout);
    assert!(answer.stdout.contains("port <port> is in use"));
}

#[test]
fn a_replay_that_is_stopped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut replay = std::process::Command::new(support::binary())
        .args(["replay", "--all"])
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Once a sandbox is there, it is under way.
    while fs::read_dir(folder.path()).unwrap().next().is_none() {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&replay);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(replay.wait().unwrap().code(), Some(1));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut replay.stdout.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("stopped by SIGTERM"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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

const FAILURES: &str = "grace_training/startup_failures";

/// An application whose column has another type than its code expects, and which lacks a key.
fn failing() -> Fixture {
    let fixture = Fixture::empty();
    fixture.write(
        "boot.toml",
        "name = \"orders\"
required_secrets = [\"SECRET_KEY\", \"STRIPE_API_KEY\"]
[database]
url = \"sqlite:///./var/grace.db\"
[tables]
orders = [\"id\", \"total REAL\"]
",
    );
    fixture.write(".env", "SECRET_KEY=planted-secret-1\n");
    fixture.sql(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total TEXT, by TEXT DEFAULT 'planted-secret-1');
         INSERT INTO orders (total) VALUES ('planted-row')",
    );
    fixture
}

/// The one file of the boot's folder that begins like this.
fn left(fixture: &Fixture, prefix: &str) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(fixture.path(FAILURES)).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(prefix)
    })
}

#[test]
fn a_failed_boot_leaves_what_brings_its_findings_again_elsewhere() {
    let fixture = failing();
    assert_eq!(fixture.boot(&[]).code, 1);
    let bundle = left(&fixture, "incident_").unwrap();
    let text = fs::read_to_string(&bundle).unwrap();
    for planted in ["planted-secret-1", "planted-row"] {
        assert!(!text.contains(planted), "{text}");
    }
    // Another machine has nothing but the file.
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("from-a-customer.json");
    fs::copy(&bundle, &copy).unwrap();
    let (code, report) = json(&["--from", copy.to_str().unwrap()]);
    let found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["code"].as_str().unwrap(),
                it["came_again"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("column_type", true), ("secret_missing", true)]);
    assert_eq!((code, &report["others"]), (0, &Value::Array(Vec::new())));
    let limits = report["limits"].to_string();
    assert!(limits.contains("rows of tables"), "{limits}");
    // The record of the same boot leads to the bundle beside it.
    let record = left(&fixture, "boot_").unwrap();
    let (code, by_record) = json(&["--from", record.to_str().unwrap()]);
    assert_eq!((code, &by_record["findings"]), (0, &report["findings"]));
}

#[test]
fn what_does_not_come_again_is_said_and_is_no_success() {
    let fixture = failing();
    fixture.boot(&[]);
    let bundle = left(&fixture, "incident_").unwrap();
    let text = fs::read_to_string(&bundle).unwrap();
    let healthy = text.replace("total TEXT", "total REAL");
    assert_ne!(text, healthy);
    fs::write(&bundle, healthy).unwrap();
    replay(&["--from", bundle.to_str().unwrap()]).says(
        1,
        &[
            "column_type DID NOT COME",
            "secret_missing came again",
            "Came again: 1/2",
        ],
    );
    fs::write(&bundle, "{}").unwrap();
    replay(&["--from", bundle.to_str().unwrap()]).says(2, &["is no incident bundle"]);
    replay(&["--from", "/no/such/file"]).says(2, &["there is no file /no/such/file"]);
}

#[test]
fn a_locked_database_is_locked_again() {
    let fixture = Fixture::healthy();
    let mut holder = std::process::Command::new(support::binary())
        .args(["replay-program", "database"])
        .arg(fixture.database())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"BEGIN EXCLUSIVE\n").unwrap();
    let mut ready = String::new();
    let output = holder.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut ready).unwrap();
    assert_eq!(fixture.boot(&["--lock-timeout", "0s"]).code, 1);
    drop(input);
    holder.wait().unwrap();
    let bundle = left(&fixture, "incident_").unwrap();
    replay(&["--from", bundle.to_str().unwrap()]).says(
        0,
        &["preflight::database_readable: database_locked came again"],
    );
}

#[test]
fn a_record_alone_is_replayed_by_the_incidents_that_it_names() {
    let fixture = Fixture::healthy();
    fixture.write("var/grace.db", [0xa5; 12_288]);
    fixture.boot(&[]);
    fs::remove_file(left(&fixture, "incident_").unwrap()).unwrap();
    let names = fixture.records();
    let record = fixture.path(&format!("{FAILURES}/{}", names.last().unwrap()));
    replay(&["--from", record.to_str().unwrap()]).says(
        0,
        &[
            "without its incident bundle",
            "database_corrupt:",
            "Patterns held: 1/1",
        ],
    );
    let first = fixture.path(&format!("{FAILURES}/{}", names[0]));
    replay(&["--from", first.to_str().unwrap()]).says(1, &["names no known incident"]);
}

#[test]
fn the_catalogue_stands_beside_the_records_of_boots_that_may_write() {
    let fixture = failing();
    fixture.boot(&["--observe"]);
    assert_eq!(left(&fixture, "_metadata"), None);
    assert_eq!(left(&fixture, "incident_"), None);
    fixture.boot(&[]);
    let path = left(&fixture, "_metadata").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), patterns::METADATA_JSON);
    let written = || fs::metadata(&path).unwrap().modified().unwrap();
    let before = written();
    fixture.boot(&[]);
    assert_eq!(written(), before, "it was as it should be");
    fs::write(&path, "{}").unwrap();
    fixture.boot(&[]);
    assert_eq!(fs::read_to_string(&path).unwrap(), patterns::METADATA_JSON);
}
