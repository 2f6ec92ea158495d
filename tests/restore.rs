//! A kept copy takes the place of a database: planned, applied, refused, taken back.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection};
use serde_json::Value;
use support::{Answer, Fixture, PATIENCE};

/// What the copy holds.
const ROWS: i64 = 40;

/// An application whose gate has kept a copy of a database with [`ROWS`] notes, and the run that did.
struct Kept {
    fixture: Fixture,
    run_id: String,
    copy: PathBuf,
    /// Where the file itself is.
    folder: &'static str,
}

fn kept() -> Kept {
    kept_of(Fixture::healthy(), "var")
}

/// The same, where `var/grace.db` is a link to a file in another folder.
fn kept_behind_a_link() -> Kept {
    let fixture = Fixture::healthy();
    fs::create_dir(fixture.path("disk")).unwrap();
    fs::rename(fixture.database(), fixture.path("disk/grace.db")).unwrap();
    symlink("../disk/grace.db", fixture.database()).unwrap();
    kept_of(fixture, "disk")
}

fn kept_of(fixture: Fixture, folder: &'static str) -> Kept {
    fixture.sql(&format!(
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT); CREATE INDEX bodies ON notes (body);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO notes SELECT i, 'note ' || i FROM n; DELETE FROM playbooks;"
    ));
    // The playbooks are registered again, and what is there before that is kept.
    fixture.boot(&[]).says(0, &[]);
    let list = fixture.run(&["backups", "list"]);
    let line = list
        .stdout
        .lines()
        .rfind(|line| line.contains("grace.db -> "));
    let line = line.unwrap_or_else(|| panic!("{}", list.all()));
    let (run_id, rest) = line.split_once(' ').unwrap();
    let (_, copy) = rest.split_once(" -> ").unwrap();
    let (copy, size) = copy.rsplit_once(" (").unwrap();
    let bytes = fs::metadata(copy).unwrap().len();
    assert!(size.starts_with(&format!("{bytes} bytes")), "{line}");
    Kept {
        run_id: run_id.to_owned(),
        copy: copy.into(),
        fixture,
        folder,
    }
}

impl Kept {
    fn restore(&self, arguments: &[&str]) -> Answer {
        let command = ["backups", "restore", &self.run_id];
        self.fixture.run(&[&command, arguments].concat())
    }

    fn plan(&self) -> Value {
        let answer = self.restore(&["--plan", "--format", "json"]);
        assert_eq!(answer.code, 0, "{}", answer.all());
        serde_json::from_str(&answer.stdout).unwrap()
    }

    fn fingerprint(&self) -> String {
        let plan = self.plan();
        plan["plan"]["fingerprint"].as_str().unwrap().to_owned()
    }

    fn apply(&self) -> Answer {
        self.restore(&["--apply", &self.fingerprint()])
    }

    fn notes(&self) -> i64 {
        let path = self.fixture.database();
        let mut connection = Connection::open(&path, Access::ReadWrite, PATIENCE).unwrap();
        let count = connection.scalar("SELECT count(*) FROM notes").unwrap();
        connection.close();
        let SqlValue::Integer(count) = count else {
            panic!("{count:?}")
        };
        count
    }

    /// The files of the database, byte for byte.
    fn files(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let all = ["", "-wal", "-journal"].into_iter();
        all.filter_map(|suffix| Some((suffix, fs::read(self.side(suffix)).ok()?)))
            .filter(|(suffix, bytes)| suffix.is_empty() || !bytes.is_empty())
            .collect()
    }

    fn side(&self, suffix: &str) -> PathBuf {
        let folder = self.folder;
        self.fixture.path(&format!("{folder}/grace.db{suffix}"))
    }

    #[track_caller]
    fn link_is_there(&self) {
        let target = fs::read_link(self.fixture.database()).unwrap();
        assert_eq!(target.to_str(), Some("../disk/grace.db"));
    }

