//! What a run changed can be taken back, byte for byte, or is refused with nothing touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::boots::{Boot, boot, boot_with, command, run, with_library};
use crate::instants::points;
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::shim::{self, Fault};

/// Permissions and bytes by name.
pub(crate) type Snapshot = BTreeMap<String, (u32, Vec<u8>)>;

pub(crate) fn undo_command(root: &Path, run_id: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .env_clear()
        .args(["undo", run_id, "--root"])
        .arg(root)
        .stdin(Stdio::null());
    command
}

pub(crate) fn undo(sandbox: &Sandbox, run_id: &str) -> Boot {
    run(&mut undo_command(sandbox.root(), run_id))
}

/// Bytes and permissions of everything but the gate's own evidence, which an undo does not unwrite.
pub(crate) fn snapshot(sandbox: &Sandbox) -> Snapshot {
    use std::os::unix::fs::PermissionsExt;
    const EVIDENCE: [&str; 12] = [
        "var/boot/backups",
        // What an undo replaced, under a second name.
        "var/boot/quarantine",
        "var/boot/journal.jsonl",
        "var/boot/lock",
        "var/boot/database_seen",
        // What a killed boot left of it; the next one that writes it tidies up.
        "var/boot/.database_seen",
        "var/boot/integrity",
        "var/boot/.integrity",
        "grace_training",
        "logs/",
        // Made by the run, and kept while the run's own report is in it.
        "logs",
        "var/grace.db-shm",
    ];
    let mut all = BTreeMap::new();
    for name in sandbox.names() {
        if EVIDENCE.iter().any(|own| name.starts_with(own)) || name == "var" || name == "var/boot" {
            continue;
        }
        let path = sandbox.root().join(&name);
        let metadata = path.metadata().unwrap();
        // SQLite makes and removes empty side files at will; they say nothing.
        if name.ends_with("-journal") && metadata.len() == 0 {
            continue;
        }
        let bytes = if metadata.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        all.insert(name, (metadata.permissions().mode(), bytes));
    }
    all
}

pub(crate) fn run_id(sandbox: &Sandbox) -> String {
    let mut ids = sandbox.names().into_iter().filter_map(|name| {
        let record = name.strip_prefix("grace_training/startup_failures/boot_")?;
        Some(record.strip_suffix(".json")?.to_owned())
    });
    ids.next_back().unwrap()
}

/// The run of a boot that was killed before it could leave a record.
fn run_id_in_journal(sandbox: &Sandbox) -> Option<String> {
    let journal = std::fs::read_to_string(sandbox.root().join("var/boot/journal.jsonl")).ok()?;
    let line: serde_json::Value = serde_json::from_str(journal.lines().next()?).ok()?;
    Some(line["run_id"].as_str()?.to_owned())
}

pub(crate) fn assert_as_before(sandbox: &Sandbox, start: Start, before: &Snapshot) {
    let now = snapshot(sandbox);
    if let Start::Legacy(Journal::HotWal) | Start::Pending(Journal::HotWal) = start {
        // The log is folded into the main file by the first look already; the rows are compared.
        let mut connection = sandbox.open();
        verify_rows(&mut connection, ROWS).unwrap();
        let columns =
            "SELECT count(*) FROM pragma_table_info('playbooks') WHERE name = 'risk_level'";
        assert_eq!(connection.scalar(columns), Ok(0.into()));
        connection.close();
        assert_eq!(now.get(".env"), before.get(".env"));
        return;
    }
    let names = |all: &BTreeMap<String, _>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&now), names(before));
    assert!(now == *before, "contents or permissions differ");
}

pub(crate) fn booted(start: Start) -> (Sandbox, Snapshot, String) {
    let sandbox = Sandbox::prepared(start);
    let before = snapshot(&sandbox);
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let run_id = run_id(&sandbox);
    (sandbox, before, run_id)
}

const STARTS: [Start; 5] = [
    Start::Empty,
    Start::Legacy(Journal::Delete),
    Start::Legacy(Journal::HotWal),
    Start::Pending(Journal::Delete),
    Start::Pending(Journal::HotWal),
];

#[test]
fn a_run_is_taken_back_and_can_be_made_again() {
    for start in STARTS {
        let (sandbox, before, run_id) = booted(start);
        for _ in 0..2 {
            let undone = undo(&sandbox, &run_id);
            assert_eq!(undone.code, Some(0), "{start:?}: {}", undone.text());
            assert_as_before(&sandbox, start, &before);
            if start != Start::Empty {
                continue;
            }
            let quarantine = sandbox.root().join("var/boot/quarantine");
            let kept = std::fs::read_dir(quarantine).unwrap();
            assert_eq!(kept.count(), 1, "the database alone is set aside");
        }
        let quarantine = sandbox.root().join("var/boot/quarantine");
        let is_of_a_database_that_was_made = start == Start::Empty;
        assert_eq!(
            quarantine.exists(),
            is_of_a_database_that_was_made,
            "{start:?}"
        );
        let again = boot(sandbox.root());
        assert_eq!(again.code, Some(0), "{start:?}: {}", again.text());
        sandbox.verify(start).unwrap();
    }
}

