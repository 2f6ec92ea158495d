//! Somebody else has the database open: a process of its own, alive, stopped, or killed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use boot_checks::services::db::{Access, Connection};

use crate::boots::{Boot, boot, command, run};
use crate::sandbox::{Journal, Sandbox, Start};

const ROLE: &str = "FAULTS_CHILD_STATEMENTS";
const PATH: &str = "FAULTS_CHILD_DATABASE";
const DONE: &str = "statement done";

/// Another program with this database open: it has run the statements and holds what they hold.
pub(crate) struct Other {
    child: Child,
    _statements: tempfile::NamedTempFile,
}

impl Other {
    /// Starts it and waits until the statements are done. The statements are separated by lines.
    pub(crate) fn start(database: &Path, statements: &str) -> Other {
        Other::start_by(&[], database, statements)
    }

    /// The same, with these words before the program's own.
    pub(crate) fn start_by(words: &[&str], database: &Path, statements: &str) -> Other {
        let (other, done) = Other::spawn(words, database, statements);
        let all = statements.lines().count();
        assert_eq!(done, all, "the other program failed: {statements}");
        other
    }

    /// Whether a program of its own can do this now, without waiting for a lock.
    pub(crate) fn can(database: &Path, statement: &str) -> bool {
        let statements = format!("PRAGMA busy_timeout = 0\n{statement}\nBEGIN");
        let (other, done) = Other::spawn(&[], database, &statements);
        let is_ready = done == statements.lines().count();
        if is_ready {
            other.finish();
        } else {
            other.kill();
        }
        is_ready
    }

    /// And how many of the statements were done when it had no more to say.
    pub(crate) fn spawn(words: &[&str], database: &Path, statements: &str) -> (Other, usize) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), statements).unwrap();
        let program = std::env::current_exe().unwrap();
        let all: Vec<_> = words
            .iter()
            .map(OsStr::new)
            .chain([program.as_os_str()])
            .collect();
        let mut child = Command::new(all[0])
            .args(&all[1..])
            .args(["--exact", "holders::other_program", "--ignored"])
            .args(["--nocapture", "--test-threads", "1"])
            .env(ROLE, file.path())
            .env(PATH, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let all = statements.lines().count();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let done = lines
            .map(Result::unwrap)
            .filter(|line| line == DONE)
            .take(all)
            .count();
        let other = Other {
            child,
            _statements: file,
        };
        (other, done)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it commit and end.
    pub(crate) fn finish(self) {
        self.finish_with("COMMIT");
    }

    /// Lets it run one more statement and end.
    pub(crate) fn finish_with(mut self, statement: &str) {
        writeln!(self.child.stdin.take().unwrap(), "{statement}").unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }
}

