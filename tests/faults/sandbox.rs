//! An application in a folder of its own, and what must still be there afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection};
use boot_checks::services::migrations::MigrationSet;

/// What the application was like before the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// An empty folder.
    Empty,
    /// A database from before the gate, without a migration record and without the newer columns.
    Legacy(Journal),
    /// A database whose record says that the first migration was applied.
    Pending(Journal),
}

/// How the database keeps its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journal {
    Delete,
    /// With every row still in the log only, as after a crash.
    HotWal,
}

/// Rows of the application's own.
pub(crate) const ROWS: i64 = 1_000;

/// What the person wrote into `.env`.
pub(crate) const OWN_ENV: &str = "# mine\nOTHER=1\n";

/// A root folder; gone when dropped.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// In memory where that is possible: what is tested is the order of calls, not the disk.
    pub(crate) fn new() -> Sandbox {
        let memory = Path::new("/dev/shm");
        let parent = match std::fs::metadata(memory) {
            Ok(metadata) if metadata.is_dir() => memory.to_owned(),
            _ => std::env::temp_dir(),
        };
        let folder = tempfile::Builder::new()
            .prefix("faults-")
            .tempdir_in(parent)
            .unwrap();
        Sandbox { folder }
    }

    pub(crate) fn prepared(start: Start) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.prepare(start);
        sandbox
    }

    pub(crate) fn copy(&self) -> Sandbox {
        let copy = Sandbox::new();
        copy_folder(self.root(), copy.root());
        copy
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root().join("var/grace.db")
    }

    pub(crate) fn side(&self, suffix: &str) -> PathBuf {
        self.root().join(format!("var/grace.db{suffix}"))
    }

    pub(crate) fn prepare(&self, start: Start) {
        let (Start::Legacy(journal) | Start::Pending(journal)) = start else {
            return;
        };
        std::fs::create_dir(self.root().join("var")).unwrap();
        std::fs::write(self.root().join(".env"), OWN_ENV).unwrap();
        let mut connection =
            Connection::open(&self.database(), Access::Create, Duration::ZERO).unwrap();
        if journal == Journal::HotWal {
            connection
                .execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
                .unwrap();
        }
        match start {
            Start::Pending(_) => first_migration().apply_all(&mut connection).unwrap(),
            _ => connection.execute(FIRST_MIGRATION).unwrap(),
        }
        insert_rows(&mut connection, ROWS);
        if journal == Journal::Delete {
            connection.close();
            return;
        }
        // The files as they are while it is open: closing would empty the log.
        let files = [self.database(), self.side("-wal")];
        let bytes = files.each_ref().map(|file| std::fs::read(file).unwrap());
        connection.close();
        for (file, bytes) in files.iter().zip(bytes) {
            std::fs::write(file, bytes).unwrap();
        }
    }

    /// What must be true after any fault and one plain boot.
    pub(crate) fn verify(&self, start: Start) -> Result<(), String> {
        self.verify_database(start)?;
        if start != Start::Empty {
            let env = std::fs::read_to_string(self.root().join(".env")).unwrap_or_default();
            if !env.starts_with(OWN_ENV) {
                return Err(format!(".env does not begin as it did: {env:?}"));
            }
        }
        let env = std::fs::read_to_string(self.root().join(".env")).unwrap_or_default();
        let keys = env
            .lines()
            .filter(|line| line.starts_with("SECRET_KEY="))
            .count();
        if keys != 1 {
            return Err(format!(".env has {keys} keys"));
        }
        self.verify_names()
    }

    /// The same of the database alone.
    pub(crate) fn verify_database(&self, start: Start) -> Result<(), String> {
        let mut connection = self.open();
        if start != Start::Empty {
            verify_rows(&mut connection, ROWS)?;
        }
        let one_each = "SELECT count(*) = count(DISTINCT name) AND count(*) = 6 FROM playbooks";
        expect(&mut connection, one_each, 1, "each playbook is there once")?;
        let record = "SELECT count(*) FROM _sqlx_migrations WHERE success";
        let migrations = MigrationSet::built_in().versions().len();
        let migrations = i64::try_from(migrations).unwrap();
        expect(&mut connection, record, migrations, "migrations recorded")?;
        let check = connection.scalar("PRAGMA integrity_check");
        if check != Ok("ok".into()) {
            return Err(format!("integrity_check: {check:?}"));
        }
        connection.close();
        Ok(())
    }

    /// Nothing may lie about that a boot does not leave in any case.
    pub(crate) fn verify_names(&self) -> Result<(), String> {
        let strange: Vec<String> = self
            .names()
            .into_iter()
            .filter(|name| !is_expected(name))
            .collect();
        if strange.is_empty() {
            Ok(())
        } else {
            Err(format!("left behind: {strange:?}"))
        }
    }

    /// Every name below the root, relative to it.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        collect(self.root(), self.root(), &mut names);
        names
    }

    pub(crate) fn open(&self) -> Connection {
        Connection::open(&self.database(), Access::ReadWrite, Duration::ZERO).unwrap()
    }
}

