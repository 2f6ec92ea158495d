//! What the gate may not write, or not even read, as a user whom permissions stop: it names what is in
//! its way, changes nothing, and never takes an old state for the present one.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use boot_checks::services::db::{Access, Connection};
use boot_checks::services::migrations::MigrationSet;

use crate::boots::{Boot, boot, command, run};
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::undo::{run_id, undo_command};

/// `nobody`, as every system calls it.
const USER: u32 = 65_534;

/// How the database is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    RollbackJournal,
    /// The main file is from before the last migrations: whoever reads it alone sees an old state.
    LeftoverLog,
    CleanLog,
}

/// What is in the gate's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    MainFile,
    Folder,
    MainFileAndFolder,
    Log,
    Index,
    Everything,
    DotEnv,
}

const KEPT: [Kept; 3] = [Kept::RollbackJournal, Kept::LeftoverLog, Kept::CleanLog];

const OBSTACLES: [Obstacle; 7] = [
    Obstacle::MainFile,
    Obstacle::Folder,
    Obstacle::MainFileAndFolder,
    Obstacle::Log,
    Obstacle::Index,
    Obstacle::Everything,
    Obstacle::DotEnv,
];

/// With nothing left for a boot to add.
const COMPLETE_ENV: &str = "SECRET_KEY=a-key-that-is-long-enough-for-a-test\n\
    DATABASE_URL=sqlite:///./var/grace.db\nPYTHONIOENCODING=utf-8\n";

