//! The application had the database open while the gate healed it, so that what was healed is in its log; then it
//! was killed. Whoever comes next moves the log into the main file, and an undo that is killed may have begun to.

use crate::boots::boot;
use crate::holders::Other;
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::undo::{assert_as_before, run_id, snapshot, undo, undo_again_after_each_kill};

const START: Start = Start::Pending(Journal::HotWal);

/// The run, and everything as it was before it.
fn healed_under_a_reader() -> (Sandbox, crate::undo::Snapshot, String) {
    let sandbox = Sandbox::prepared(START);
    let before = snapshot(&sandbox);
    let read = "BEGIN\nSELECT count(*) FROM sqlite_schema";
    let reader = Other::start(&sandbox.database(), read);
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    reader.kill();
    assert!(sandbox.side("-wal").metadata().unwrap().len() > 0);
    let run_id = run_id(&sandbox);
    (sandbox, before, run_id)
}

#[test]
fn a_log_that_a_reader_moved_into_the_main_file_is_no_change() {
    let (sandbox, before, run_id) = healed_under_a_reader();
    let mut connection = sandbox.open();
    verify_rows(&mut connection, ROWS).unwrap();
    connection.close();
    assert!(!sandbox.side("-wal").exists());
    let undone = undo(&sandbox, &run_id);
    assert_eq!(undone.code, Some(0), "{}", undone.text());
    assert_as_before(&sandbox, START, &before);
}

#[test]
fn what_is_committed_into_the_log_since_is_a_change() {
    let (sandbox, _, run_id) = healed_under_a_reader();
    let insert =
        "INSERT INTO playbooks (name) VALUES ('since')\nBEGIN\nSELECT count(*) FROM sqlite_schema";
    Other::start(&sandbox.database(), insert).kill();
    let undone = undo(&sandbox, &run_id);
    assert_eq!(undone.code, Some(8), "{}", undone.text());
    assert!(undone.text().contains("changed since"), "{}", undone.text());
    let mut connection = sandbox.open();
    let since = "SELECT count(*) FROM playbooks WHERE name = 'since'";
    assert_eq!(connection.scalar(since), Ok(1.into()));
    connection.close();
}

#[test]
fn an_undo_that_was_killed_as_it_moved_the_log_goes_on() {
    let (template, before, run_id) = healed_under_a_reader();
    let tried = undo_again_after_each_kill(&template, &run_id, |sandbox, _| {
        assert_as_before(sandbox, START, &before);
    });
    assert!(tried > 30, "{tried}");
    println!("| undo over a log | Kill | {tried} points | 0 wrong |");
}
