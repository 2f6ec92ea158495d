//! Which kept copies a salvage takes rows from: those of this database, as a run kept them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boot_checks::model::SalvageReport;
use boot_checks::services::db::salvage::{KeptCopy, salvage};
use boot_checks::services::db::{Access, Connection};
use serde_json::Value;

use crate::boots::{boot, command, run};
use crate::corruption::Damage;
use crate::salvage::{approve, boot_json, files, healthy, hurt, repair};
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};

fn execute(path: &Path, sql: &str) {
    let mut connection = Connection::open(path, Access::ReadWrite, Duration::ZERO).unwrap();
    connection.execute(sql).unwrap();
    connection.close();
}

/// The copies of the database that were kept, in the order of their runs.
fn copies(sandbox: &Sandbox) -> Vec<PathBuf> {
    let backups = sandbox.root().join("var/boot/backups");
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let all = names(&backups).into_iter().flat_map(|run| names(&run));
    all.filter(|path| path.to_string_lossy().ends_with("-grace.db"))
        .collect()
}

fn report(record: &Value) -> &Value {
    &repair(record).unwrap()["changes"][0]["report"]
}

fn merged(record: &Value) -> i64 {
    let tables = report(record)["tables"].as_array().unwrap().iter();
    tables.map(|it| it["merged"].as_i64().unwrap()).sum()
}

/// A healthy application, and one that differs by its rows beside it, of which a later run kept a copy.
fn beside_another(name: &str) -> Sandbox {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
    let other = sandbox.root().join(name);
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::copy(sandbox.database(), &other).unwrap();
    execute(&other, "UPDATE notes SET body = 'of another'");
    let first = boot(sandbox.root());
    assert_eq!(first.code, Some(0), "{}", first.text());
    let url = format!("sqlite:///./{name}");
    let second = run(command(sandbox.root()).args(["--database-url", &url]));
    assert_eq!(second.code, Some(0), "{}", second.text());
    sandbox
}

#[test]
fn no_row_of_another_database_is_taken() {
    for name in ["two/grace.db", "var/other-grace.db"] {
        let sandbox = beside_another(name);
        let kept = copies(&sandbox);
        assert!(kept.len() > 1, "{kept:?}");
        hurt(&sandbox, Damage::ZeroedLeaf, 4);
        let (code, proposal) = boot_json(&sandbox, &[]);
        assert_eq!(code, Some(8), "{name}: {proposal:#}");
        let own = kept[0].parent().unwrap().file_name().unwrap();
        assert_eq!(report(&proposal)["backup"], own.to_str().unwrap(), "{name}");
        let digest = &report(&proposal)["backup_digest"];
        assert!(digest.is_string(), "{name}: {proposal:#}");
        let (code, record) = approve(&sandbox, &proposal);
        assert_eq!(code, Some(0), "{name}: {record:#}");
        assert!(merged(&record) > 0, "{name}: {record:#}");
        verify_rows(&mut sandbox.open(), ROWS).unwrap();
    }
}

#[test]
fn a_copy_of_another_database_or_a_changed_one_is_no_way_back() {
    let words = |name| {
        let sandbox = beside_another(name);
        std::fs::remove_dir_all(copies(&sandbox)[0].parent().unwrap()).unwrap();
        std::fs::write(sandbox.database(), "no database at all").unwrap();
        boot_json(&sandbox, &[]).1.to_string()
    };
    for name in ["two/grace.db", "var/other-grace.db"] {
        assert!(!words(name).contains("backups restore"), "{name}");
    }
    let sandbox = healthy();
    std::fs::write(sandbox.database(), "no database at all").unwrap();
    let is_offered = || {
        let (_, record) = boot_json(&sandbox, &[]);
        record.to_string().contains("backups restore")
    };
    assert!(is_offered());
    // `restore` would refuse it.
    execute(&copies(&sandbox)[0], "UPDATE notes SET body = 'changed'");
    assert!(!is_offered());
}