/// A booted application with rows in it, that belongs to [`USER`].
fn application(kept: Kept) -> Sandbox {
    let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
    let root = sandbox.root();
    std::fs::write(root.join(".env"), COMPLETE_ENV).unwrap();
    let mut connection =
        Connection::open(&sandbox.database(), Access::ReadWrite, Duration::ZERO).unwrap();
    if kept != Kept::RollbackJournal {
        connection
            .execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
            .unwrap();
    }
    MigrationSet::built_in().apply_all(&mut connection).unwrap();
    let files = [sandbox.database(), sandbox.side("-wal")];
    if kept == Kept::LeftoverLog {
        let bytes = files.each_ref().map(|file| std::fs::read(file).unwrap());
        connection.close();
        for (file, bytes) in files.iter().zip(bytes) {
            std::fs::write(file, bytes).unwrap();
        }
    } else {
        connection.close();
    }
    for name in ["logs", "grace_training", "var/boot"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    give_away(root);
    sandbox
}

pub(crate) fn give_away(path: &Path) {
    std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

fn permit(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// False where it cannot be put there.
fn put(obstacle: Obstacle, sandbox: &Sandbox) -> bool {
    let folder = sandbox.root().join("var");
    match obstacle {
        Obstacle::MainFile => permit(&sandbox.database(), 0o444),
        Obstacle::Folder => permit(&folder, 0o555),
        Obstacle::MainFileAndFolder => {
            permit(&sandbox.database(), 0o444);
            permit(&folder, 0o555);
        }
        Obstacle::Log | Obstacle::Index => {
            let suffix = if obstacle == Obstacle::Log {
                "-wal"
            } else {
                "-shm"
            };
            let file = sandbox.side(suffix);
            if !file.exists() {
                std::fs::write(&file, "").unwrap();
                give_away(&file);
            }
            permit(&file, 0o000);
        }
        Obstacle::Everything => {
            let root = sandbox.root();
            return mount(&["--bind"], root, Some(root))
                && mount(&["-o", "remount,bind,ro"], root, None);
        }
        Obstacle::DotEnv => permit(&sandbox.root().join(".env"), 0o000),
    }
    true
}

fn take_away(obstacle: Obstacle, sandbox: &Sandbox) {
    if obstacle == Obstacle::Everything {
        // Lazily: a process that another test is just starting may still hold our files.
        let mut unmount = Command::new("umount");
        let unmounted = unmount.arg("--lazy").arg(sandbox.root()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
    permit(&sandbox.root().join("var"), 0o755);
    for name in [
        ".env",
        "var/grace.db",
        "var/grace.db-wal",
        "var/grace.db-shm",
    ] {
        let path = sandbox.root().join(name);
        if path.exists() {
            permit(&path, 0o644);
        }
    }
}

fn mount(arguments: &[&str], root: &Path, source: Option<&Path>) -> bool {
    let mut mount = Command::new("mount");
    mount
        .args(arguments)
        .args(source)
        .arg(root)
        .stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}

pub(crate) fn as_user(sandbox: &Sandbox) -> Boot {
    command_as_user(&[], &command(sandbox.root()))
}

/// With these words before the program's own.
fn command_as_user(words: &[&str], inner: &Command) -> Boot {
    let mut outer = Command::new("setpriv");
    let user = format!("{USER}");
    outer
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .args(words)
        .arg(inner.get_program())
        .args(inner.get_args());
    run(outer
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null()))
}

/// Bytes and permissions of the application's files; the index of a log is a cache of live processes.
fn state(sandbox: &Sandbox) -> BTreeMap<String, (u32, Vec<u8>)> {
    let names = [
        ".env",
        "var/grace.db",
        "var/grace.db-wal",
        "var/grace.db-journal",
    ];
    let mut state = BTreeMap::new();
    for name in names {
        let path = sandbox.root().join(name);
        // SQLite makes and removes empty side files at will; they say nothing.
        let metadata = path.metadata().ok().filter(|metadata| metadata.len() > 0);
        if let Some(metadata) = metadata {
            let bytes = std::fs::read(&path).unwrap();
            state.insert(name.to_owned(), (metadata.permissions().mode(), bytes));
        }
    }
    state
}

#[test]
#[cfg_attr(
    not(all(can_be_another_user, can_mount)),
    ignore = "setpriv or prlimit is missing, or may not make another user of this one, or mount"
)]
fn what_may_not_be_written_or_read_is_named_and_never_stale() {
    let mut tried = 0;
    for obstacle in OBSTACLES {
        for kept in KEPT {
            let sandbox = application(kept);
            permit(sandbox.root(), 0o755);
            assert!(
                put(obstacle, &sandbox),
                "a folder cannot be mounted read-only here"
            );
            let before = state(&sandbox);
            let boot_as_user = as_user(&sandbox);
            let after = state(&sandbox);
            take_away(obstacle, &sandbox);
            judge(obstacle, kept, &boot_as_user);
            assert!(
                boot_as_user.code == Some(0) || before == after,
                "{obstacle:?}, {kept:?}: something was changed"
            );
            let plain = boot(sandbox.root());
            assert_eq!(plain.code, Some(0), "{}", plain.text());
            verify(&sandbox);
            tried += 1;
        }
    }
    println!("| read-only | {tried} ways | 0 stale, 0 rows lost |");
}

/// The database is the application's, and anybody may make files beside it: those would be the gate's own, and the
/// application could not write them.
#[test]
#[cfg_attr(
    not(can_be_another_user),
    ignore = "setpriv or prlimit is missing, or may not make another user of this one"
)]
fn a_database_of_another_user_gets_no_log_of_this_one() {
    const APPLICATION: u32 = 1_000;
    for is_pending in [false, true] {
        let sandbox = application(Kept::CleanLog);
        if is_pending {
            let mut connection = sandbox.open();
            let forget = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
            connection.execute(forget).unwrap();
            connection.close();
        }
        std::os::unix::fs::chown(sandbox.database(), Some(APPLICATION), None).unwrap();
        permit(&sandbox.database(), 0o644);
        permit(sandbox.root(), 0o755);
        permit(&sandbox.root().join("var"), 0o777);
        let before = state(&sandbox);
        let boot_as_user = as_user(&sandbox);
        let text = boot_as_user.unwrapped();
        assert_eq!(boot_as_user.code, Some(1), "{text}");
        assert!(text.contains("var/grace.db cannot be written"), "{text}");
        for suffix in ["-wal", "-shm"] {
            assert!(!sandbox.side(suffix).exists(), "{suffix}: {text}");
        }
        assert!(before == state(&sandbox), "{text}");
    }
}

/// The database may be written and what stands beside it may not, so that nothing can take its place.
#[test]
#[cfg_attr(
    not(can_be_another_user),
    ignore = "setpriv or prlimit is missing, or may not make another user of this one"
)]
fn an_undo_that_could_not_come_to_its_end_touches_nothing() {
    let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
    give_away(sandbox.root());
    permit(sandbox.root(), 0o755);
    let before = state(&sandbox);
    let healed = as_user(&sandbox);
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let left = state(&sandbox);
    assert!(left[".env"] != before[".env"], "there is more to take back");
    permit(&sandbox.root().join("var"), 0o555);
    let undo = undo_command(sandbox.root(), &run_id(&sandbox));
    let refused = command_as_user(&[], &undo);
    let text = refused.text();
    assert!(
        refused.code == Some(1) && text.contains("nothing was touched"),
        "{text}"
    );
    assert!(text.contains("var: Permission denied"), "{text}");
    assert!(state(&sandbox) == left, "{text}");
    permit(&sandbox.root().join("var"), 0o755);
    let undone = command_as_user(&[], &undo);
    assert_eq!(undone.code, Some(0), "{}", undone.text());
    assert!(state(&sandbox) == before);
}

