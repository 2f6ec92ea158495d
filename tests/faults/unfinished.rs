//! A log of which SQLite left a part without checksums, as 3.40 does behind `ROLLBACK TO` in a transaction that outgrew
//! its cache: whoever opens it next loses what is behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boot_checks::services::db::{Access, Connection};

use crate::boots::{command, run};
use crate::holders::{Other, booted, bytes};
use crate::restore::command as of_gate;
use crate::salvage::{approve, boot_json, repair};
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::undo::undo;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;

const COMMITTED: i64 = 20;

/// What the application commits: each row is a transaction of its own.
fn statements() -> String {
    let insert = "\nINSERT INTO kept VALUES (zeroblob(900))";
    let inserts = insert.repeat(usize::try_from(COMMITTED).unwrap());
    format!(
        "PRAGMA journal_mode = WAL\nPRAGMA wal_autocheckpoint = 0\nCREATE TABLE kept (x){inserts}"
    )
}

/// A killed application's database whose log is bare from this frame on, as far as its next one.
pub(crate) fn prepared(bare: usize) -> Sandbox {
    let sandbox = booted(Start::Legacy(Journal::Delete));
    Other::start(&sandbox.database(), &statements()).kill();
    leave_bare(&sandbox.database(), bare);
    sandbox
}

pub(crate) fn verify(sandbox: &Sandbox) -> Result<(), String> {
    let mut connection = sandbox.open();
    let kept = connection.scalar("SELECT count(*) FROM kept");
    let rows = verify_rows(&mut connection, ROWS);
    connection.close();
    match kept == Ok(COMMITTED.into()) {
        true => rows,
        false => Err(format!("{kept:?} of {COMMITTED}")),
    }
}

fn side(database: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", database.display()))
}

/// A sum over words in one byte order, <https://www.sqlite.org/fileformat2.html#checksum_algorithm>.
fn checksum(bytes: &[u8], (mut one, mut two): (u32, u32), word: fn([u8; 4]) -> u32) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let (first, second) = pair.split_at(4);
        one = one
            .wrapping_add(word(first.try_into().unwrap()))
            .wrapping_add(two);
        two = two
            .wrapping_add(word(second.try_into().unwrap()))
            .wrapping_add(one);
    }
    (one, two)
}

/// The frame has neither salts nor a checksum, those behind it count on from zeros, and the index names the last of
/// these.
fn leave_bare(database: &Path, bare: usize) {
    let (log_file, index_file) = (side(database, "-wal"), side(database, "-shm"));
    let mut log = std::fs::read(&log_file).unwrap();
    let word = match log[3] & 1 {
        1 => u32::from_be_bytes,
        _ => u32::from_le_bytes,
    };
    let mut sum = (0, 0);
    let frames = log[HEADER..].chunks_exact_mut(FRAME_HEADER + PAGE);
    for (number, frame) in frames.enumerate().skip(bare) {
        let (header, page) = frame.split_at_mut(FRAME_HEADER);
        if number == bare {
            header[8..].fill(0);
            continue;
        }
        sum = checksum(page, checksum(&header[..8], sum, word), word);
        header[16..20].copy_from_slice(&sum.0.to_be_bytes());
        header[20..].copy_from_slice(&sum.1.to_be_bytes());
    }
    std::fs::write(log_file, log).unwrap();
    let mut index = std::fs::read(&index_file).unwrap();
    index[24..28].copy_from_slice(&sum.0.to_ne_bytes());
    index[28..32].copy_from_slice(&sum.1.to_ne_bytes());
    let own = checksum(&index[..40], (0, 0), u32::from_ne_bytes);
    index[40..44].copy_from_slice(&own.0.to_ne_bytes());
    index[44..48].copy_from_slice(&own.1.to_ne_bytes());
    index.copy_within(..48, 48);
    std::fs::write(index_file, index).unwrap();
}

/// The first frame, so that the whole log seems to be none, and one behind the first transactions.
const BARE: [usize; 2] = [0, 6];

#[test]
fn what_was_committed_is_there_and_undo_gives_the_log_back() {
    for bare in BARE {
        let sandbox = prepared(bare);
        let index = || std::fs::read(sandbox.side("-shm")).unwrap();
        let before = (bytes(&sandbox), index());
        let (code, proposal) = boot_json(&sandbox, &[]);
        assert_eq!(code, Some(8), "{bare}: {proposal:#}");
        assert!((bytes(&sandbox), index()) == before, "{bare}");
        let (code, record) = approve(&sandbox, &proposal);
        assert_eq!(code, Some(0), "{bare}: {record:#}");
        let repair = repair(&record).unwrap();
        assert_eq!(repair["playbook"], "rebuild_database", "{bare}: {repair:#}");
        let report = &repair["changes"][0]["report"];
        let notes = report["notes"].to_string();
        assert!(notes.contains("exclusive locking mode"), "{bare}: {notes}");
        assert_eq!(report["method"], "log", "{bare}: {repair:#}");
        assert_eq!(verify(&sandbox), Ok(()), "{bare}");
        let undone = undo(&sandbox, record["run_id"].as_str().unwrap());
        assert_eq!(undone.code, Some(0), "{}", undone.text());
        assert!((bytes(&sandbox), index()) == before, "{bare}");
    }
}

