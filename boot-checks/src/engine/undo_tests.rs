use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::Digest as _;

use super::touched::{ABSENT, KeptOpen, digest_of};
use super::{Door, Journal, JournalEntry, Kind, Left, Phase, Touched, UndoError, undo};
use crate::config::{Inputs, load};
use crate::context::Context;
use crate::host::{Clock, Host};
use crate::model::{
    Change, Decision, Finding, Mode, Repair, RepairResult, SqlStatement, StageId, StepId,
};
use crate::playbooks;
use crate::services::db::salvage;
use crate::services::db::{Access, Connection, create_complete, side_file};
use crate::services::migrations::{MigrationSet, MigrationStatus};

const RUN: &str = "20260101_000000";

const STEP: StepId = StepId {
    stage: StageId::Preflight,
    name: "database_exists",
};

/// An application in a folder of its own, with a database or without.
struct Application {
    folder: tempfile::TempDir,
    cx: Context,
}

impl Application {
    fn new(boot_toml: &str) -> Application {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("var/boot")).unwrap();
        std::fs::write(folder.path().join("boot.toml"), boot_toml).unwrap();
        let host = Host::new(Clock::System, BTreeMap::new(), folder.path().to_owned());
        let inputs = Inputs {
            root: Some(folder.path().to_owned()),
            config: None,
            database_url: None,
            variables: BTreeMap::new(),
            current_dir: folder.path().to_owned(),
        };
        let config = load(&inputs).unwrap();
        let budget = Duration::from_secs(5);
        let cx = Context::new(
            config,
            host,
            Mode::Heal,
            playbooks::registered(),
            budget,
            |_| {},
        );
        Application { folder, cx }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn database(&self) -> PathBuf {
        self.cx.database_path().unwrap().to_owned()
    }

    fn with_database(self) -> Application {
        create_complete(&self.database(), &MigrationSet::built_in(), |_| ()).unwrap();
        self
    }

    fn run_sql(&self, sql: &str) {
        let path = self.database();
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        connection.execute(sql).unwrap();
        connection.close();
    }

    /// Everything but the journal, the lock and the copies.
    fn snapshot(&self) -> BTreeMap<PathBuf, (Option<u32>, Vec<u8>)> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if ["journal.jsonl", "lock", "tool", "backups", "quarantine"]
                    .contains(&name.as_str())
                {
                    continue;
                }
                let mode = crate::host::unix_mode(&path).unwrap();
                let bytes = if path.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    std::fs::read(&path).unwrap()
                };
                all.insert(path, (mode, bytes));
            }
        }
        all
    }

    fn undo(&self) -> Result<super::Undone, UndoError> {
        undo(self.root(), RUN, "a test", Duration::ZERO, |_| {})
    }
}

fn repair(playbook: &'static str, changes: Vec<Change>) -> Repair {
    Repair {
        playbook,
        summary: String::new(),
        decision: Decision::Apply,
        fingerprint: Door::fingerprint(playbook, &changes),
        proposal: None,
        changes,
        result: RepairResult::Proposed,
    }
}

