//! Somebody opens the database at the very instant at which an undo replaces it.

use std::fs::File;
use std::io::Read as _;

use crate::boots::{Boot, boot, command};
use crate::held::{Held, held};
use crate::holders::bytes;
use crate::salvage::{boot_json, repair};
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::undo::{assert_as_before, booted, snapshot, undo, undo_command};
use crate::unfinished;

const LEGACY: Start = Start::Legacy(Journal::Delete);

fn assert_seen(undone: &Boot) {
    assert_eq!(undone.code, Some(1), "{}", undone.text());
    let pid = format!("open in pid {}", std::process::id());
    assert!(undone.text().contains(&pid), "{}", undone.text());
}

/// Between the look whether anybody has it open and the rename that follows it.
#[test]
fn who_opens_the_database_as_it_is_replaced_is_seen_and_it_gets_its_place_back() {
    let (sandbox, before, run_id) = booted(LEGACY);
    let now = snapshot(&sandbox);
    let mut command = undo_command(sandbox.root(), &run_id);
    let undone = held(&mut command, &sandbox, "LINKED", || {
        File::open(sandbox.database()).unwrap()
    });
    assert_seen(&undone);
    assert_eq!(snapshot(&sandbox)["var/grace.db"], now["var/grace.db"]);
    assert_eq!(undo(&sandbox, &run_id).code, Some(0));
    assert_as_before(&sandbox, LEGACY, &before);
}

/// Nothing was changed: the heal did not fail, it was not made.
#[test]
fn who_opens_the_database_as_it_is_rebuilt_is_seen_and_nothing_was_changed() {
    let sandbox = unfinished::prepared(6);
    let all = || {
        (
            bytes(&sandbox),
            std::fs::read(sandbox.side("-shm")).unwrap(),
        )
    };
    let before = all();
    let (_, proposal) = boot_json(&sandbox, &[]);
    let plan = repair(&proposal).unwrap()["fingerprint"].as_str().unwrap();
    let mut boots = command(sandbox.root());
    let booted = held(boots.args(["--approve", plan]), &sandbox, "LINKED", || {
        File::open(sandbox.database()).unwrap()
    });
    assert_seen(&booted);
    let text = booted.text();
    assert!(text.contains("rebuild_database changed nothing"), "{text}");
    assert!(all() == before, "{text}");
    assert!(!sandbox.root().join("var/boot/swap.json").exists());
    let (again, record) = boot_json(&sandbox, &["--approve", plan]);
    assert_eq!(again, Some(0), "{record:#}");
    unfinished::verify(&sandbox).unwrap();
}

#[test]
fn who_opens_a_database_as_it_is_moved_away_keeps_it() {
    let (sandbox, _, run_id) = booted(Start::Empty);
    let before = snapshot(&sandbox);
    let mut command = undo_command(sandbox.root(), &run_id);
    let undone = held(&mut command, &sandbox, "GOING", || {
        File::open(sandbox.database()).unwrap()
    });
    assert_seen(&undone);
    assert_eq!(snapshot(&sandbox)["var/grace.db"], before["var/grace.db"]);
    assert_eq!(undo(&sandbox, &run_id).code, Some(0));
    assert!(!sandbox.database().exists());
}

/// Another one opens what came, before what was there gets its place back: it must not write into a file that
/// nobody finds.
#[test]
fn who_opens_what_came_and_makes_room_again_is_told_that_it_is_no_database() {
    let (sandbox, _, run_id) = booted(LEGACY);
    let before = snapshot(&sandbox);
    let mut command = undo_command(sandbox.root(), &run_id);
    let mut undo = Held::start(&mut command, &sandbox, &["LINKED", "CAME"]);
    assert!(undo.comes_to("LINKED"));
    let old = File::open(sandbox.database()).unwrap();
    undo.let_go("LINKED");
    assert!(undo.comes_to("CAME"));
    let opened = std::fs::read(sandbox.database()).unwrap();
    let mut new = File::open(sandbox.database()).unwrap();
    undo.let_go("CAME");
    let undone = undo.end();
    drop(old);
    let mut now = Vec::new();
    new.read_to_end(&mut now).unwrap();
    assert_eq!(undone.code, Some(1), "{}", undone.text());
    let magic = b"SQLite format 3\0";
    assert!(opened.starts_with(magic) && !now.starts_with(magic));
    assert_eq!(snapshot(&sandbox)["var/grace.db"], before["var/grace.db"]);
}