/// The main file is gone, so that the log is all there is. Without the index a part of it is not certain, unless the
/// machine was started since it was written: then it is what a power cut may leave.
#[test]
fn what_lies_behind_in_a_log_alone_is_in_no_count() {
    for (has_index, is_old, is_told) in [
        (true, false, false),
        (false, false, true),
        (false, true, false),
    ] {
        let sandbox = prepared(6);
        std::fs::write(sandbox.database(), "").unwrap();
        if !has_index {
            std::fs::remove_file(sandbox.side("-shm")).unwrap();
        }
        if is_old {
            let log = File::options().write(true).open(sandbox.side("-wal"));
            log.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let (code, proposal) = boot_json(&sandbox, &[]);
        assert_eq!(code, Some(8), "{proposal:#}");
        let report = &repair(&proposal).unwrap()["changes"][0]["report"];
        let words = "lie behind one that does not hold: what they hold is in no count";
        let notes = report["notes"].to_string();
        assert_eq!(
            notes.contains(words),
            is_told,
            "{has_index}, {is_old}: {report:#}"
        );
        let (code, record) = approve(&sandbox, &proposal);
        assert_eq!(code, Some(0), "{has_index}, {is_old}: {record:#}");
    }
}

#[test]
fn without_the_index_nobody_knows_and_every_byte_is_kept() {
    for bare in BARE {
        let sandbox = prepared(bare);
        std::fs::remove_file(sandbox.side("-shm")).unwrap();
        let before = bytes(&sandbox);
        let (code, record) = boot_json(&sandbox, &[]);
        assert_eq!(code, Some(1), "{bare}: {record:#}");
        assert!(bytes(&sandbox) == before, "{bare}");
    }
}

#[test]
fn beside_an_older_main_file_it_is_refused_and_every_byte_is_kept() {
    for bare in BARE {
        let sandbox = prepared(bare);
        let mut older = std::fs::read(sandbox.database()).unwrap();
        // <https://www.sqlite.org/fileformat2.html#file_change_counter>
        older[24..28].fill(0);
        std::fs::write(sandbox.database(), older).unwrap();
        let before = bytes(&sandbox);
        let (code, record) = boot_json(&sandbox, &[]);
        assert_eq!(code, Some(1), "{bare}: {record:#}");
        let is_told = record.to_string().contains("database_log_foreign");
        assert!(is_told && bytes(&sandbox) == before, "{bare}: {record:#}");
    }
}

#[test]
fn a_look_beside_the_application_sees_what_it_sees() {
    let sandbox = booted(Start::Legacy(Journal::Delete));
    let application = Other::start(&sandbox.database(), &statements());
    leave_bare(&sandbox.database(), 6);
    let before = bytes(&sandbox);
    let looked = run(command(sandbox.root()).arg("--observe"));
    assert_eq!(looked.code, Some(0), "{}", looked.text());
    assert!(bytes(&sandbox) == before);
    application.kill();
}

/// The application has it open still, so that the log is in use as it is; also with nothing behind the bare frame.
#[test]
fn a_copy_before_a_migration_has_it_too() {
    for from_the_end in [10, 1] {
        let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
        let application = Other::start(&sandbox.database(), &statements());
        let log = std::fs::metadata(sandbox.side("-wal")).unwrap().len();
        let frames = (usize::try_from(log).unwrap() - HEADER) / (FRAME_HEADER + PAGE);
        leave_bare(&sandbox.database(), frames - from_the_end);
        let (code, record) = boot_json(&sandbox, &[]);
        assert_eq!(code, Some(0), "{from_the_end}: {record:#}");
        application.kill();
        let verified = run(&mut of_gate(&sandbox, &["backups", "verify"]));
        assert_eq!(verified.code, Some(0), "{}", verified.text());
        let folder = sandbox.root().join("var/boot/backups");
        let folder = folder.join(record["run_id"].as_str().unwrap());
        let names = std::fs::read_dir(&folder).unwrap();
        let names = names.map(|entry| entry.unwrap().path());
        let copy = names.filter(|path| path.extension().is_some_and(|it| it == "db"));
        let copy: Vec<PathBuf> = copy.collect();
        assert!(!copy.is_empty());
        for copy in copy {
            let mut connection =
                Connection::open(&copy, Access::ReadWrite, Duration::ZERO).unwrap();
            let kept = connection.scalar("SELECT count(*) FROM kept");
            connection.close();
            assert_eq!(
                kept,
                Ok(COMMITTED.into()),
                "{from_the_end}: {}",
                copy.display()
            );
        }
    }
}
