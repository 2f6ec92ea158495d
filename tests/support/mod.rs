//! The one fixture of the command-line suites: a temporary root, a clean environment, the real
//! binary, and one list of filters for what differs from run to run.

#![allow(dead_code, reason = "each suite uses its part of it")]
#![allow(clippy::print_stderr, reason = "a case that is skipped says so")]

mod answer;

pub(crate) use answer::{Answer, answer};

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use assert_cmd::Command;
use boot_checks::services::db::{Access, Connection};
use serde_json::Value;
use tempfile::TempDir;

/// No boot of these suites takes longer, so that a boot that hangs fails its test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that the gate writes on every boot, whatever it sees.
pub(crate) const OWN_ARTEFACTS: [&str; 5] = [
    "logs/last_boot_report.txt",
    "logs/startup_metrics.prom",
    "grace_training/startup_failures/",
    "var/boot/lock",
    "var/boot/integrity",
];

/// An application in a temporary folder.
pub(crate) struct Fixture {
    folder: TempDir,
    root: PathBuf,
    port: u16,
}

/// A file's contents or a folder's presence, with the time of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) contents: Option<Vec<u8>>,
    pub(crate) mode: u32,
    pub(crate) modified: SystemTime,
}

impl Fixture {
    /// A root with nothing in it.
    pub(crate) fn empty() -> Fixture {
        let folder = tempfile::Builder::new()
            .prefix("boot-suite-")
            .tempdir()
            .unwrap();
        // A boot as another user must be able to look into it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Fixture {
            root: folder.path().to_owned(),
            folder,
            port: own_port(),
        }
    }

    /// A root with nothing in it, in a folder of this name.
    pub(crate) fn below(name: &str) -> Fixture {
        let mut fixture = Fixture::empty();
        fixture.root = fixture.folder.path().join(name);
        fs::create_dir(&fixture.root).unwrap();
        fixture
    }

    /// `fixtures/healthy`, with the database that the gate itself makes.
    pub(crate) fn healthy() -> Fixture {
        let fixture = Fixture::empty();
        copy_folder(&repository().join("fixtures/healthy"), fixture.root());
        let answer = fixture.boot(&[]);
        assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
        fixture
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("var/grace.db")
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// An executable script, as its argv.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.write(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The report that the last boot left.
    pub(crate) fn report(&self) -> String {
        self.read("logs/last_boot_report.txt")
    }

    /// Names of the records, oldest first.
    pub(crate) fn records(&self) -> Vec<String> {
        let Ok(folder) = fs::read_dir(self.path("grace_training/startup_failures")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("boot_"))
            .collect();
        names.sort();
        names
    }

    /// The binary with a clean environment and this application's root.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::cargo_bin("xtask").unwrap();
        self.furnish(&mut command);
        command.timeout(PATIENCE);
        command
    }

    /// The same for a child that is to be watched while it runs.
    pub(crate) fn child(&self) -> std::process::Command {
        let mut command = std::process::Command::new(binary());
        command.env_clear().current_dir(self.root());
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        command.args(["boot", "--root"]).arg(self.root());
        command
    }

    fn furnish(&self, command: &mut Command) {
        command.env_clear().current_dir(self.root());
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        command.args(["boot", "--root"]).arg(self.root());
    }

    /// What every boot of these suites has in its environment, and nothing else.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", self.root().display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TZ", "UTC".to_owned()),
            ("BOOT_PORT", self.port.to_string()),
        ]
    }

    /// Boots with these arguments besides the root.
    pub(crate) fn boot(&self, arguments: &[&str]) -> Answer {
        answer(self.command().args(arguments))
    }

    /// Runs another command on this application.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        answer(self.command_of(arguments).arg("--root").arg(self.root()))
    }

    /// Another command than `boot`, in the application's folder.
    pub(crate) fn command_of(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().envs(self.environment());
        command.current_dir(self.root()).timeout(PATIENCE);
        command.args(arguments);
        command
    }

    /// Boots and reads the one JSON object that it prints.
    pub(crate) fn boot_json(&self, arguments: &[&str]) -> (i32, Value) {
        let answer = self.boot(&[&["--format", "json"], arguments].concat());
        let json = serde_json::from_str(&answer.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", answer.stdout, answer.stderr));
        (answer.code, json)
    }

    /// Boots, and reads the record that it left.
    pub(crate) fn boot_and_record(&self) -> (Answer, Value) {
        let answer = self.boot(&[]);
        let record = self.records().pop().unwrap();
        let json = self.read(&format!("grace_training/startup_failures/{record}"));
        (answer, serde_json::from_str(&json).unwrap())
    }

    /// Runs statements in the application's database, which is made where it is missing.
    pub(crate) fn sql(&self, sql: &str) {
        let path = self.database();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut connection = Connection::open(&path, Access::Create, PATIENCE).unwrap();
        connection.execute(sql).unwrap();
        connection.close();
    }

    /// Names of the tables in the application's database.
    pub(crate) fn tables(&self) -> Vec<String> {
        // As the application would open it: what a killed boot had begun is rolled back.
        let mut connection =
            Connection::open(&self.database(), Access::ReadWrite, PATIENCE).unwrap();
        let sql = "SELECT group_concat(name) FROM
                   (SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name)";
        let boot_checks::model::SqlValue::Text(names) = connection.scalar(sql).unwrap() else {
            return Vec::new();
        };
        connection.close();
        names.split(',').map(str::to_owned).collect()
    }

    /// Everything below the root, by name.
    pub(crate) fn tree(&self) -> BTreeMap<String, Entry> {
        let mut tree = BTreeMap::new();
        walk(self.root(), self.root(), &mut tree);
        tree
    }

    /// Everything below the root but what every boot writes. Folders are told by their presence
    /// alone where the gate writes into them.
    pub(crate) fn tree_of_others(&self) -> BTreeMap<String, Entry> {
        let mut tree = self.tree();
        tree.retain(|name, entry| {
            let is_file = entry.contents.is_some();
            let leads_to_own = |own: &&str| own.starts_with(&format!("{name}/"));
            if is_file {
                !OWN_ARTEFACTS.iter().any(|own| name.starts_with(own))
            } else {
                !name.is_empty() && !OWN_ARTEFACTS.iter().any(leads_to_own)
            }
        });
        tree
    }

    /// The text with what differs from run to run under a fixed name.
    pub(crate) fn filtered(&self, text: &str) -> String {
        let mut text = text.replace(&self.root().display().to_string(), "[ROOT]");
        text = text.replace(&self.port.to_string(), "[PORT]");
        for (pattern, name) in [
            (r"\b\d{8}_\d{6}(_\d+)?\b", "[RUN]"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", "[TIMESTAMP]"),
            (r"\b\d+\.\d{3} s\b", "[TIME]"),
            (r"\b\d+ MiB free\b", "[FREE] MiB free"),
            (r"\bpid \d+\b", "pid [PID]"),
            (r"\bplan [0-9a-f]{16}\b", "plan [PLAN]"),
        ] {
            let pattern = regex::Regex::new(pattern).unwrap();
            text = pattern.replace_all(&text, name).into_owned();
        }
        text
    }
}

/// The step of this name in a record.
#[track_caller]
pub(crate) fn step<'a>(record: &'a Value, id: &str) -> &'a Value {
    steps(record)
        .find(|step| step["id"] == id)
        .unwrap_or_else(|| panic!("no step {id} in {record:#}"))
}