    /// What a restore that answered this has set aside.
    fn set_aside(&self, answer: &Answer) -> BTreeMap<&'static str, Vec<u8>> {
        let folder = self
            .fixture
            .path("var/boot/quarantine")
            .join(run_of(answer));
        let all = ["", "-wal", "-journal"].into_iter();
        all.filter_map(|suffix| {
            let name = format!("0-grace.db{suffix}");
            Some((suffix, fs::read(folder.join(name)).ok()?))
        })
        .collect()
    }
}

/// The run that a restore says that it was.
#[track_caller]
fn run_of(answer: &Answer) -> &str {
    let undo = answer.stdout.split("cargo xtask undo ").nth(1);
    let undo = undo.unwrap_or_else(|| panic!("{}", answer.all()));
    undo.split([' ', '`']).next().unwrap()
}

#[test]
fn a_copy_is_planned_put_back_and_taken_back() {
    let kept = kept();
    kept.fixture.sql(
        "DELETE FROM notes WHERE id > 10; CREATE TABLE later (x); INSERT INTO later VALUES (1)",
    );
    let (before, tree) = (kept.files(), kept.fixture.tree());
    kept.restore(&["--plan"]).says(
        0,
        &[
            "notes: 10 rows now, 40 rows in the copy",
            "later: 1 row now, no such table in the copy",
            "aside in var/boot/quarantine/",
            "--apply ",
        ],
    );
    kept.restore(&[]).says(8, &["--apply "]);
    assert!(kept.fixture.tree() == tree, "a plan wrote something");
    let done = kept.apply();
    done.says(0, &["checked again", "takes it back"]);
    assert_eq!(kept.notes(), ROWS);
    assert!(kept.set_aside(&done) == before, "not kept byte for byte");
    kept.fixture.boot(&[]).says(0, &[]);
    let undone = kept.fixture.run(&["undo", run_of(&done)]);
    undone.says(8, &["changed since"]);
}

