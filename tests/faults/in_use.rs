//! The application is at work on the database while the gate looks at it.

use std::time::Duration;

use boot_checks::services::db::{Access, Connection};

use crate::boots::{boot, command};
use crate::held::held;
use crate::holders::{Other, booted};
use crate::sandbox::{Journal, Sandbox, Start};

/// Its first pages are written over as the gate reads them.
#[test]
fn a_log_that_is_begun_anew_as_it_is_looked_at_is_no_stray_one() {
    let sandbox = booted(Start::Legacy(Journal::HotWal));
    let path = sandbox.database();
    let mut application =
        Connection::open(&path, Access::ReadWrite, Duration::from_secs(5)).unwrap();
    let insert = "INSERT INTO notes (body) SELECT 'theirs' FROM notes LIMIT 300";
    application
        .execute(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; {insert}"
        ))
        .unwrap();
    let booted = held(&mut command(sandbox.root()), &sandbox, "LOOKED", || {
        application
            .execute(&format!("PRAGMA wal_checkpoint(RESTART); {insert}"))
            .unwrap();
    });
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    let rows = application.scalar("SELECT count(*) FROM notes WHERE body = 'theirs'");
    assert_eq!(rows, Ok(600.into()));
    application.close();
}

/// The log is none of the file's that took the place of its main file; but it is the application's by now.
#[test]
fn a_log_that_an_application_takes_up_as_it_is_judged_is_not_a_crashs() {
    let sandbox = booted(Start::Legacy(Journal::HotWal));
    let insert = "PRAGMA wal_autocheckpoint = 0\nINSERT INTO notes (body) VALUES ('theirs')";
    Other::start(&sandbox.database(), insert).kill();
    let copy = sandbox.root().join("copy.db");
    std::fs::copy(sandbox.database(), &copy).unwrap();
    std::fs::rename(&copy, sandbox.database()).unwrap();
    let refused = boot(sandbox.root());
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    let application = || Other::start(&sandbox.database(), "SELECT count(*) FROM notes\nBEGIN");
    let mut application_is_there = None;
    let booted = held(&mut command(sandbox.root()), &sandbox, "LOOKED", || {
        application_is_there = Some(application());
    });
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    application_is_there.unwrap().finish();
}

const ADDED: &str = "SELECT count(*) FROM notes WHERE body = 'theirs'";

/// An application at work, whose log lacks the checksums of what it committed, as SQLite 3.40 leaves them behind
/// `ROLLBACK TO` in a transaction that outgrew its cache. Its index knows better.
fn at_work_without_checksums(sandbox: &Sandbox) -> Other {
    const HEADER: usize = 32;
    let step = 24 + 4096;
    let insert = "PRAGMA journal_mode = WAL\nPRAGMA wal_autocheckpoint = 0\n\
                  INSERT INTO notes (body) SELECT 'theirs' FROM notes LIMIT 300";
    let application = Other::start(&sandbox.database(), insert);
    let log = sandbox.side("-wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let first = HEADER + 8;
    assert!(bytes.len() >= HEADER + step);
    bytes[first..first + 16].fill(0);
    std::fs::write(log, bytes).unwrap();
    application
}

/// Whoever opened the log before its owner was killed goes by the owner's index, and is the one who moves it.
#[test]
fn what_a_live_index_knows_is_not_lost_where_its_owner_is_killed() {
    let sandbox = booted(Start::Legacy(Journal::Delete));
    let application = at_work_without_checksums(&sandbox);
    let open = || {
        Connection::open(
            &sandbox.database(),
            Access::ReadWrite,
            Duration::from_secs(5),
        )
    };
    let mut connection = open().unwrap();
    assert!(!connection.is_alone());
    application.kill();
    assert_eq!(connection.scalar(ADDED), Ok(300.into()));
    connection.close();
    assert!(!sandbox.side("-wal").exists(), "it is in the main file");
    let mut connection = open().unwrap();
    assert!(connection.is_alone());
    assert_eq!(connection.scalar(ADDED), Ok(300.into()));
    connection.close();
}

/// What it left is a crash's by then.
#[test]
fn a_log_whose_owner_is_killed_as_it_is_looked_at_is_judged_again() {
    let sandbox = booted(Start::Legacy(Journal::Delete));
    let application = at_work_without_checksums(&sandbox);
    let before = std::fs::read(sandbox.side("-wal")).unwrap();
    let booted = held(&mut command(sandbox.root()), &sandbox, "LOOKED", || {
        application.kill();
    });
    assert_eq!(booted.code, Some(1), "{}", booted.text());
    assert!(std::fs::read(sandbox.side("-wal")).unwrap() == before);
}