/// Each kind of change, and an application on which it can be made.
fn samples() -> Vec<(Application, Change)> {
    let mut samples = Vec::new();
    for kind in 0..KINDS {
        let plain = Application::new("");
        let at = |name: &str| plain.root().join(name);
        let (application, change) = match kind {
            0 => {
                let path = at("a/b");
                (plain, Change::CreateFolder { path })
            }
            1 => {
                let (path, contents, mode) = (at("new"), b"new".to_vec(), 0o640);
                (
                    plain,
                    Change::CreateFile {
                        path,
                        contents,
                        mode,
                    },
                )
            }
            2 => {
                let (path, expected, addition) = (at("old"), b"old".to_vec(), b"more".to_vec());
                std::fs::write(&path, &expected).unwrap();
                (
                    plain,
                    Change::AppendToFile {
                        path,
                        expected,
                        addition,
                    },
                )
            }
            3 => {
                let (path, contents) = (at("var/boot/deep/own"), b"own".to_vec());
                (plain, Change::ReplaceOwnFile { path, contents })
            }
            4 => {
                let path = plain.database();
                let (versions, texts) = (Vec::new(), Vec::new());
                (
                    plain,
                    Change::CreateDatabase {
                        path,
                        versions,
                        texts,
                    },
                )
            }
            5 => {
                let plain = plain.with_database();
                let version = *MigrationSet::built_in().versions().last().unwrap();
                plain.run_sql(&format!(
                    "DELETE FROM _sqlx_migrations WHERE version = {version};
                     ALTER TABLE playbooks DROP COLUMN risk_level;
                     ALTER TABLE playbooks DROP COLUMN autonomy_tier;"
                ));
                (
                    plain,
                    Change::ApplyMigrations {
                        versions: vec![version],
                        texts: Vec::new(),
                    },
                )
            }
            6 => {
                plain.run_sql("CREATE TABLE notes (x); INSERT INTO notes VALUES (1);");
                let change = adoption(&plain);
                (plain, change)
            }
            7 => {
                let statements = vec![SqlStatement {
                    sql: "INSERT INTO playbooks (name) VALUES (?1)".to_owned(),
                    parameters: vec!["x".into()],
                }];
                (plain.with_database(), Change::WriteRows { statements })
            }
            8 => {
                let plain = plain.with_database();
                let set = MigrationSet::built_in();
                let first = set.iter().next().unwrap();
                let crlf = first.sql.as_str().replace('\n', "\r\n");
                let checksum: String = sha2::Sha384::digest(crlf)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                let version = first.version;
                plain.run_sql(&format!(
                    "UPDATE _sqlx_migrations SET checksum = x'{checksum}' WHERE version = {version}"
                ));
                let change = Change::RestampMigrations {
                    versions: vec![version],
                    checksums: Vec::new(),
                };
                (plain, change)
            }
            9 => {
                let (path, expected, edited) = (at("a.py"), b"x = 1".to_vec(), b"x = 2".to_vec());
                std::fs::write(&path, &expected).unwrap();
                (
                    plain,
                    Change::EditFile {
                        path,
                        expected,
                        edited,
                        diff: String::new(),
                    },
                )
            }
            10 => {
                let plain = plain.with_database();
                let change = salvage_of(&plain);
                (plain, change)
            }
            11 => {
                let command = "name = \"grace\"\n[migrations]\ncommand = [\"true\"]\n";
                let plain = Application::new(command);
                plain.run_sql("CREATE TABLE notes (x)");
                std::fs::rename(plain.database(), plain.root().join("made.db")).unwrap();
                let argv = ["cp", "made.db", "var/grace.db"].map(str::to_owned);
                let argv = argv.to_vec();
                (
                    plain,
                    Change::RunMigrator {
                        argv,
                        files: Vec::new(),
                    },
                )
            }
            _ => {
                let plain = plain.with_database();
                let change = put_back_of(&plain);
                (plain, change)
            }
        };
        assert_eq!(number(&change), kind);
        samples.push((application, change));
    }
    samples
}

/// A database with a leaf of zeros, and what could be saved of it.
fn salvage_of(application: &Application) -> Change {
    application.run_sql(
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, x);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO notes SELECT i, hex(zeroblob(50)) FROM n;",
    );
    let path = application.database();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let rehearsal = salvage::rehearse(&path, &|| Ok(Box::new(std::iter::empty()))).unwrap();
    let (present, report) = (rehearsal.present, rehearsal.report);
    Change::RebuildDatabase {
        path,
        present,
        report,
    }
}

/// A copy of the database, and a database that has changed since.
fn put_back_of(application: &Application) -> Change {
    let path = application.database();
    let copy = application.root().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let state = || Kind::DatabaseSet.state(&path, &mut KeptOpen::default());
    let kept = state().unwrap();
    application.run_sql("CREATE TABLE later (x)");
    Change::RestoreCopy {
        present: state().unwrap(),
        path,
        copy,
        kept,
    }
}

fn adoption(application: &Application) -> Change {
    let set = MigrationSet::built_in();
    let path = application.database();
    let mut connection = Connection::open(&path, Access::ReadWrite, Duration::ZERO).unwrap();
    let status = MigrationStatus::look(&mut connection, &set).unwrap();
    connection.close();
    let expected_fingerprint = status.fingerprint();
    let additions = status.difference.additions.into_iter();
    Change::AdoptSchema {
        statements: additions.map(|addition| addition.statement).collect(),
        versions: set.versions(),
        expected_fingerprint,
        lacking_rows: Vec::new(),
    }
}

const KINDS: usize = 13;

