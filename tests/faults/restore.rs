//! A kept copy put in the place of a database beside which newer rows lie in a hot log: exactly the copy
//! is there afterwards, exactly what was there is kept, and a kill leaves the one or the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use boot_checks::services::db::{Access, Connection};

use crate::boots::{Boot, boot, count_changes_of, run, with_library};
use crate::corruption::Numbers;
use crate::instants::everything;
use crate::sandbox::{Journal, ROWS, Sandbox, Start};
use crate::shim::{self, Fault};

type Files = BTreeMap<&'static str, Vec<u8>>;

/// The files of a database, byte for byte.
pub(crate) fn files(main: &Path) -> Files {
    let all = ["", "-wal", "-journal"].into_iter();
    all.filter_map(|suffix| Some((suffix, std::fs::read(beside(main, suffix)).ok()?)))
        .filter(|(suffix, bytes)| suffix.is_empty() || !bytes.is_empty())
        .collect()
}

fn beside(main: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", main.display()))
}

/// Every row of every table, in words.
type Rows = BTreeMap<String, Vec<String>>;

/// What these files hold, read from a copy of them.
fn rows(files: &Files) -> Rows {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("a.db");
    for (suffix, bytes) in files {
        std::fs::write(beside(&main, suffix), bytes).unwrap();
    }
    let mut connection = Connection::open(&main, Access::ReadWrite, Duration::ZERO).unwrap();
    let check = connection.scalar("PRAGMA integrity_check");
    assert_eq!(check, Ok("ok".into()));
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut all = Rows::new();
    for table in connection.query(tables, &[]).unwrap() {
        let boot_checks::model::SqlValue::Text(table) = &table[0] else {
            continue;
        };
        // A boot adds columns to it.
        let columns = match table.as_str() {
            "verification_events" => "id, verification_type, details",
            _ => "*",
        };
        let rows = connection.query(&format!("SELECT {columns} FROM \"{table}\""), &[]);
        let mut rows: Vec<String> = rows.unwrap().iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        all.insert(table.clone(), rows);
    }
    connection.close();
    all
}

