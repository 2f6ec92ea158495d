//! What lies beside the database is not its own, or does not hold: an undo opens it as little as a boot does.

use crate::boots::Boot;
use crate::holders::{Other, bytes};
use crate::leftovers::crash_with_a_hot_journal;
use crate::sandbox::{Journal, Sandbox, Start};
use crate::undo::{booted, undo};

fn assert_refused(undone: &Boot, words: &str) {
    let text = undone.text();
    assert_eq!(undone.code, Some(8), "{text}");
    assert!(text.contains(words), "{text}");
}

#[test]
fn another_database_beside_a_hot_journal_is_not_rolled_back() {
    let (sandbox, _, run_id) = booted(Start::Legacy(Journal::Delete));
    crash_with_a_hot_journal(&sandbox, 500);
    let other = Sandbox::prepared(Start::Legacy(Journal::Delete));
    let mut connection = other.open();
    connection
        .execute("CREATE TABLE other AS SELECT * FROM notes")
        .unwrap();
    connection.close();
    std::fs::rename(other.database(), sandbox.database()).unwrap();
    let before = bytes(&sandbox);
    assert_refused(&undo(&sandbox, &run_id), "may not belong to it");
    assert!(bytes(&sandbox) == before);
}

/// Its header, and its first page.
#[test]
fn a_log_that_does_not_hold_is_not_thrown_away() {
    for changed in [24, 32 + 24 + 100] {
        let (sandbox, _, run_id) = booted(Start::Pending(Journal::HotWal));
        let commit = "PRAGMA wal_autocheckpoint = 0\nINSERT INTO notes (body) VALUES ('since')";
        Other::start(&sandbox.database(), commit).kill();
        let log = sandbox.side("-wal");
        let mut damaged = std::fs::read(&log).unwrap();
        damaged[changed] ^= 1;
        std::fs::write(&log, damaged).unwrap();
        let before = bytes(&sandbox);
        assert_refused(&undo(&sandbox, &run_id), "is not opened");
        assert!(bytes(&sandbox) == before, "{changed}");
    }
}

/// What a person moved and linked since, a file or a folder, is neither written through the link nor is the link
/// removed.
#[test]
fn what_is_behind_a_link_by_now_has_changed_since() {
    let cases = [
        (Start::Legacy(Journal::Delete), ".env", "shared.env"),
        (Start::Empty, ".env", "shared.env"),
        (Start::Legacy(Journal::Delete), "var/grace.db", "other.db"),
        (Start::Legacy(Journal::Delete), "var", "disk"),
        (Start::Empty, "logs", "elsewhere"),
    ];
    for (start, name, moved) in cases {
        let (sandbox, _, run_id) = booted(start);
        let (path, place) = (sandbox.root().join(name), sandbox.root().join(moved));
        std::fs::rename(&path, &place).unwrap();
        std::os::unix::fs::symlink(&place, &path).unwrap();
        let contents = || [".env", "var/grace.db"].map(|it| std::fs::read(sandbox.root().join(it)));
        let before = contents().map(Result::unwrap);
        assert_refused(&undo(&sandbox, &run_id), &format!("by now, and was {name}"));
        assert_eq!(contents().map(Result::unwrap), before, "{name}");
        assert_eq!(std::fs::read_link(&path).unwrap(), place);
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&place, &path).unwrap();
        let undone = undo(&sandbox, &run_id);
        assert_eq!(undone.code, Some(0), "{}", undone.text());
    }
}