/// No wildcard: a new kind of change does not compile until it has a sample here.
fn number(change: &Change) -> usize {
    match change {
        Change::CreateFolder { .. } => 0,
        Change::CreateFile { .. } => 1,
        Change::AppendToFile { .. } => 2,
        Change::ReplaceOwnFile { .. } => 3,
        Change::CreateDatabase { .. } => 4,
        Change::ApplyMigrations { .. } => 5,
        Change::AdoptSchema { .. } => 6,
        Change::WriteRows { .. } => 7,
        Change::RestampMigrations { .. } => 8,
        Change::EditFile { .. } => 9,
        Change::RebuildDatabase { .. } => 10,
        Change::RunMigrator { .. } => 11,
        Change::RestoreCopy { .. } => 12,
    }
}

#[test]
fn every_kind_of_change_is_taken_back() {
    for (application, change) in samples() {
        let before = application.snapshot();
        let repair = repair("a_test", vec![change]);
        let door = Door::new(application.root(), RUN);
        let done = door.apply(&application.cx, STEP, &repair).unwrap();
        assert!(application.snapshot() != before, "{:?}", repair.changes);
        // At once, as when a heal does not verify; then again, and as a person would.
        let taken_back = door.take_back(STEP, &repair, done);
        assert!(taken_back.is_nothing(), "{taken_back:?}");
        assert!(application.snapshot() == before, "{:?}", repair.changes);
        door.apply(&application.cx, STEP, &repair).unwrap();
        application.undo().unwrap();
        assert!(application.snapshot() == before, "{:?}", repair.changes);
    }
}

/// A run that takes its own change back opens as little as a boot does.
#[test]
fn a_log_that_does_not_hold_is_not_thrown_away_as_a_change_is_taken_back() {
    let application = Application::new("").with_database();
    let statements = vec![SqlStatement {
        sql: "INSERT INTO playbooks (name) VALUES (?1)".to_owned(),
        parameters: vec!["x".into()],
    }];
    let repair = repair("a_test", vec![Change::WriteRows { statements }]);
    let door = Door::new(application.root(), RUN);
    let done = door.apply(&application.cx, STEP, &repair).unwrap();
    let (database, other) = (application.database(), application.root().join("other.db"));
    std::fs::copy(&database, &other).unwrap();
    let mut connection = Connection::open(&other, Access::ReadWrite, Duration::ZERO).unwrap();
    connection
        .execute("PRAGMA journal_mode = WAL; INSERT INTO playbooks (name) VALUES ('y')")
        .unwrap();
    let mut log = std::fs::read(side_file(&other, "-wal")).unwrap();
    connection.close();
    let salt = 16;
    log[salt] ^= 1;
    let beside = side_file(&database, "-wal");
    std::fs::write(&beside, &log).unwrap();
    assert!(!door.take_back(STEP, &repair, done).is_nothing());
    assert!(std::fs::read(&beside).unwrap() == log);
}

/// A plan for a file that somebody has written since.
fn outdated(path: PathBuf) -> Change {
    std::fs::write(&path, "theirs").unwrap();
    Change::EditFile {
        path,
        expected: b"what was looked at".to_vec(),
        edited: b"ours".to_vec(),
        diff: String::new(),
    }
}

#[test]
fn what_has_changed_nothing_is_not_said_to_be_taken_back() {
    let tool = "[migrations]\ncommand = ['no-such-tool']\ncheck = ['no-such-tool']\n";
    let application = Application::new(tool).with_database();
    let change = outdated(application.root().join("a.py"));
    let folder = application.root().join("made");
    let create = Change::CreateFolder { path: folder };
    let before = application.snapshot();
    let over = Change::CreateFile {
        path: application.root().join("a.py"),
        contents: Vec::new(),
        mode: 0o600,
    };
    let no_tool = Change::RunMigrator {
        argv: vec!["no-such-tool".to_owned()],
        files: Vec::new(),
    };
    // A transaction that was rolled back had begun.
    let fails = Change::WriteRows {
        statements: vec![SqlStatement {
            sql: "INSERT INTO no_such_table VALUES (1)".to_owned(),
            parameters: Vec::new(),
        }],
    };
    for (changes, left) in [
        (vec![change.clone()], Left::Untouched),
        (vec![over], Left::Untouched),
        (vec![no_tool], Left::Untouched),
        (vec![fails], Left::TakenBack),
        (vec![create, change], Left::TakenBack),
    ] {
        let door = Door::new(application.root(), RUN);
        let repair = repair("a_test", changes);
        let failure = door.apply(&application.cx, STEP, &repair).unwrap_err();
        assert_eq!(failure.left, left);
        assert!(application.snapshot() == before);
    }
}