fn is_expected(name: &str) -> bool {
    const NAMES: [&str; 23] = [
        ".env",
        "backend",
        "boot.toml",
        "migrations",
        "grace_training",
        "grace_training/startup_failures",
        "grace_training/startup_failures/_database_seen",
        "grace_training/startup_failures/_metadata.json",
        "logs",
        "logs/last_boot_report.txt",
        "logs/startup_metrics.prom",
        "var",
        "var/boot",
        "var/boot/lock",
        "var/boot/journal.jsonl",
        "var/boot/notices.json",
        "var/boot/approvals.json",
        "var/boot/playbooks.json",
        "var/boot/schedules.json",
        "var/boot/schedule.json",
        "var/boot/database_seen",
        "var/boot/integrity",
        "var/grace.db",
    ];
    let is_record = ["boot_", "incident_"]
        .iter()
        .any(|kind| name.starts_with(&format!("grace_training/startup_failures/{kind}")));
    // An empty reservation may be a live boot's; a dead one's keeps nothing but its own second.
    if name.starts_with("grace_training/startup_failures/.boot_") {
        return true;
    }
    // Sources and migrations of a start that has some.
    let is_input = [("backend/", ".py"), ("migrations/", ".sql")]
        .iter()
        .any(|(folder, end)| name.starts_with(folder) && name.ends_with(end));
    NAMES.contains(&name)
        || is_input
        || name.starts_with("var/boot/backups")
        || name.starts_with("var/boot/quarantine")
        || (is_record && name.ends_with(".json"))
}

fn collect(root: &Path, folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        names.insert(name);
        if path.is_dir() {
            collect(root, &path, names);
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // A main file that comes to be after its log is another's.
    paths.sort();
    for path in paths {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

const FIRST_MIGRATION_FILE: &str = "20251001000000_core.sql";
const FIRST_MIGRATION: &str = include_str!("../../migrations/20251001000000_core.sql");

fn first_migration() -> MigrationSet {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FIRST_MIGRATION_FILE), FIRST_MIGRATION).unwrap();
    MigrationSet::from_folder(folder.path()).unwrap()
}

pub(crate) fn insert_rows(connection: &mut Connection, rows: i64) {
    connection
        .execute(&format!(
            "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body TEXT, extra BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO notes SELECT i, 'note ' || i || ' \u{1f4dd}', zeroblob(i % 50) FROM n;
             INSERT INTO verification_events (id, verification_type, details)
             SELECT id, 'kind ' || (id % 7), body FROM notes;"
        ))
        .unwrap();
}

/// Compares full contents with what [`insert_rows`] wrote.
pub(crate) fn verify_rows(connection: &mut Connection, rows: i64) -> Result<(), String> {
    let expected_notes = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         SELECT i AS id, 'note ' || i || ' \u{1f4dd}' AS body, zeroblob(i % 50) AS extra FROM n"
    );
    let expected_events = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         SELECT i, 'kind ' || (i % 7), 'note ' || i || ' \u{1f4dd}' FROM n"
    );
    for (actual, wanted) in [
        ("SELECT id, body, extra FROM notes", expected_notes),
        (
            "SELECT id, verification_type, details FROM verification_events",
            expected_events,
        ),
    ] {
        for sql in [
            format!("SELECT count(*) FROM (SELECT * FROM ({wanted}) EXCEPT {actual})"),
            format!("SELECT count(*) FROM ({actual} EXCEPT SELECT * FROM ({wanted}))"),
        ] {
            expect(connection, &sql, 0, "rows that differ")?;
        }
        let count = format!("SELECT count(*) FROM ({actual})");
        expect(connection, &count, rows, "rows")?;
    }
    Ok(())
}

fn expect(connection: &mut Connection, sql: &str, wanted: i64, what: &str) -> Result<(), String> {
    match connection.scalar(sql) {
        Ok(SqlValue::Integer(found)) if found == wanted => Ok(()),
        other => Err(format!("{what}: expected {wanted}, found {other:?}")),
    }
}