/// What came is copied then, and who commits into it meanwhile would commit into a file that goes.
#[test]
fn nobody_writes_into_what_came_before_it_makes_room_again() {
    let (sandbox, _, run_id) = booted(LEGACY);
    let mut command = undo_command(sandbox.root(), &run_id);
    let mut undo = Held::start(&mut command, &sandbox, &["LINKED", "FLUSHING"]);
    assert!(undo.comes_to("LINKED"));
    let old = File::open(sandbox.database()).unwrap();
    undo.let_go("LINKED");
    assert!(undo.comes_to("FLUSHING"));
    let mut theirs = sandbox.open();
    let acknowledged = theirs
        .execute("INSERT INTO meta_loop_configs (config_key, config_value) VALUES ('a', 'b')");
    theirs.close();
    undo.let_go("FLUSHING");
    assert_eq!(undo.end().code, Some(1));
    drop(old);
    let mut connection = sandbox.open();
    let is_there =
        connection.scalar("SELECT count(*) FROM meta_loop_configs WHERE config_key = 'a'");
    connection.close();
    assert!(
        acknowledged.is_err() || is_there == Ok(1.into()),
        "{acknowledged:?}, {is_there:?}"
    );
}

/// The undo is killed at each change from the rename on, and the other one commits and crashes.
#[test]
fn what_is_committed_through_the_file_that_was_replaced_is_never_mixed_with_what_came() {
    let (template, _, run_id) = booted(Start::Legacy(Journal::HotWal));
    let (mut tried, mut refused) = (0, 0);
    for at in 1.. {
        let sandbox = template.copy();
        let mut command = undo_command(sandbox.root(), &run_id);
        command
            .env("FAULTS_AT", at.to_string())
            .env("FAULTS_KIND", "kill");
        let mut undo = Held::start(&mut command, &sandbox, &["LINKED"]);
        if !undo.comes_to("LINKED") {
            continue;
        }
        // Open, and has read nothing yet.
        let mut connection = sandbox.open();
        undo.let_go("LINKED");
        if undo.end().code.is_some() {
            break;
        }
        tried += 1;
        let insert = "INSERT INTO playbooks (name) VALUES ('acknowledged')";
        let acknowledged = connection.execute(insert);
        // As a crash leaves it; here, the connection is still open.
        let crashed = sandbox.copy();
        connection.close();
        if is_refused(&crashed, at) {
            refused += 1;
            continue;
        }
        let mut connection = crashed.open();
        verify_rows(&mut connection, ROWS).unwrap();
        let whole = connection.scalar("PRAGMA integrity_check");
        assert_eq!(whole, Ok("ok".into()), "at {at}");
        let count = "SELECT count(*) FROM playbooks WHERE name = 'acknowledged'";
        let expected = i64::from(acknowledged.is_ok());
        assert_eq!(connection.scalar(count), Ok(expected.into()), "at {at}");
        connection.close();
    }
    assert!(tried > 0 && refused > 0, "{tried} tried, {refused} refused");
    println!("| undo beside an open file | Kill | {tried} points | {refused} refused | 0 wrong |");
}

/// Whether a boot refuses it, with nothing touched.
fn is_refused(crashed: &Sandbox, at: usize) -> bool {
    let before = snapshot(crashed);
    let booted = boot(crashed.root());
    if booted.code == Some(0) {
        return false;
    }
    let words = booted.text();
    assert!(words.contains("swap.json"), "at {at}: {words}");
    assert!(snapshot(crashed) == before, "at {at}: touched");
    true
}