/// Every step of a record.
pub(crate) fn steps(record: &Value) -> impl Iterator<Item = &Value> {
    let stages = record["stages"].as_array().unwrap().iter();
    stages.flat_map(|stage| stage["steps"].as_array().unwrap())
}

/// The real binary.
pub(crate) fn binary() -> PathBuf {
    assert_cmd::cargo::cargo_bin("xtask")
}

/// The workspace's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether this process may write where the permission bits say no.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self")
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

/// A command line that runs what follows without privileges.
pub(crate) fn without_privileges() -> Vec<&'static str> {
    if !is_root() {
        return Vec::new();
    }
    let argv = vec![
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let mut version = std::process::Command::new(argv[0]);
    let version = version.args(&argv[1..]).arg(binary()).arg("--version");
    let output = version.output().unwrap();
    assert!(
        output.status.success(),
        "{} must be readable for others",
        binary().display()
    );
    argv
}

/// A port below the range that the system gives away by itself, so that no other program gets it by
/// chance.
fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 997) as u16 * 17;
    loop {
        let port = 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Copies a fixture; `dot-env` becomes `.env`, which no repository should hold.
fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let target = to.join(name.replace("dot-", "."));
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn walk(root: &Path, folder: &Path, tree: &mut BTreeMap<String, Entry>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let contents = metadata
            .is_file()
            .then(|| fs::read(&path).unwrap_or_default());
        let found = Entry {
            contents,
            mode: metadata.permissions().mode() & 0o7777,
            modified: metadata.modified().unwrap(),
        };
        tree.insert(name, found);
        if metadata.is_dir() {
            walk(root, &path, tree);
        }
    }
}