#[test]
fn every_playbook_is_taken_back() {
    for playbook in playbooks::ALL {
        let meta = playbook.meta();
        for has_database in [false, true] {
            let application = Application::new("");
            if has_database {
                application.run_sql("CREATE TABLE notes (x); INSERT INTO notes VALUES (1);");
                if !meta.id.contains("migrations") {
                    std::fs::remove_file(application.database()).unwrap();
                    create_complete(&application.database(), &MigrationSet::built_in(), |_| ())
                        .unwrap();
                }
            }
            let problems: Vec<Finding> = meta
                .fixes
                .iter()
                .map(|code| Finding::new(code, String::new()))
                .collect();
            let Ok(plan) = playbook.plan(&application.cx, &problems) else {
                continue;
            };
            application.cx.refresh();
            let before = application.snapshot();
            let repair = repair(meta.id, plan.changes);
            let door = Door::new(application.root(), RUN);
            // A plan for a problem that is not there need not be possible; then nothing is changed.
            let applied = door.apply(&application.cx, STEP, &repair);
            if applied.is_ok() {
                application.undo().unwrap();
            }
            assert!(application.snapshot() == before, "{}", meta.id);
        }
    }
}

/// What the journal says of a file, and what is there.
fn with_journal_of_a_file(phase: Phase, after: Option<&str>, there: &str) -> Application {
    let application = Application::new("");
    std::fs::write(application.root().join("x"), there).unwrap();
    let touched = |after: Option<&str>| Touched {
        path: "x".into(),
        kind: Kind::File,
        before: ABSENT.to_owned(),
        after: after.map(str::to_owned),
        planned: Some(digest_of(b"planned")),
        saved: None,
        really: None,
        owner: None,
    };
    let line = |phase, after| JournalEntry {
        run_id: RUN.to_owned(),
        step: STEP.to_string(),
        playbook: "p".to_owned(),
        fingerprint: String::new(),
        phase,
        changes: serde_json::Value::Null,
        touched: vec![touched(after)],
    };
    let journal = Journal::new(&application.root().join("var/boot"), RUN);
    journal.write(&line(Phase::Begun, None)).unwrap();
    if phase != Phase::Begun {
        journal.write(&line(phase, after)).unwrap();
    }
    application
}

/// A kill came between the change and its line in the journal.
#[test]
fn a_file_that_holds_what_was_planned_is_the_runs_and_any_other_is_not() {
    let killed = with_journal_of_a_file(Phase::Begun, None, "planned");
    killed.undo().unwrap();
    assert!(!killed.root().join("x").exists());
    let other = with_journal_of_a_file(Phase::Begun, None, "another's");
    let error = other.undo().unwrap_err();
    assert!(matches!(error, UndoError::Refused(_)), "{error}");
    assert!(other.root().join("x").exists());
}

#[test]
fn what_a_run_left_as_it_was_is_nobodys_to_take_back() {
    let failed = with_journal_of_a_file(Phase::Failed, Some(ABSENT), "another's");
    failed.undo().unwrap();
    assert!(failed.root().join("x").exists());
}

/// An undo that was killed had moved it away; or somebody wrote into it just then.
#[test]
fn of_what_was_moved_away_only_what_the_run_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let like = folder.path().join("x");
    std::fs::write(&like, "planned").unwrap();
    let left = Kind::File.state(&like, &mut KeptOpen::default()).unwrap();
    for (phase, moved, stays) in [
        (Phase::Applied, "planned", false),
        (Phase::Applied, "planned, and more", true),
        (Phase::Begun, "planned", false),
        (Phase::Begun, "planned, and more", true),
    ] {
        let application = with_journal_of_a_file(phase, Some(&left), "planned");
        let aside = application.root().join("var/boot/quarantine").join(RUN);
        std::fs::create_dir_all(&aside).unwrap();
        let aside = aside.join("aside-1-x");
        std::fs::write(&aside, moved).unwrap();
        application.undo().unwrap();
        assert!(!application.root().join("x").exists());
        assert_eq!(aside.exists(), stays, "{moved}");
    }
}