/// An application whose gate has healed it and kept what was there before, and the run that did.
pub(crate) fn kept(journal: Journal) -> (Sandbox, String) {
    let sandbox = Sandbox::prepared(Start::Legacy(journal));
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let run_id = std::fs::read_dir(sandbox.root().join("var/boot/backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .min()
        .unwrap();
    (sandbox, run_id)
}

/// Commits rows one by one and leaves the files as a crash would.
pub(crate) fn commit_and_crash(sandbox: &Sandbox, rows: usize, autocheckpoint: usize) {
    let mut connection = sandbox.open();
    connection
        .execute(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = {autocheckpoint}"
        ))
        .unwrap();
    for row in 0..rows {
        let sql = format!("INSERT INTO notes (body, extra) VALUES ('since {row}', zeroblob(700))");
        connection.execute(&sql).unwrap();
    }
    let crashed = files(&sandbox.database());
    connection.close();
    for (suffix, bytes) in crashed {
        std::fs::write(sandbox.side(suffix), bytes).unwrap();
    }
}

pub(crate) fn command(sandbox: &Sandbox, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .env_clear()
        .args(words)
        .arg("--root")
        .arg(sandbox.root())
        .stdin(Stdio::null());
    command
}

fn fingerprint(sandbox: &Sandbox, run_id: &str) -> String {
    let words = ["backups", "restore", run_id, "--plan", "--format", "json"];
    let planned = run(&mut command(sandbox, &words));
    let json: serde_json::Value = serde_json::from_slice(&planned.output.stdout)
        .unwrap_or_else(|_| panic!("{}", planned.text()));
    json["plan"]["fingerprint"].as_str().unwrap().to_owned()
}

/// Puts the run's copy back and gives the run that did.
pub(crate) fn restore(sandbox: &Sandbox, run_id: &str) -> String {
    let fingerprint = fingerprint(sandbox, run_id);
    let words = ["backups", "restore", run_id, "--apply", &fingerprint];
    let done = run(&mut command(sandbox, &words));
    assert_eq!(done.code, Some(0), "{}", done.text());
    let text = done.text();
    let undo = text.split("cargo xtask undo ").nth(1).unwrap();
    undo.split([' ', '`']).next().unwrap().to_owned()
}

fn undo(sandbox: &Sandbox, run_id: &str) -> Boot {
    run(&mut command(sandbox, &["undo", run_id]))
}

/// The first copy that the run made.
fn copy(sandbox: &Sandbox, run_id: &str) -> PathBuf {
    let folder = sandbox.root().join("var/boot/backups").join(run_id);
    let names = std::fs::read_dir(&folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let first = names.filter(|name| name.ends_with("grace.db")).min();
    folder.join(first.unwrap())
}

#[test]
fn a_copy_over_a_newer_hot_log_is_the_copy_and_what_was_there_is_kept() {
    let mut numbers = Numbers::new(7);
    for journal in [Journal::Delete, Journal::HotWal] {
        let (template, run_id) = kept(journal);
        let wanted = rows(&files(&copy(&template, &run_id)));
        for trial in 0..10 {
            let sandbox = template.copy();
            let since = 1 + numbers.below(60);
            let autocheckpoint = if trial % 2 == 0 { 0 } else { 8 };
            let what = format!("{journal:?}, {since} rows, autocheckpoint {autocheckpoint}");
            commit_and_crash(&sandbox, since, autocheckpoint);
            let before = files(&sandbox.database());
            assert!(before.contains_key("-wal"), "{what}");
            let restored = restore(&sandbox, &run_id);
            let now = files(&sandbox.database());
            assert!(now.keys().eq([""].iter()), "{what}: {:?}", now.keys());
            assert!(rows(&now) == wanted, "{what}: other rows than the copy's");
            let quarantine = sandbox.root().join("var/boot/quarantine").join(&restored);
            let set_aside = files(&quarantine.join("0-grace.db"));
            assert!(set_aside == before, "{what}: not kept byte for byte");
            let undone = undo(&sandbox, &restored);
            assert_eq!(undone.code, Some(0), "{what}: {}", undone.text());
            assert!(
                files(&sandbox.database()) == before,
                "{what}: not as it was"
            );
            let notes = &rows(&before)["notes"];
            assert_eq!(notes.len(), ROWS as usize + since, "{what}");
        }
    }
    println!(
        "| restore over a newer hot log | 20 logs | 0 rows that are not the copy's, 0 rows lost |"
    );
}

/// Tables that a boot does not write.
fn own(rows: &Rows) -> [&Vec<String>; 2] {
    [&rows["notes"], &rows["verification_events"]]
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_or_the_new_state() {
    cut_short(Fault::Kill);
}

/// As where a rule of the system's, such as that of a sticky folder, forbids one step and no other.
#[test]
fn a_restore_of_which_one_step_is_forbidden_leaves_the_old_or_the_new_state() {
    const EACCES: i32 = 13;
    cut_short(Fault::Once(EACCES));
}

fn cut_short(fault: Fault) {
    let library = shim::library();
    let (template, run_id) = kept(Journal::HotWal);
    let new = rows(&files(&copy(&template, &run_id)));
    commit_and_crash(&template, 25, 0);
    let before = files(&template.database());
    let old = rows(&before);
    let apply = |sandbox: &Sandbox| {
        let plan = fingerprint(sandbox, &run_id);
        command(sandbox, &["backups", "restore", &run_id, "--apply", &plan])
    };
    let whole = template.copy();
    let changes = count_changes_of(&mut apply(&whole), whole.root(), library);
    let step = if everything() || fault.is_error() {
        1
    } else {
        4
    };
    let (mut tried, mut olds) = (0, 0);
    let (kind, error) = fault.variables();
    for at in (1..=changes).step_by(step) {
        let sandbox = template.copy();
        let cut = run(with_library(&mut apply(&sandbox), sandbox.root(), library)
            .env("FAULTS_AT", at.to_string())
            .env("FAULTS_ERRNO", &error)
            .env("FAULTS_KIND", kind));
        tried += 1;
        if cut.text().contains("everything is as it was") {
            let now = files(&sandbox.database());
            assert!(now == before, "at {at}: {}", cut.text());
        }
        let plain = boot(sandbox.root());
        let said = format!("at {at}: {}{}", cut.text(), plain.text());
        assert_eq!(plain.code, Some(0), "{said}");
        let now = rows(&files(&sandbox.database()));
        if own(&now) == own(&old) {
            olds += 1;
        } else {
            assert!(own(&now) == own(&new), "neither old nor new {said}");
            let quarantine = sandbox.root().join("var/boot/quarantine");
            let run = std::fs::read_dir(quarantine).unwrap().next().unwrap();
            let set_aside = files(&run.unwrap().path().join("0-grace.db"));
            assert!(set_aside == before, "what was there is not kept {said}");
        }
        sandbox
            .verify_names()
            .unwrap_or_else(|error| panic!("{error} {said}"));
    }
    assert!(olds > 0 && olds < tried, "{olds} of {tried}");
    println!(
        "| restore | {fault:?} | {tried} points | {olds} old, {} new | 0 rows lost |",
        tried - olds
    );
}

#[test]
fn what_was_there_is_on_the_disk_before_anything_of_it_is_moved() {
    let library = shim::library();
    let (sandbox, run_id) = kept(Journal::Delete);
    commit_and_crash(&sandbox, 5, 0);
    let plan = fingerprint(&sandbox, &run_id);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let words = ["backups", "restore", &run_id, "--apply", &plan];
    let mut restore = command(&sandbox, &words);
    let restored = run(with_library(&mut restore, sandbox.root(), library).env("FAULTS_LOG", &log));
    assert_eq!(restored.code, Some(0), "{}", restored.text());
    let calls = std::fs::read_to_string(&log).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    let last = |is_meant: &dyn Fn(&str) -> bool| calls.iter().rposition(|call| is_meant(call));
    // From here on files are moved.
    let is_begin =
        |call: &&str| call.starts_with("renamed ") && call.ends_with("var/boot/swap.json");
    let begun = calls.iter().position(is_begin);
    let begun = begun.unwrap_or_else(|| panic!("{calls:#?}"));
    let moved = last(&|call| call.starts_with("renamed ") && call.ends_with("var/grace.db"));
    assert!(begun < moved.unwrap(), "{calls:#?}");
    for file in [
        "/0-grace.db",
        "/0-grace.db-wal",
        "_restore",
        "var/.grace.db.restoring",
    ] {
        let is_its_own = |call: &str| call.ends_with(file);
        let is_flush = |call: &&str| call.starts_with("fsync ") && is_its_own(call);
        let flushed = calls[..begun].iter().rposition(is_flush);
        let written = last(&|call| {
            is_its_own(call) && (call.starts_with("copy_file_range") || call.starts_with("write"))
        });
        assert!(
            flushed.is_some() && flushed > written,
            "{file} is not flushed in time: {calls:#?}"
        );
    }
    // The second name of what is replaced.
    let named = last(&|call| call.starts_with("linkat ") && call.ends_with("aside-1-grace.db"));
    let flushed = calls[..moved.unwrap()]
        .iter()
        .rposition(|call| call.starts_with("fsync ") && call.ends_with("_restore"));
    assert!(named.is_some() && named < flushed, "{calls:#?}");
}