/// The role of [`Other`] in a process of its own.
#[test]
#[ignore = "run by other tests in a process of its own"]
fn other_program() {
    let (Ok(statements), Ok(path)) = (std::env::var(ROLE), std::env::var(PATH)) else {
        return;
    };
    let statements = std::fs::read_to_string(statements).unwrap();
    let access = Access::Create;
    let mut connection = Connection::open(path.as_ref(), access, Duration::from_secs(5)).unwrap();
    for statement in statements.lines() {
        connection.execute(statement).unwrap();
        println!("\n{DONE}");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    connection.execute(line.trim()).unwrap();
    connection.close();
}

/// Contents of the database's files but for the log's index, which is only a cache of live processes.
pub(crate) fn bytes(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    ["", "-wal", "-journal"]
        .into_iter()
        .filter_map(|suffix| {
            let contents = std::fs::read(sandbox.side(suffix)).ok()?;
            Some((suffix.to_owned(), contents))
        })
        .collect()
}

fn impatient_boot(sandbox: &Sandbox) -> Boot {
    run(command(sandbox.root()).args(["--lock-timeout", "300ms"]))
}

/// A booted application, so that a boot has nothing to heal but the lock.
pub(crate) fn booted(start: Start) -> Sandbox {
    let sandbox = Sandbox::prepared(start);
    let first = boot(sandbox.root());
    assert_eq!(first.code, Some(0), "{}", first.text());
    sandbox
}

pub(crate) const INSERT: &str = "INSERT INTO notes VALUES (1001, 'held', NULL)";

/// Every way to hold the database; `is_stopped` freezes the holder.
fn held(sandbox: &Sandbox, begin: &str, is_stopped: bool) {
    let holder = Other::start(&sandbox.database(), &format!("{begin}\n{INSERT}"));
    if is_stopped {
        holder.signal("STOP");
    }
    let before = bytes(sandbox);
    let refused = impatient_boot(sandbox);
    assert!(
        matches!(refused.code, Some(1 | 3)),
        "{begin}: {:?}\n{}",
        refused.code,
        refused.text()
    );
    // The console breaks lines; the report does not.
    let record = refused.text().replace('\n', " ");
    let words = record.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = format!("pid {}", holder.pid());
    assert!(
        words.contains(&named),
        "{named} is not named:\n{}",
        refused.text()
    );
    if is_stopped {
        assert!(words.contains("stopped"), "{}", refused.text());
        holder.signal("CONT");
    }
    assert!(before == bytes(sandbox), "a file was touched under {begin}");
    holder.finish();
    let free = boot(sandbox.root());
    assert_eq!(free.code, Some(0), "{}", free.text());
    let mut connection = sandbox.open();
    let held = connection.scalar("SELECT count(*) FROM notes WHERE body = 'held'");
    assert_eq!(held, Ok(1.into()), "the holder's row");
    connection.close();
}

macro_rules! holders {
    ($($name:ident: $sandbox:expr, $begin:literal, $is_stopped:literal;)+) => {
        $(#[test] fn $name() { held(&$sandbox, $begin, $is_stopped); })+
    };
}

holders! {
    a_live_exclusive_holder: booted(Start::Legacy(Journal::Delete)), "BEGIN EXCLUSIVE", false;
    a_live_writer: booted(Start::Legacy(Journal::Delete)), "BEGIN IMMEDIATE", false;
    a_live_writer_of_a_log: booted(Start::Legacy(Journal::HotWal)), "BEGIN IMMEDIATE", false;
    a_stopped_exclusive_holder: booted(Start::Legacy(Journal::Delete)), "BEGIN EXCLUSIVE", true;
    a_stopped_writer_of_a_log: booted(Start::Legacy(Journal::HotWal)), "BEGIN IMMEDIATE", true;
    a_live_writer_while_migrations_are_pending:
        Sandbox::prepared(Start::Pending(Journal::Delete)), "BEGIN IMMEDIATE", false;
    a_live_writer_of_a_log_while_migrations_are_pending:
        Sandbox::prepared(Start::Pending(Journal::HotWal)), "BEGIN IMMEDIATE", false;
    a_stopped_writer_while_a_legacy_database_is_adopted:
        Sandbox::prepared(Start::Legacy(Journal::Delete)), "BEGIN IMMEDIATE", true;
}

/// Others that only read, before and after the writer came: who is waited for is the writer.
#[test]
fn the_writer_is_named_and_not_a_reader() {
    for journal in [Journal::Delete, Journal::HotWal] {
        let sandbox = booted(Start::Legacy(journal));
        let reads = "BEGIN\nSELECT count(*) FROM notes";
        let before = Other::start(&sandbox.database(), reads);
        let writer = Other::start(&sandbox.database(), &format!("BEGIN IMMEDIATE\n{INSERT}"));
        let after = Other::start(&sandbox.database(), reads);
        let refused = impatient_boot(&sandbox);
        let words = refused.text().replace('\n', " ");
        let named = format!("locked by pid {} ", writer.pid());
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&named), "{journal:?}: {words}");
        for reader in [before, after] {
            reader.kill();
        }
        writer.finish();
    }
}
