//! Holders of another kind: in another process namespace, or this very process.

use std::process::{Command, Stdio};
use std::time::Duration;

use boot_checks::services::db::{Access, Connection};

use crate::boots::{boot, command, run};
use crate::holders::{INSERT, Other, booted, bytes};
use crate::sandbox::{Journal, Sandbox, Start};
use crate::undo;

const APART: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

/// The same command in a namespace of its own.
fn apart(inner: &Command) -> Command {
    let mut apart = Command::new(APART[0]);
    apart.args(&APART[1..]).arg(inner.get_program());
    apart.args(inner.get_args()).stdin(Stdio::null());
    apart.env_clear().env("PATH", "/usr/bin:/bin");
    apart
}

fn held_row(sandbox: &Sandbox) -> i64 {
    let mut connection = sandbox.open();
    let held = connection.scalar("SELECT count(*) FROM notes WHERE body = 'held'");
    connection.close();
    match held {
        Ok(boot_checks::model::SqlValue::Integer(number)) => number,
        other => panic!("{other:?}"),
    }
}

/// The gate is in a container and the holder is not: the kernel names no process that the gate could
/// see.
#[test]
#[cfg_attr(
    not(can_be_apart),
    ignore = "unshare is missing, or may make no process namespace"
)]
fn a_holder_out_of_sight_is_said_to_be_one() {
    for start in [
        Start::Legacy(Journal::Delete),
        Start::Legacy(Journal::HotWal),
    ] {
        let sandbox = booted(start);
        let holder = Other::start(&sandbox.database(), &format!("BEGIN IMMEDIATE\n{INSERT}"));
        let before = bytes(&sandbox);
        let budget = ["--lock-timeout", "300ms"];
        let refused = run(&mut apart(command(sandbox.root()).args(budget)));
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        let words = refused.unwrapped();
        let expected =
            "var/grace.db is locked by a live process out of sight (another container or machine)";
        assert!(words.contains(expected), "{}", refused.text());
        assert!(before == bytes(&sandbox), "a file was touched");
        holder.finish();
        assert_eq!(held_row(&sandbox), 1);
        assert_eq!(boot(sandbox.root()).code, Some(0));
    }
}

/// The application runs in another container and has its database open, in one journal mode without any lock.
#[test]
#[cfg_attr(
    not(can_be_apart),
    ignore = "unshare is missing, or may make no process namespace"
)]
fn nothing_takes_the_place_of_a_database_that_is_open_out_of_sight() {
    for start in [
        Start::Legacy(Journal::Delete),
        Start::Pending(Journal::HotWal),
    ] {
        let (sandbox, _, run_id) = undo::booted(start);
        let holder = Other::start(&sandbox.database(), "SELECT count(*) FROM notes");
        let before = bytes(&sandbox);
        let refused = run(&mut apart(&undo::undo_command(sandbox.root(), &run_id)));
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(refused.text().contains("is open in "), "{}", refused.text());
        assert!(before == bytes(&sandbox), "a file was touched");
        holder.finish_with(INSERT);
        assert_eq!(held_row(&sandbox), 1);
    }
}

/// The holder is in a container that the gate can look into.
#[test]
#[cfg_attr(
    not(can_be_apart),
    ignore = "unshare is missing, or may make no process namespace"
)]
fn a_holder_in_a_namespace_below_is_named() {
    let sandbox = booted(Start::Legacy(Journal::Delete));
    let statements = format!("BEGIN IMMEDIATE\n{INSERT}");
    let holder = Other::start_by(&APART, &sandbox.database(), &statements);
    let before = bytes(&sandbox);
    let refused = run(command(sandbox.root()).args(["--lock-timeout", "300ms"]));
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    assert!(
        refused.text().contains("locked by pid "),
        "{}",
        refused.text()
    );
    assert!(before == bytes(&sandbox), "a file was touched");
    holder.finish();
    assert_eq!(held_row(&sandbox), 1);
}

/// The application starts the gate itself and has a transaction open meanwhile. POSIX locks end with
/// the first descriptor that is closed: a third process shows whether they still hold.
#[test]
fn a_transaction_of_the_process_that_starts_the_gate_stays_alone() {
    for (start, begin) in [
        (Start::Legacy(Journal::Delete), "BEGIN IMMEDIATE"),
        (Start::Legacy(Journal::Delete), "BEGIN EXCLUSIVE"),
        (Start::Legacy(Journal::HotWal), "BEGIN IMMEDIATE"),
    ] {
        let sandbox = booted(start);
        let path = sandbox.database();
        let mut own = Connection::open(&path, Access::ReadWrite, Duration::ZERO).unwrap();
        own.execute(begin).unwrap();
        own.execute(INSERT).unwrap();
        let refused = run(command(sandbox.root()).args(["--lock-timeout", "300ms"]));
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        let named = format!("pid {}", std::process::id());
        assert!(refused.text().contains(&named), "{}", refused.text());
        assert!(!writes(&sandbox), "{begin}: the other side got in");
        own.execute("COMMIT").unwrap();
        own.close();
        assert!(writes(&sandbox));
        assert_eq!(held_row(&sandbox), 1);
        assert_eq!(boot(sandbox.root()).code, Some(0));
    }
}

/// Whether a process of its own can write now.
fn writes(sandbox: &Sandbox) -> bool {
    let statement = "INSERT INTO notes (body) VALUES ('from the other side')";
    Other::can(&sandbox.database(), statement)
}