/// What looks as the run left it was made so by somebody else.
#[test]
fn what_was_taken_back_is_not_taken_back_again() {
    let (sandbox, _, run_id) = booted(Start::Pending(Journal::Delete));
    assert_eq!(undo(&sandbox, &run_id).code, Some(0));
    let again = boot(sandbox.root());
    assert_eq!(again.code, Some(0), "{}", again.text());
    let healed = snapshot(&sandbox);
    let undone = undo(&sandbox, &run_id);
    assert_eq!(undone.code, Some(0), "{}", undone.text());
    assert!(
        undone
            .text()
            .contains("taken back before; nothing was done")
    );
    assert!(snapshot(&sandbox) == healed);
}

#[test]
fn what_the_run_had_made_is_removed_and_not_restored() {
    let (sandbox, _, run_id) = booted(Start::Empty);
    let undone = undo(&sandbox, &run_id).text();
    for words in [
        "removed .env: it was not there",
        "set aside var/grace.db: it was not there",
    ] {
        assert!(undone.contains(words), "{undone}");
    }
    assert!(!undone.contains("restored .env"), "{undone}");
    let (sandbox, _, run_id) = booted(Start::Legacy(Journal::Delete));
    let undone = undo(&sandbox, &run_id).text();
    assert!(
        undone.contains("restored .env\n") && undone.contains("restored var/grace.db\n"),
        "{undone}"
    );
}

/// As far as this user may: else it is written into.
fn give_away(sandbox: &Sandbox, name: &str) {
    let path = sandbox.root().join(name);
    if std::os::unix::fs::chown(&path, Some(12_345), Some(12_346)).is_err() {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.push(0);
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn what_was_changed_since_is_never_undone() {
    use std::os::unix::fs::PermissionsExt;
    type Later = fn(&Sandbox);
    let cases: [(&str, Later); 7] = [
        ("the owner of .env", |sandbox| give_away(sandbox, ".env")),
        ("the owner of the database", |sandbox| {
            give_away(sandbox, "var/grace.db");
        }),
        ("a row", |sandbox| {
            let mut connection = sandbox.open();
            connection
                .execute("INSERT INTO notes (body) VALUES ('later')")
                .unwrap();
            connection.close();
        }),
        ("a row in a log", |sandbox| {
            let mut connection = sandbox.open();
            connection
                .execute("PRAGMA journal_mode = WAL; INSERT INTO notes (body) VALUES ('later')")
                .unwrap();
            connection.close();
        }),
        (".env", |sandbox| {
            let path = sandbox.root().join(".env");
            let contents = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, contents + "LATER=1\n").unwrap();
        }),
        ("permissions", |sandbox| {
            let path = sandbox.root().join(".env");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
        }),
        ("the copy", |sandbox| {
            let backups = sandbox.root().join("var/boot/backups");
            let run = std::fs::read_dir(backups).unwrap().next().unwrap().unwrap();
            for copy in std::fs::read_dir(run.path()).unwrap() {
                std::fs::write(copy.unwrap().path(), "rotten").unwrap();
            }
        }),
    ];
    for (what, later) in cases {
        let (sandbox, _, run_id) = booted(Start::Legacy(Journal::Delete));
        later(&sandbox);
        let before = snapshot(&sandbox);
        let refused = undo(&sandbox, &run_id);
        assert_eq!(refused.code, Some(8), "{what}: {}", refused.text());
        assert!(
            snapshot(&sandbox) == before,
            "{what}: something was touched"
        );
    }
}

#[test]
fn a_damaged_copy_is_found() {
    let (sandbox, _, run_id) = booted(Start::Legacy(Journal::Delete));
    let verify = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        run(command
            .env_clear()
            .args(["backups", "verify", "--root"])
            .arg(sandbox.root()))
    };
    let whole = verify();
    assert_eq!(whole.code, Some(0), "{}", whole.text());
    assert!(whole.text().contains("var/grace.db"), "{}", whole.text());
    let copies = sandbox.root().join("var/boot/backups").join(run_id);
    let copy = std::fs::read_dir(copies).unwrap().next().unwrap().unwrap();
    let mut bytes = std::fs::read(copy.path()).unwrap();
    bytes[0] ^= 1;
    std::fs::write(copy.path(), bytes).unwrap();
    let damaged = verify();
    assert_eq!(damaged.code, Some(1), "{}", damaged.text());
    assert_eq!(damaged.text().matches("[FAIL]").count(), 1);
}