#[test]
fn a_killed_look_leaves_its_copies_to_the_owner_alone_and_to_the_next_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let kept = kept();
    kept.fixture
        .sql("INSERT INTO notes VALUES (1000, zeroblob(64 << 20))");
    let place = tempfile::tempdir().unwrap();
    let left = || {
        fs::read_dir(place.path())
            .unwrap()
            .map(|it| it.unwrap().path())
    };
    let start = || {
        let mut command = std::process::Command::new(support::binary());
        command
            .env_clear()
            .envs(kept.fixture.environment())
            .env("TMPDIR", place.path())
            .args(["backups", "restore", &kept.run_id, "--plan", "--root"])
            .arg(kept.fixture.root())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let holds_a_copy = || left().any(|it| it.join("grace.db").exists());
    let deadline = std::time::Instant::now() + PATIENCE;
    // Until one is met while it has its copy.
    while left().count() == 0 {
        assert!(std::time::Instant::now() < deadline, "no copy was seen");
        let mut child = start();
        while child.try_wait().unwrap().is_none() && !holds_a_copy() {}
        let _ = child.kill();
        child.wait().unwrap();
    }
    for folder in left() {
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
    assert!(start().wait().unwrap().success());
    assert_eq!(left().collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn undo_gives_everything_back_byte_for_byte() {
    let kept = kept();
    kept.fixture.sql("DELETE FROM notes WHERE id > 10");
    let before = kept.files();
    let done = kept.apply();
    done.says(0, &[]);
    let undone = kept.fixture.run(&["undo", run_of(&done)]);
    undone.says(0, &["restored var/grace.db"]);
    assert!(kept.files() == before, "not as it was");
}

#[test]
fn a_run_that_is_not_known_is_a_usage_error_and_names_another() {
    let kept = kept();
    let tree = kept.fixture.tree();
    let mut nearly = kept.run_id.clone();
    nearly.pop();
    for flags in [&[][..], &["--plan"], &["--apply", "0000000000000000"]] {
        let command = [&["backups", "restore", &nearly][..], flags].concat();
        let found = format!("did you mean `{}`", kept.run_id);
        let answer = kept.fixture.run(&command);
        answer.says(2, &[&found, "cargo xtask backups list"]);
    }
    let other = kept.restore(&["var/other.db", "--plan"]);
    other.says(2, &["kept no copy", "var/grace.db"]);
    assert!(kept.fixture.tree() == tree, "a usage error wrote something");
}

#[test]
fn a_damaged_copy_is_refused_and_nothing_changes() {
    let kept = kept();
    let fingerprint = kept.fingerprint();
    let mut bytes = fs::read(&kept.copy).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&kept.copy, bytes).unwrap();
    let before = kept.files();
    for flags in [&["--plan"][..], &[], &["--apply", &fingerprint]] {
        kept.restore(flags).says(1, &["is damaged", "journal"]);
    }
    assert!(kept.files() == before, "something was touched");
}

/// The journal knows it as it is, and still it is no sound database.
#[test]
fn a_copy_of_a_damaged_database_is_refused() {
    let kept = kept();
    let path = kept.fixture.database();
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0);
    fs::write(&path, bytes).unwrap();
    let before = kept.files();
    let done = kept.apply();
    done.says(0, &[]);
    let command = ["backups", "restore", run_of(&done), "--plan"];
    let words = [
        "is damaged, as it was when it was kept",
        "var/grace.db yourself",
    ];
    kept.fixture.run(&command).says(1, &words);
    let verified = kept.fixture.run(&["backups", "verify"]);
    verified.says(0, &["as it was set aside, sound or not"]);
    assert!(kept.set_aside(&done) == before);
    assert_eq!(kept.notes(), ROWS);
}

#[test]
fn a_plan_that_is_no_longer_the_one_that_was_shown_is_refused() {
    let kept = kept();
    let fingerprint = kept.fingerprint();
    kept.fixture
        .sql("INSERT INTO notes (body) VALUES ('later')");
    let before = kept.files();
    let refused = kept.restore(&["--apply", &fingerprint]);
    refused.says(8, &["not the plan that was named", "--apply "]);
    assert!(kept.files() == before, "something was touched");
    let quarantine = kept.fixture.path("var/boot/quarantine");
    assert!(!quarantine.exists(), "something was set aside");
}

#[test]
fn a_database_that_vanished_comes_back_as_it_was_allowed_to_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let kept = kept();
    let mode = || {
        fs::metadata(kept.fixture.database())
            .unwrap()
            .permissions()
            .mode()
    };
    let before = mode();
    fs::remove_file(kept.fixture.database()).unwrap();
    let refused = kept.fixture.boot(&[]);
    refused.says(
        1,
        &["cargo xtask backups list", "cargo xtask backups restore"],
    );
    kept.restore(&["--plan"]).says(0, &["it is not there"]);
    let done = kept.apply();
    done.says(0, &[]);
    assert_eq!(kept.notes(), ROWS);
    assert_eq!(mode(), before);
    let undone = kept.fixture.run(&["undo", run_of(&done)]);
    undone.says(0, &["set aside var/grace.db"]);
    assert!(kept.files().is_empty(), "{:?}", kept.files().keys());
    // What was put back is a copy: the incident is there again.
    kept.fixture
        .boot(&[])
        .says(1, &["was there at an earlier boot"]);
}

#[test]
fn a_lost_table_names_the_command() {
    let kept = kept();
    kept.fixture.sql("DROP TABLE verification_events");
    let refused = kept.fixture.boot(&[]);
    refused.says(1, &["cargo xtask backups restore"]);
    kept.apply().says(0, &[]);
    kept.fixture.boot(&[]).says(0, &[]);
}

#[test]
fn a_newer_log_is_set_aside_whole_and_comes_back() {
    let kept = kept();
    leave_log(&kept, "INSERT INTO notes (body) VALUES ('in the log')");
    let before = kept.files();
    assert!(before.contains_key("-wal"));
    let plan = kept.restore(&["--plan"]);
    plan.says(
        0,
        &[
            "notes: 41 rows now, 40 rows in the copy",
            "grace.db-wal aside",
        ],
    );
    assert!(kept.files() == before, "a plan touched the log");
    let done = kept.apply();
    done.says(0, &[]);
    assert!(kept.set_aside(&done) == before, "not kept byte for byte");
    assert_eq!(kept.notes(), ROWS, "the log was replayed over the copy");
    let undone = kept.fixture.run(&["undo", run_of(&done)]);
    undone.says(0, &[]);
    assert!(kept.files() == before, "not as it was");
    assert_eq!(kept.notes(), ROWS + 1);
}

