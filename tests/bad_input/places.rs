//! Where and when the gate keeps what it keeps: copies on another file system, a clock that went
//! backwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::evidence::LEGACY;
use crate::support::{Entry, Fixture, step};

/// The files that a run of the gate changes and an undo puts back.
fn heart(fixture: &Fixture) -> BTreeMap<String, (Option<Vec<u8>>, u32)> {
    let others = fixture.tree_of_others().into_iter();
    let is_ours = |name: &str| name.starts_with("var/boot") || !name.contains('.');
    let kept = others.filter(|(name, _)| !is_ours(name));
    let what = |entry: Entry| (entry.contents, entry.mode);
    kept.map(|(name, entry)| (name, what(entry))).collect()
}

/// Copies on another file system: the sandbox's own is not in memory.
fn on_another_file_system(fixture: &Fixture) -> tempfile::TempDir {
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::create_dir_all(fixture.path("var/boot")).unwrap();
    symlink(elsewhere.path(), fixture.path("var/boot/backups")).unwrap();
    elsewhere
}

#[test]
#[cfg_attr(
    not(has_another_file_system),
    ignore = "temporary files are in memory already"
)]
fn copies_may_be_kept_on_another_file_system() {
    for legacy in [true, false] {
        let fixture = Fixture::empty();
        let elsewhere = on_another_file_system(&fixture);
        if legacy {
            fixture.sql(LEGACY);
        }
        let before = heart(&fixture);
        let (answer, json) = fixture.boot_and_record();
        answer.says_at_once(0, &["Passed: 8/8"]);
        let run_id = json["run_id"].as_str().unwrap();
        assert!(elsewhere.path().join(run_id).is_dir());
        let undone = fixture.run(&["undo", run_id]);
        undone.says_at_once(0, &[]);
        let now = heart(&fixture);
        let away = |name: &&String| name.contains(".aside-");
        assert!(now.keys().filter(away).count() <= 1, "{:?}", now.keys());
        let now = now.into_iter().filter(|(name, _)| !away(&name));
        assert!(before == now.collect(), "legacy: {legacy}");
        fixture.boot(&[]).says(0, &["Passed: 8/8"]);
    }
}

#[test]
fn without_a_place_for_copies_nothing_is_healed() {
    let fixture = Fixture::empty();
    fixture.sql(LEGACY);
    fs::create_dir_all(fixture.path("var/boot")).unwrap();
    symlink("/proc/no/such/disk", fixture.path("var/boot/backups")).unwrap();
    let database = fs::read(fixture.database()).unwrap();
    for _ in 0..2 {
        let answer = fixture.boot(&[]);
        // Nothing was begun, so that there was nothing to take back.
        let words = "changed nothing: cannot make a backup of";
        answer.says_at_once(1, &[words, "preflight::required_tables", "1 (blocked)"]);
        assert!(database == fs::read(fixture.database()).unwrap());
    }
    fs::remove_file(fixture.path("var/boot/backups")).unwrap();
    fixture.boot(&[]).says(0, &["Passed: 8/8"]);
}

/// The last boot was, by its own clock, a hundred days from now.
#[test]
fn a_clock_that_went_backwards_is_named_and_harms_nothing() {
    let fixture = Fixture::healthy();
    let records = "grace_training/startup_failures";
    let record = fixture.records().pop().unwrap();
    let future = fixture.path(&format!("{records}/boot_20991231_235959.json"));
    fs::rename(fixture.path(&format!("{records}/{record}")), &future).unwrap();
    let later = SystemTime::now() + Duration::from_secs(100 * 24 * 3600);
    for path in [
        future.clone(),
        fixture.path("logs/last_boot_report.txt"),
        fixture.database(),
    ] {
        fs::File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(later)
            .unwrap();
    }
    let before = fixture.tree_of_others();
    let answer = fixture.boot(&["--format", "json"]);
    answer.says_at_once(0, &[]);
    let json = serde_json::from_str(&answer.stdout).unwrap();
    let notes = step(&json, "preflight::writable_folders")["notes"].to_string();
    assert!(notes.contains("the clock went backwards"), "{notes}");
    assert!(before == fixture.tree_of_others(), "something was changed");
    assert!(future.exists() && fixture.records().len() == 2);
    let (_, json) = fixture.boot_json(&[]);
    let notes = step(&json, "preflight::writable_folders")["notes"].to_string();
    assert!(!notes.contains("clock"), "it is said once: {notes}");
}

/// There, not even a lock file can be made.
#[test]
fn a_boot_that_could_only_look_says_why() {
    let fixture = Fixture::empty();
    fixture.sql(LEGACY);
    fs::rename(fixture.database(), fixture.path("orders.db")).unwrap();
    fs::remove_dir(fixture.path("var")).unwrap();
    fixture.write("var", "no folder");
    let before = fixture.tree_of_others();
    let url = ["--database-url", "sqlite:///./orders.db"];
    let answer = fixture.boot(&url);
    let words = [
        "it has no migration record",
        "this boot could only look: cannot lock",
        "the gate can make its own folder there",
    ];
    answer.says(1, &words);
    let misleading = answer.all().contains("without --observe");
    assert!(!misleading, "{}", answer.all());
    assert!(before == fixture.tree_of_others(), "something was changed");
    let observed = fixture.boot(&[&url[..], &["--observe"]].concat());
    observed.says(1, &["without --observe"]);
}