/// The system lets nothing take the place of a mount point, as which containers are given single files.
#[test]
#[cfg_attr(not(can_mount), ignore = "nothing may be mounted here")]
fn an_undo_of_a_file_that_is_mounted_touches_nothing() {
    let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
    let before = state(&sandbox);
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let (env, left) = (sandbox.root().join(".env"), state(&sandbox));
    let run_id = run_id(&sandbox);
    assert!(
        mount(&["--bind"], &env, Some(&env)),
        "it cannot be mounted here"
    );
    let refused = run(&mut undo_command(sandbox.root(), &run_id));
    let is_as_it_was = state(&sandbox) == left;
    let unmounted = Command::new("umount").arg("--lazy").arg(&env).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    let text = refused.text();
    assert!(
        refused.code == Some(1) && text.contains("nothing was touched"),
        "{text}"
    );
    assert!(is_as_it_was, "{text}");
    let undone = run(&mut undo_command(sandbox.root(), &run_id));
    assert_eq!(undone.code, Some(0), "{}", undone.text());
    assert!(state(&sandbox) == before);
}

/// The system gives the gate no thread: it has no verdict, and no panic's exit code.
#[test]
#[cfg_attr(
    not(can_be_another_user),
    ignore = "setpriv or prlimit is missing, or may not make another user of this one"
)]
fn a_gate_that_cannot_work_lets_nothing_start() {
    let sandbox = application(Kept::RollbackJournal);
    permit(sandbox.root(), 0o755);
    let before = state(&sandbox);
    let boot = command(sandbox.root());
    let failed = command_as_user(&["prlimit", "--nproc=1:1"], &boot);
    assert_eq!(failed.code, Some(70), "{}", failed.text());
    assert!(
        failed.complaints().contains("may start (exit code 70)"),
        "{}",
        failed.text()
    );
    assert!(before == state(&sandbox), "something was changed");
}

/// The exit code and the words that name what is in the way.
fn expected(obstacle: Obstacle, kept: Kept) -> (i32, &'static str) {
    match (obstacle, kept) {
        (Obstacle::MainFile, _) => (1, "var/grace.db cannot be written"),
        (Obstacle::Folder | Obstacle::MainFileAndFolder, _) => {
            (1, "folder var cannot be written: Permission denied")
        }
        // Nobody reads them.
        (Obstacle::Log | Obstacle::Index, Kept::RollbackJournal) => (0, "8/8"),
        (Obstacle::Log, Kept::LeftoverLog) => {
            (1, "var/grace.db-wal cannot be read: Permission denied")
        }
        (Obstacle::Log | Obstacle::Index, _) => (1, "var/grace.db cannot be opened"),
        (Obstacle::Everything, _) => (1, "folder var cannot be written: Read-only file system"),
        (Obstacle::DotEnv, _) => (78, ".env (the default place): Permission denied"),
    }
}

fn judge(obstacle: Obstacle, kept: Kept, boot: &Boot) {
    let text = boot.unwrapped();
    let (code, words) = expected(obstacle, kept);
    let what = format!("{obstacle:?}, {kept:?}:\n{}", boot.text());
    assert_eq!(boot.code, Some(code), "{what}");
    assert!(text.contains(words), "{words}: {what}");
    // The main file alone is from before the last migrations.
    for stale in [
        "the schema lacks",
        "migrations are pending",
        "fixed by apply",
    ] {
        assert!(!text.contains(stale), "{what}");
    }
}

fn verify(sandbox: &Sandbox) {
    let mut connection = sandbox.open();
    verify_rows(&mut connection, ROWS).unwrap();
    let record = connection.scalar("SELECT count(*) FROM _sqlx_migrations WHERE success");
    let all = i64::try_from(MigrationSet::built_in().versions().len()).unwrap();
    assert_eq!(record, Ok(all.into()));
    connection.close();
}