/// Whether rows are taken from the copies that there are.
fn are_used(sandbox: &Sandbox, arguments: &[&str]) -> bool {
    hurt(sandbox, Damage::ZeroedLeaf, 4);
    let (code, record) = boot_json(sandbox, arguments);
    assert_eq!(code, Some(8), "{record:#}");
    merged(&record) > 0
}

fn move_behind_a_link(sandbox: &Sandbox, disk: &Path) {
    let main = disk.join("grace.db");
    std::fs::copy(sandbox.database(), &main).unwrap();
    std::fs::remove_file(sandbox.database()).unwrap();
    symlink(&main, sandbox.database()).unwrap();
}

#[test]
fn a_database_is_known_by_where_its_links_lead() {
    let disk = tempfile::tempdir().unwrap();
    let outside = Sandbox::prepared(Start::Legacy(Journal::Delete));
    move_behind_a_link(&outside, disk.path());
    let first = boot(outside.root());
    assert_eq!(first.code, Some(0), "{}", first.text());
    assert!(are_used(&outside, &[]), "it was behind a link");

    let moved = healthy();
    move_behind_a_link(&moved, disk.path());
    assert!(are_used(&moved, &[]), "it was moved behind a link");

    let respelled = healthy();
    symlink("var", respelled.root().join("alias")).unwrap();
    let url = ["--database-url", "sqlite:///./alias/grace.db"];
    assert!(are_used(&respelled, &url), "its folder has another name");
}

#[test]
fn a_copy_that_was_changed_is_not_used() {
    let sandbox = healthy();
    hurt(&sandbox, Damage::ZeroedLeaf, 4);
    let (_, proposal) = boot_json(&sandbox, &[]);
    assert!(merged(&proposal) > 0, "{proposal:#}");
    let before = files(&sandbox);
    execute(&copies(&sandbox)[0], "UPDATE notes SET body = 'changed'");
    let (code, record) = approve(&sandbox, &proposal);
    assert_eq!(code, Some(8), "{record:#}");
    assert!(files(&sandbox) == before, "the database was touched");
    assert_eq!(merged(&record), 0, "{record:#}");
    let notes = report(&record)["notes"].to_string();
    let expect = "is not what that run kept: nothing was taken from it";
    assert!(notes.contains(expect), "{record:#}");
}

/// Equal counts of other rows are another plan, which nobody has approved.
#[test]
fn a_plan_names_the_contents_of_the_copy_that_rows_come_from() {
    let sandbox = healthy();
    let copy = copies(&sandbox).remove(0);
    hurt(&sandbox, Damage::ZeroedLeaf, 4);
    let salvaged = || {
        let kept = KeptCopy {
            run_id: "run".to_owned(),
            path: copy.clone(),
            is_whole: true,
        };
        let kept = || Ok(Box::new(std::iter::once(kept.clone())) as Box<_>);
        let work = tempfile::tempdir().unwrap();
        salvage(&sandbox.database(), &kept, work.path())
            .unwrap()
            .report
    };
    let (first, again) = (salvaged(), salvaged());
    assert_eq!(first, again);
    execute(&copy, "UPDATE notes SET body = 'changed'");
    let changed = salvaged();
    assert!(changed.backup_digest.is_some(), "{changed:#?}");
    assert_ne!(first.backup_digest, changed.backup_digest);
    let without = SalvageReport {
        backup_digest: first.backup_digest.clone(),
        ..changed
    };
    assert_eq!(first, without, "nothing else tells the two apart");

    let (_, proposal) = boot_json(&sandbox, &[]);
    assert!(report(&proposal)["backup_digest"].is_null(), "{proposal:#}");
}

#[test]
fn nothing_is_proposed_while_it_is_not_known_which_copies_there_are() {
    let sandbox = healthy();
    hurt(&sandbox, Damage::ZeroedLeaf, 4);
    let journal = sandbox.root().join("var/boot/journal.jsonl");
    let lines = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, format!("{lines}no line\n")).unwrap();
    let (code, record) = boot_json(&sandbox, &[]);
    assert_eq!(code, Some(1), "{record:#}");
    let expect = "what earlier runs kept of it is not known";
    assert!(record.to_string().contains(expect), "{record:#}");
}
