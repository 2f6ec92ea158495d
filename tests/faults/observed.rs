//! Somebody else writes while a boot only looks: it sees one state, and writes nothing beside it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use boot_checks::services::db::{Access, Connection};

use crate::boots::{command, run};
use crate::holders::{Other, booted};
use crate::sandbox::{Journal, Sandbox, Start};

const PATH: &str = "FAULTS_WRITER_DATABASE";
const MODE: &str = "FAULTS_WRITER_MODE";

/// How long the writer pauses between two commits.
const PAUSE: Duration = Duration::from_millis(1);

/// A program that commits all the time.
struct Writer(Child);

impl Writer {
    /// Once it has committed for the first time.
    fn start(database: &Path, mode: &str) -> Writer {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "observed::writing_program", "--ignored"])
            .args(["--nocapture", "--test-threads", "1"])
            .env(PATH, database)
            .env(MODE, mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("writing now")));
        Writer(child)
    }

    /// How often it committed.
    fn end(mut self, sandbox: &Sandbox) -> i64 {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
        let count = std::fs::read_to_string(sandbox.root().join("committed")).unwrap();
        count.parse().unwrap()
    }
}

/// The role of [`Writer`] in a process of its own.
#[test]
#[ignore = "run by other tests in a process of its own"]
fn writing_program() {
    let (Ok(path), Ok(mode)) = (std::env::var(PATH), std::env::var(MODE)) else {
        return;
    };
    let path = Path::new(&path);
    let mut connection =
        Connection::open(path, Access::ReadWrite, Duration::from_secs(60)).unwrap();
    let setup = format!("PRAGMA journal_mode = {mode}; PRAGMA wal_autocheckpoint = 100");
    connection.execute(&setup).unwrap();
    let is_over = AtomicBool::new(false);
    let mut committed = 0_i64;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::stdin().read_line(&mut String::new());
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            connection
                .execute(
                    "BEGIN IMMEDIATE; INSERT INTO notes (body) VALUES ('beside');
                     UPDATE notes SET extra = randomblob(40) WHERE id % 50 = 7; COMMIT",
                )
                .unwrap();
            committed += 1;
            if committed == 1 {
                println!("\nwriting now");
            }
            std::thread::sleep(PAUSE);
        }
    });
    connection.close();
    let count = path.ancestors().nth(2).unwrap().join("committed");
    std::fs::write(count, committed.to_string()).unwrap();
}

fn observed(mode: &str) {
    let sandbox = booted(Start::Legacy(Journal::Delete));
    let writer = Writer::start(&sandbox.database(), mode);
    for number in 0..20 {
        let observed = run(command(sandbox.root()).arg("--observe"));
        let text = observed.text();
        assert_eq!(observed.code, Some(0), "{mode}, boot {number}: {text}");
        assert!(!text.contains("FAIL"), "{mode}, boot {number}: {text}");
    }
    let committed = writer.end(&sandbox);
    let mut connection = sandbox.open();
    let rows = connection.scalar("SELECT count(*) FROM notes WHERE body = 'beside'");
    assert_eq!(rows, Ok(committed.into()));
    let check = connection.scalar("PRAGMA integrity_check");
    assert_eq!(check, Ok("ok".into()));
    connection.close();
}

macro_rules! observed {
    ($($name:ident: $mode:literal;)+) => { $(#[test] fn $name() { observed($mode); })+ };
}

observed! {
    a_writer_with_a_log_is_looked_beside: "WAL";
    a_writer_with_a_journal_is_looked_beside: "DELETE";
    a_writer_that_empties_its_journal_is_looked_beside: "TRUNCATE";
    a_writer_that_keeps_its_journal_is_looked_beside: "PERSIST";
}

/// Every file beside the database, the index of a log too, with its bytes and times.
fn set(sandbox: &Sandbox) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let folder = sandbox.database().parent().unwrap().to_owned();
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let own = names.filter(|name| name.starts_with("grace.db"));
    own.map(|name| {
        let path = sandbox.database().with_file_name(&name);
        let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
        (name, (std::fs::read(path).unwrap(), changed))
    })
    .collect()
}

/// With the holder in the middle of a transaction, and between two.
#[test]
fn a_boot_that_looks_leaves_every_file_in_use_as_it_is() {
    for mode in ["WAL", "DELETE", "TRUNCATE", "PERSIST"] {
        for last in [
            "BEGIN IMMEDIATE\nUPDATE notes SET extra = 'open'",
            "BEGIN\nSELECT 1",
        ] {
            let sandbox = booted(Start::Legacy(Journal::Delete));
            let committed = "INSERT INTO notes (body) VALUES ('beside')";
            let statements = format!("PRAGMA journal_mode = {mode}\n{committed}\n{last}");
            let holder = Other::start(&sandbox.database(), &statements);
            let before = set(&sandbox);
            let observed = run(command(sandbox.root()).arg("--observe"));
            assert_eq!(observed.code, Some(0), "{mode}: {}", observed.text());
            assert!(
                before == set(&sandbox),
                "{mode}, {last}: a file was touched"
            );
            holder.finish();
        }
    }
}

/// With a log it has no index, and whoever comes is locked out; a look at a copy would see the database without it.
#[test]
fn a_holder_that_keeps_readers_out_is_named_and_waited_for() {
    let holds = "PRAGMA locking_mode = EXCLUSIVE\nINSERT INTO notes (body) VALUES ('beside')";
    for mode in ["WAL", "DELETE"] {
        let sandbox = booted(Start::Legacy(Journal::Delete));
        let mut connection = sandbox.open();
        let journal_mode = format!("PRAGMA journal_mode = {mode}");
        connection.execute(&journal_mode).unwrap();
        connection.close();
        let holder = Other::start(&sandbox.database(), holds);
        let before = set(&sandbox);
        let mut impatient = command(sandbox.root());
        let looked = run(impatient.args(["--observe", "--lock-timeout", "300ms"]));
        let text = looked.unwrapped();
        assert_eq!(looked.code, Some(1), "{mode}: {text}");
        let named = format!("var/grace.db is locked by pid {} ", holder.pid());
        assert!(text.contains(&named), "{mode}: {text}");
        assert!(before == set(&sandbox), "{mode}: a file was touched");
        let waits = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(400));
                holder.finish_with("SELECT 1");
            });
            run(command(sandbox.root()).arg("--observe"))
        });
        assert_eq!(waits.code, Some(0), "{mode}: {}", waits.text());
    }
}