/// A program that has it open takes no lock while it is idle. With a log it would go on in the file that was,
/// and put what it commits into the log of the one that came.
#[test]
fn nothing_takes_the_place_of_a_database_that_somebody_has_open() {
    for mode in ["WAL", "MEMORY", "DELETE"] {
        let kept = kept();
        let path = kept.fixture.database();
        kept.fixture.sql(&format!("PRAGMA journal_mode = {mode}"));
        let mut idle = Connection::open(&path, Access::ReadWrite, PATIENCE).unwrap();
        let before = kept.files();
        let pid = format!("open in pid {}", std::process::id());
        kept.apply().says(1, &[&pid]);
        assert!(kept.files() == before, "{mode}: touched");
        idle.execute("INSERT INTO notes (body) VALUES ('late')")
            .unwrap();
        assert_eq!(kept.notes(), ROWS + 1, "{mode}");
        idle.close();
        kept.apply().says(0, &["restored var/grace.db"]);
        assert_eq!(kept.notes(), ROWS, "{mode}");
    }
}

#[test]
fn an_undo_replaces_no_database_that_somebody_has_open() {
    let kept = kept();
    let idle = Connection::open(&kept.fixture.database(), Access::ReadWrite, PATIENCE).unwrap();
    let before = kept.files();
    let pid = format!("open in pid {}", std::process::id());
    let undone = kept.fixture.run(&["undo", &kept.run_id]);
    undone.says(1, &["nothing was touched", &pid]);
    assert!(kept.files() == before, "touched");
    idle.close();
    let undone = kept.fixture.run(&["undo", &kept.run_id]);
    undone.says(0, &["restored var/grace.db"]);
}

/// SQLite keeps the log beside the file that the link leads to.
#[test]
fn a_database_behind_a_link_is_put_back_where_the_link_leads_and_stays_linked() {
    let kept = kept_behind_a_link();
    kept.link_is_there();
    leave_log(&kept, "INSERT INTO notes (body) VALUES ('in the log')");
    let before = kept.files();
    assert!(before.contains_key("-wal"));
    let plan = kept.restore(&["var/grace.db", "--plan"]);
    plan.says(
        0,
        &[
            "notes: 41 rows now, 40 rows in the copy",
            "disk/grace.db-wal aside",
        ],
    );
    let done = kept.apply();
    done.says(0, &[]);
    kept.link_is_there();
    assert!(kept.set_aside(&done) == before, "not kept byte for byte");
    assert_eq!(kept.notes(), ROWS, "the log was replayed over the copy");
    let undone = kept.fixture.run(&["undo", run_of(&done)]);
    undone.says(0, &["restored disk/grace.db"]);
    kept.link_is_there();
    assert!(kept.files() == before, "not as it was");
    fs::remove_file(kept.side("-wal")).unwrap();
    fs::remove_file(kept.side("")).unwrap();
    let refused = kept.fixture.boot(&[]);
    refused.says(1, &["var/grace.db is a link to nothing"]);
    kept.apply().says(0, &[]);
    kept.link_is_there();
    assert_eq!(kept.notes(), ROWS);
    kept.fixture.boot(&[]).says(0, &[]);
}

/// The journal of the run that healed it names the file that was there before it was moved.
#[test]
fn a_heal_behind_a_link_is_taken_back_and_stays_linked() {
    let kept = kept_behind_a_link();
    let healed = kept.files();
    let undone = kept.fixture.run(&["undo", &kept.run_id]);
    undone.says(0, &["restored disk/grace.db"]);
    kept.link_is_there();
    assert!(kept.files() != healed, "nothing was taken back");
    kept.fixture.boot(&[]).says(0, &["playbooks"]);
    kept.link_is_there();
    assert_eq!(kept.notes(), ROWS);
}