#[test]
fn a_run_that_never_was_is_a_usage_error_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let refused = undo(&sandbox, "20200101_000000");
    assert_eq!(refused.code, Some(2), "{}", refused.text());
    assert!(sandbox.names().is_empty());
}

/// Kills an undo of copies of an application at each of its changes, gives it again each time, and says how many
/// there were.
pub(crate) fn undo_again_after_each_kill(
    template: &Sandbox,
    run_id: &str,
    check: impl Fn(&Sandbox, usize),
) -> usize {
    let library = shim::library();
    for at in 1.. {
        let sandbox = template.copy();
        let mut command = undo_command(sandbox.root(), run_id);
        let killed = run(with_library(&mut command, sandbox.root(), library)
            .env("FAULTS_AT", at.to_string())
            .env("FAULTS_KIND", "kill"));
        if killed.code.is_some() {
            return at - 1;
        }
        let undone = undo(&sandbox, run_id);
        assert_eq!(undone.code, Some(0), "at {at}: {}", undone.text());
        check(&sandbox, at);
    }
    0
}

#[test]
fn an_undo_that_was_killed_goes_on_where_it_was() {
    let mut tried = 0;
    for start in STARTS {
        let (template, before, run_id) = booted(start);
        tried += undo_again_after_each_kill(&template, &run_id, |sandbox, at| {
            assert_as_before(sandbox, start, &before);
            if start == Start::Empty {
                let names = sandbox.names();
                let is_left =
                    |name: &&String| name.contains("quarantine") && name.ends_with("-.env");
                assert_eq!(names.iter().find(is_left), None, "at {at}");
                // What the run had made is no loss.
                let again = boot(sandbox.root());
                assert_eq!(again.code, Some(0), "at {at}: {}", again.text());
            }
        });
    }
    println!("| undo | Kill | {tried} points | 0 wrong |");
}

#[test]
fn a_run_that_was_killed_is_taken_back_or_refused_and_no_row_is_lost() {
    let library = shim::library();
    let (mut tried, mut refused) = (0, 0);
    for start in [
        Start::Legacy(Journal::Delete),
        Start::Legacy(Journal::HotWal),
    ] {
        let template = Sandbox::prepared(start);
        let before = snapshot(&template);
        for at in points(&template, library) {
            let sandbox = template.copy();
            boot_with(sandbox.root(), library, Fault::Kill, at);
            let Some(run_id) = run_id_in_journal(&sandbox) else {
                continue;
            };
            tried += 1;
            let undone = undo(&sandbox, &run_id);
            match undone.code {
                Some(0) => assert_as_before(&sandbox, start, &before),
                Some(8) => refused += 1,
                other => panic!("{start:?} at {at}: {other:?}\n{}", undone.text()),
            }
            let mut connection = sandbox.open();
            verify_rows(&mut connection, ROWS).unwrap();
            connection.close();
        }
    }
    println!("| undo of a killed boot | {tried} points | {refused} refused | 0 rows lost |");
}

#[test]
fn a_heal_that_does_not_verify_is_taken_back_with_the_database() {
    for journal in [Journal::Delete, Journal::HotWal] {
        let start = Start::Legacy(journal);
        let sandbox = Sandbox::prepared(start);
        let wanted = "name = \"grace\"\n[migrations]\nsource = \"built-in\"\n[tables]\nnever_made = [\"id\"]\nplaybooks = [\"risk_level\"]\n";
        std::fs::write(sandbox.root().join("boot.toml"), wanted).unwrap();
        let before = snapshot(&sandbox);
        // Only this step: the one after it heals what it can of the same, and proves it.
        let failed = run(command(sandbox.root()).arg("preflight::required_tables"));
        assert_eq!(failed.code, Some(3), "{}", failed.text());
        let env = sandbox.root().join(".env");
        // What was replaced has a second name, where the oldest make room.
        let names = sandbox.names();
        let aside = |name: &&String| name.ends_with("/aside-1-grace.db");
        let aside = names.iter().find(aside).unwrap();
        assert!(aside.starts_with("var/boot/backups/"), "{names:?}");
        // Later stages do not run, so nothing else was changed.
        assert_eq!(std::fs::read(env).unwrap(), before[".env"].1);
        assert_as_before(&sandbox, start, &before);
    }
}
