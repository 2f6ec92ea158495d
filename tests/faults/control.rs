//! The harness itself is tested: what the reference application's playbook does must make it fail.

use crate::boots::boot;
use crate::instants::sweep;
use crate::leftovers::crash_with_a_hot_journal;
use crate::sandbox::{Journal, Sandbox, Start};
use crate::shim::Fault;

/// "Removes locks": deletes what stands beside the database.
fn delete_side_files(sandbox: &Sandbox) {
    for suffix in ["-wal", "-shm", "-journal"] {
        // Not every one is there.
        let _ = std::fs::remove_file(sandbox.side(suffix));
    }
}

#[test]
fn deleting_side_files_makes_the_harness_fail() {
    for start in [
        Start::Legacy(Journal::HotWal),
        Start::Pending(Journal::HotWal),
    ] {
        let wrong = sweep(start, Fault::Kill, delete_side_files);
        assert!(!wrong.is_empty(), "the harness did not notice: {start:?}");
    }
}

#[test]
fn deleting_a_hot_journal_makes_the_harness_fail() {
    let start = Start::Legacy(Journal::Delete);
    let sandbox = Sandbox::prepared(start);
    crash_with_a_hot_journal(&sandbox, 500);
    delete_side_files(&sandbox);
    boot(sandbox.root());
    let seen = std::panic::catch_unwind(|| sandbox.verify(start));
    assert!(!matches!(seen, Ok(Ok(()))), "the harness did not notice");
}