/// The files as a crash leaves them.
fn leave_log(kept: &Kept, sql: &str) {
    let path = kept.fixture.database();
    let mut connection = Connection::open(&path, Access::ReadWrite, PATIENCE).unwrap();
    let setup = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;";
    connection.execute(&format!("{setup} {sql}")).unwrap();
    let files = ["", "-wal"].map(|suffix| kept.side(suffix));
    let bytes = files.each_ref().map(|file| fs::read(file).unwrap());
    connection.close();
    for (file, bytes) in files.iter().zip(bytes) {
        fs::write(file, bytes).unwrap();
    }
}

#[test]
fn a_live_holder_is_waited_for_and_named_and_nothing_changes() {
    let kept = kept();
    let fingerprint = kept.fingerprint();
    let before = kept.files();
    let mut holder = Holder::of(&kept);
    let refused = kept.restore(&["--apply", &fingerprint, "--lock-timeout", "300ms"]);
    let pid = format!("pid {}", holder.child.id());
    refused.says(1, &["locked by", &pid, "waiting up to 300ms"]);
    assert!(kept.files() == before, "something was touched");
    let quarantine = kept.fixture.path("var/boot/quarantine");
    assert!(!quarantine.exists(), "something was set aside");
    holder.end();
    kept.restore(&["--apply", &fingerprint]).says(0, &[]);
}

#[test]
fn a_damaged_line_of_the_journal_stops_what_relies_on_it_and_no_boot() {
    let kept = kept();
    let path = kept.fixture.path("var/boot/journal.jsonl");
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[20] = b'\n';
    fs::write(&path, damaged).unwrap();
    let words = ["journal.jsonl, line 1 is damaged", "next: mend that line"];
    kept.fixture.run(&["undo", &kept.run_id]).says(1, &words);
    kept.restore(&["--plan"]).says(1, &words);
    // What heals nothing needs no journal.
    kept.fixture.boot(&[]).says(0, &["may start"]);
    kept.fixture.sql("DELETE FROM playbooks");
    let before = kept.files();
    let copies = || {
        fs::read_dir(kept.fixture.path("var/boot/backups"))
            .unwrap()
            .count()
    };
    let kept_before = copies();
    let words = [
        &["changed nothing: cannot go by the gate's journal"][..],
        &words,
    ]
    .concat();
    let (unhealed, json) = kept.fixture.boot_and_record();
    // Playbooks that are not registered are a warning, and so is a heal of them that was refused.
    unhealed.says(0, &words);
    let repairs: Vec<&Value> = support::steps(&json)
        .flat_map(|step| step["repairs"].as_array().unwrap())
        .collect();
    let is_refused = |repair: &&Value| repair["result"] == "refused";
    assert!(
        !repairs.is_empty() && repairs.iter().all(is_refused),
        "{repairs:#?}"
    );
    assert!(kept.files() == before, "something was healed");
    assert_eq!(copies(), kept_before, "a copy was made for nothing");
    // What a kill left of the last line is no damage.
    fs::write(&path, [&whole[..], &whole[..40]].concat()).unwrap();
    kept.restore(&["--plan"]).says(0, &[]);
    let healed = kept.fixture.boot(&[]);
    healed.says(0, &[]);
    assert!(!healed.all().contains("is damaged"), "{}", healed.all());
    kept.restore(&["--plan"]).says(0, &[]);
}

#[test]
fn a_pipe_in_the_databases_place_is_named_and_not_waited_for() {
    let kept = kept();
    let database = kept.fixture.database();
    fs::remove_file(&database).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&database).status();
    assert!(made.unwrap().success());
    let start = std::time::Instant::now();
    let words = ["var/grace.db", "not a regular file"];
    kept.restore(&["--plan"])
        .says(1, &[&words[..], &["next: move "]].concat());
    kept.fixture.run(&["undo", &kept.run_id]).says(8, &words);
    let limit = std::time::Duration::from_secs(2);
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
}

#[test]
fn a_holders_secrets_are_shown_nowhere() {
    let kept = kept();
    let fingerprint = kept.fingerprint();
    let mut holder = Holder::of(&kept);
    let waited = ["--lock-timeout", "300ms"];
    let restored = kept.restore(&[&["--apply", &fingerprint][..], &waited].concat());
    let booted = kept.fixture.boot(&waited);
    holder.end();
    let all = restored.all() + &booted.all();
    assert!(all.contains("--password [redacted] -p [redacted]"), "{all}");
    let files = kept.fixture.tree();
    let texts = files.iter().map(|(name, entry)| {
        let contents = entry.contents.as_deref().unwrap_or_default();
        (
            name.as_str(),
            String::from_utf8_lossy(contents).into_owned(),
        )
    });
    for (name, text) in texts.chain([("output", all)]) {
        for secret in HOLDERS_SECRETS {
            assert!(!text.contains(secret), "{secret} in {name}");
        }
    }
}

/// What the holder has on its command line.
const HOLDERS_SECRETS: [&str; 2] = ["hunter2secret", "s3cr3tpass"];

const HELD: &str = "RESTORE_TEST_HELD_DATABASE";

/// Another program that is within a transaction, and what it prints.
struct Holder {
    child: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Holder {
    fn of(kept: &Kept) -> Holder {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "holder", "--"])
            .args(["--password", HOLDERS_SECRETS[0], "-p", HOLDERS_SECRETS[1]])
            .env(HELD, kept.fixture.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let is_ready = |line: std::io::Result<String>| line.unwrap().contains("holding now");
        assert!(stdout.by_ref().lines().any(is_ready));
        Holder {
            child,
            _stdout: stdout,
        }
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

#[test]
#[ignore = "run by another test in a process of its own"]
#[allow(clippy::print_stdout, reason = "how the other test knows")]
fn holder() {
    let Ok(path) = std::env::var(HELD) else {
        return;
    };
    let mut connection = Connection::open(path.as_ref(), Access::ReadWrite, PATIENCE).unwrap();
    connection.execute("BEGIN IMMEDIATE").unwrap();
    println!("\nholding now");
    let _ = std::io::stdin().read_line(&mut String::new());
    connection.execute("ROLLBACK").unwrap();
    connection.close();
}

#[test]
fn a_damaged_database_names_the_copies_that_are_kept() {
    let other_way = "a kept copy can take its place, also where a salvage is proposed";
    for damage in [
        // Cut short.
        |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec(),
        // Its schema is no page of any kind.
        |bytes: &[u8]| [&bytes[..100], &[0xa5; 200], &bytes[300..]].concat(),
        // No header.
        |bytes: &[u8]| [&[0xa5; 100], &bytes[100..]].concat(),
    ] {
        let kept = kept();
        let bytes = fs::read(kept.fixture.database()).unwrap();
        fs::write(kept.fixture.database(), damage(&bytes)).unwrap();
        let answer = kept.fixture.boot(&["--observe"]);
        let restore = [
            "`cargo xtask backups list --root",
            "`cargo xtask backups restore RUN",
        ];
        answer.says(answer.code, &[&[other_way], &restore[..]].concat());
        assert_ne!(answer.code, 0);
    }
}

#[test]
fn an_empty_file_in_the_place_of_a_database_is_no_empty_start() {
    let kept = kept();
    fs::write(kept.fixture.database(), "").unwrap();
    let answer = kept.fixture.boot(&[]);
    let words = [
        "put a kept copy in its place",
        "`cargo xtask backups restore RUN",
        "--allow-create",
    ];
    answer.says(1, &words);
    kept.apply().says(0, &["restored var/grace.db"]);
    assert_eq!(kept.notes(), ROWS);
}

#[test]
fn copies_are_told_apart_and_what_is_wrong_with_them_is_said() {
    let fixture = Fixture::empty();
    for command in ["list", "verify"] {
        let answer = fixture.run(&["backups", command]);
        answer.says(0, &["no copies are kept"]);
    }
    let kept = kept();
    let list = kept.fixture.run(&["backups", "list"]).stdout;
    assert!(!list.contains(", copy "), "{list}");

    fs::write(&kept.copy, "no longer").unwrap();
    let verified = kept.fixture.run(&["backups", "verify"]);
    verified.says(
        1,
        &[
            "[FAIL]",
            "(9 bytes): damaged: it is not what was there",
            "next: `undo` and",
        ],
    );
    fs::remove_file(&kept.copy).unwrap();
    let verified = kept.fixture.run(&["backups", "verify"]);
    verified.says(
        1,
        &[
            "[FAIL]",
            "(missing): missing:",
            "take the copy of another run",
        ],
    );
}

#[test]
fn copies_of_one_run_are_told_apart() {
    // Its columns are added, and then its rows.
    let fixture = Fixture::empty();
    fixture.sql(
        "CREATE TABLE verification_events (
            id INTEGER PRIMARY KEY, verification_type VARCHAR(50) NOT NULL,
            target_component VARCHAR(100) NOT NULL, verification_method VARCHAR(100),
            result VARCHAR(20) NOT NULL, anomaly_score FLOAT, confidence FLOAT, details TEXT,
            verified_by VARCHAR(100), created_at DATETIME)",
    );
    fixture.boot(&[]).says(0, &[]);
    let list = fixture.run(&["backups", "list"]).stdout;
    let copies: Vec<&str> = list.lines().filter(|it| it.contains("grace.db")).collect();
    assert!(copies.len() > 1, "{list}");
    for (at, line) in copies.iter().enumerate() {
        let order = format!(" bytes, copy {} of {} in", at + 1, copies.len());
        assert!(line.contains(&order), "{list}");
    }
}

#[test]
fn copies_that_no_journal_names_are_said_to_be_there() {
    for is_gone in [true, false] {
        let kept = kept();
        let journal = kept.fixture.path("var/boot/journal.jsonl");
        match is_gone {
            true => fs::remove_file(&journal).unwrap(),
            false => fs::write(&journal, "").unwrap(),
        }
        let folder = kept.copy.parent().unwrap().to_str().unwrap();
        let words = format!("{folder}: no journal names the copies in it");
        let next = "next: put var/boot/journal.jsonl back";
        let list = kept.fixture.run(&["backups", "list"]);
        list.says(0, &[&words, next]);
        assert!(!list.all().contains("no copies are kept"), "{}", list.all());
        let failed = format!("[FAIL] {words}");
        let verified = kept.fixture.run(&["backups", "verify"]);
        verified.says(1, &[&failed, next]);
    }
    // Those of one run, beside copies that are known and whole.
    let kept = kept();
    fs::create_dir(kept.fixture.path("var/boot/backups/20260101_000000")).unwrap();
    kept.fixture.run(&["backups", "verify"]).says(0, &["[OK]"]);
    kept.fixture
        .write("var/boot/backups/20260101_000000/0-grace.db", "kept");
    let verified = kept.fixture.run(&["backups", "verify"]);
    verified.says(1, &["[OK]", "[FAIL]", "20260101_000000: no journal"]);
}

#[test]
fn a_damaged_journal_is_named_by_its_line() {
    let kept = kept();
    let journal = kept.fixture.path("var/boot/journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let number = whole.lines().count() + 1;
    let line = format!("journal.jsonl, line {number} is damaged");
    for command in ["list", "verify"] {
        let answer = || kept.fixture.run(&["backups", command]);
        fs::write(&journal, format!("{whole}no line\n")).unwrap();
        answer().says(
            1,
            &[
                "error: cannot read the journal",
                &line,
                "next: mend that line",
            ],
        );
        // Where nothing is kept either: what the line says is not known.
        let backups = kept.fixture.path("var/boot/backups");
        fs::rename(&backups, backups.with_extension("away")).unwrap();
        answer().says(1, &[&line]);
        fs::rename(backups.with_extension("away"), &backups).unwrap();
        // What a kill left of a line was not begun.
        fs::write(&journal, format!("{whole}{{\"run_id\":")).unwrap();
        answer().says(0, &[&kept.run_id]);
    }
}
