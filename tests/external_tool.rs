//! The application's own tool migrates its database: a copy is kept before, what the tool did in vain is
//! taken back, and what anybody else committed meanwhile is not.
#![cfg(unix)]
#![allow(clippy::print_stderr, reason = "a case that is skipped says so")]

mod support;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection};
use support::{Answer, Fixture, PATIENCE, step};

const SHOP: &str = "name = \"shop\"
[database]
url = \"sqlite:///./var/grace.db\"
[migrations]
command = [\"./tool\", \"upgrade\"]
check = [\"./tool\", \"check\"]
timeout_seconds = 30
";

const BEFORE: &str = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
    INSERT INTO alembic_version VALUES ('a1b2c3');
    CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);
    INSERT INTO orders (note) VALUES ('one'), ('two'), ('three');";

const HALF: &str =
    "ALTER TABLE orders ADD COLUMN paid BOOLEAN; CREATE TABLE _alembic_tmp_orders (x);";

const WHOLE: &str = "ALTER TABLE orders ADD COLUMN paid BOOLEAN;
    UPDATE alembic_version SET version_num = 'd4e5f6';";

/// This very program, in the part of the tool.
#[test]
#[ignore = "a part that the other tests give to a process of its own"]
fn plays_the_tool() {
    let (Ok(database), Ok(sql)) = (std::env::var("TOOL_DATABASE"), std::env::var("TOOL_SQL"))
    else {
        return;
    };
    let mut connection = Connection::open(Path::new(&database), Access::Create, PATIENCE).unwrap();
    connection.execute(&sql).unwrap();
    match std::env::var_os("TOOL_DIES") {
        Some(_) => std::process::abort(),
        None => connection.close(),
    }
}

/// An application whose tool runs these statements and then this script.
fn shop(sql: &str, script: &str) -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("boot.toml", SHOP);
    fixture.sql(BEFORE);
    tool(&fixture, sql, script);
    fixture
}

fn tool(fixture: &Fixture, sql: &str, script: &str) {
    let (program, database) = (std::env::current_exe().unwrap(), fixture.database());
    let body = format!(
        "if [ \"$1\" = check ]; then test -f upgraded; exit $?; fi
         TOOL_DATABASE='{}' TOOL_SQL=\"{sql}\" '{}' --exact plays_the_tool --ignored > /dev/null || exit 9
         {script}",
        database.display(),
        program.display()
    );
    fixture.script("tool", &body);
}

fn run_sql(database: &Path, sql: &str) {
    let mut connection = Connection::open(database, Access::Create, PATIENCE).unwrap();
    connection.execute(sql).unwrap();
    connection.close();
}

fn number(database: &Path, sql: &str) -> i64 {
    let mut connection = Connection::open(database, Access::ReadWrite, PATIENCE).unwrap();
    let answer = connection.scalar(sql).unwrap();
    connection.close();
    match answer {
        SqlValue::Integer(number) => number,
        other => panic!("{other:?}"),
    }
}

fn orders(database: &Path) -> i64 {
    number(database, "SELECT count(*) FROM orders")
}

fn has_paid(database: &Path) -> bool {
    let sql = "SELECT count(*) FROM pragma_table_info('orders') WHERE name = 'paid'";
    number(database, sql) == 1
}

/// The only run that changed something, by the name of its folder.
fn run_id(fixture: &Fixture) -> String {
    let mut runs = fs::read_dir(fixture.path("var/boot/backups")).unwrap();
    let run = runs.next().unwrap().unwrap().file_name();
    run.into_string().unwrap()
}

fn copies(fixture: &Fixture, run: &str, name: &str) -> PathBuf {
    fixture.path(&format!("var/boot/{name}/{run}"))
}

/// As a person does it: the plan, and then exactly that.
fn put_back(fixture: &Fixture, run: &str) {
    let shown = fixture.run(&["backups", "restore", run]);
    shown.says(8, &["var/grace.db", "--apply"]);
    let plan = shown.stdout.split_whitespace().nth(1).unwrap();
    let done = fixture.run(&["backups", "restore", run, "--apply", plan]);
    done.says(0, &["var/grace.db"]);
}

/// A boot that is under way, whose tool waits for the file `go`.
fn begin(fixture: &Fixture) -> Child {
    let mut boot = fixture.child();
    let boot = boot.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = boot.spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !fixture.path("begun").exists() {
        assert!(Instant::now() < deadline, "the tool does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn finish(fixture: &Fixture, child: Child) -> Answer {
    let started = Instant::now();
    fixture.write("go", "");
    let output = child.wait_with_output().unwrap();
    Answer::new(output, started.elapsed())
}

const WAITS: &str = "touch begun; until test -f go -o ! -e begun; do sleep 0.02; done";

#[test]
fn half_a_migration_is_taken_back_byte_for_byte() {
    // It fails; or it says that it did not, and its check does.
    for (ending, said) in [
        ("exit 4", "exit status: 4"),
        ("exit 0", "the check still fails"),
    ] {
        let fixture = shop(HALF, ending);
        let before = fs::read(fixture.database()).unwrap();
        let answer = fixture.boot(&[]);
        answer.says(3, &[said, "its changes were taken back"]);
        assert!(fs::read(fixture.database()).unwrap() == before, "{said}");
        let run = run_id(&fixture);
        let copies = copies(&fixture, &run, "backups");
        assert!(fs::read(copies.join("0-grace.db")).unwrap() == before);
        assert!(
            has_paid(&copies.join("aside-1-grace.db")),
            "its second name"
        );
        let quarantine = fixture.path("var/boot/quarantine");
        assert!(!quarantine.exists(), "it grows with every start");

        tool(&fixture, WHOLE, "touch upgraded");
        fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
        assert!(has_paid(&fixture.database()) && orders(&fixture.database()) == 3);
    }
}

#[test]
fn a_tool_that_takes_long_is_named_while_it_runs() {
    let fixture = shop(WHOLE, "touch upgraded; sleep 2.2");
    let slow = "`./tool upgrade` is still running; it has 30s ...";
    let answer = fixture.boot(&[]);
    answer.says(0, &["[WAIT]", slow, "ran `./tool upgrade`"]);
    assert_eq!(
        answer.stdout.matches("[WAIT]").count(),
        1,
        "{}",
        answer.all()
    );

    fs::remove_file(fixture.path("upgraded")).unwrap();
    tool(&fixture, "SELECT 1", "touch upgraded; sleep 2.2");
    let answer = fixture.run(&["heal", "apply_pending_migrations"]);
    assert!(answer.stderr.contains(slow), "{}", answer.all());
}

#[test]
fn a_tool_that_fails_is_named_with_its_key_and_no_empty_output() {
    let fixture = shop("SELECT 1", "exit 4");
    let (answer, json) = fixture.boot_and_record();
    answer.says(
        3,
        &[
            "`./tool upgrade` failed (exit status: 4) and said nothing",
            "run `./tool upgrade` by hand in the application's folder",
            "`command` under [migrations] in boot.toml",
        ],
    );
    let problem = &step(&json, "preflight::schema_version")["problems"][0];
    assert!(
        problem["evidence"].to_string().find("output").is_none(),
        "{problem:#}"
    );

    fixture.write(
        "boot.toml",
        SHOP.replace("\"./tool\", \"check\"", "\"./nowhere\""),
    );
    let nowhere = fixture.boot(&[]);
    nowhere.says(
        1,
        &[
            "cannot run `./nowhere`",
            "let `check` under [migrations] in boot.toml name",
        ],
    );
    fixture.write(
        "boot.toml",
        SHOP.replace("\"./tool\", \"upgrade\"", "\"./nowhere\""),
    );
    let nowhere = fixture.boot(&[]);
    nowhere.says(
        1,
        &[
            "cannot run `./nowhere`",
            "let `command` under [migrations] in boot.toml name",
        ],
    );
}

#[test]
fn what_a_tool_made_in_vain_where_nothing_was_makes_room() {
    let fixture = shop("CREATE TABLE orders (id)", "exit 4");
    fs::remove_file(fixture.database()).unwrap();
    let answer = fixture.boot(&[]);
    answer.says(3, &["its changes were taken back"]);
    assert!(!fixture.database().exists());
    tool(&fixture, "CREATE TABLE orders (id)", "touch upgraded");
    fixture
        .boot(&[])
        .says(0, &["created database var/grace.db"]);
}

#[test]
fn a_database_that_a_tool_removed_in_vain_is_put_back_with_its_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = shop("SELECT 1", "rm var/grace.db; exit 4");
    fs::set_permissions(fixture.database(), fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read(fixture.database()).unwrap();
    let answer = fixture.boot(&[]);
    answer.says(3, &["its changes were taken back"]);
    assert!(fs::read(fixture.database()).unwrap() == before);
    let mode = fs::metadata(fixture.database()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o640);
}

/// Permissions, user and group.
fn whose(path: &Path) -> (u32, u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).unwrap();
    (metadata.mode() & 0o777, metadata.uid(), metadata.gid())
}

#[test]
fn permissions_that_a_tool_changed_in_vain_are_those_from_before() {
    use std::os::unix::fs::PermissionsExt;
    for (sql, script) in [
        (HALF, "chmod 444 var/grace.db"),
        ("SELECT 1", "chmod 444 var/grace.db"),
        (
            HALF,
            "cp var/grace.db new; chmod 600 new; mv new var/grace.db",
        ),
    ] {
        let fixture = shop(sql, &format!("{script}; exit 4"));
        fs::set_permissions(fixture.database(), fs::Permissions::from_mode(0o640)).unwrap();
        let answer = fixture.boot(&[]);
        answer.says(3, &["its changes were taken back"]);
        assert_eq!(whose(&fixture.database()).0, 0o640, "{sql}: {script}");
    }
    // A person's word.
    let fixture = shop(WHOLE, "chmod 444 var/grace.db; touch upgraded");
    fs::set_permissions(fixture.database(), fs::Permissions::from_mode(0o640)).unwrap();
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    fixture
        .run(&["undo", &run_id(&fixture)])
        .says(0, &["restored var/grace.db"]);
    assert_eq!(whose(&fixture.database()).0, 0o640);
}

#[test]
fn a_database_that_a_tool_made_its_own_in_vain_is_its_owners_again() {
    for script in [
        "cp var/grace.db new; mv new var/grace.db",
        "chown 0:0 var/grace.db",
        "rm var/grace.db",
    ] {
        let fixture = shop("SELECT 1", &format!("{script}; exit 4"));
        let database = fixture.database();
        if std::os::unix::fs::chown(&database, Some(12_345), Some(12_346)).is_err() {
            eprintln!("skipped: only root gives files away");
            return;
        }
        let before = whose(&database);
        let answer = fixture.boot(&[]);
        answer.says(3, &["its changes were taken back"]);
        assert_eq!(whose(&database), before, "{script}");
    }
}

#[test]
fn an_undo_gives_a_database_back_to_its_owner() {
    let script = "cp var/grace.db new; mv new var/grace.db; touch upgraded";
    let fixture = shop(WHOLE, script);
    let database = fixture.database();
    if std::os::unix::fs::chown(&database, Some(12_345), Some(12_346)).is_err() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    let before = whose(&database);
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    assert_ne!(whose(&database), before);
    let undone = fixture.run(&["undo", &run_id(&fixture)]);
    undone.says(0, &["restored var/grace.db"]);
    assert_eq!(whose(&database), before);
}

#[test]
fn a_database_with_a_persistent_journal_is_undone_and_its_copy_put_back() {
    let fixture = shop(WHOLE, "touch upgraded");
    let persistent = "PRAGMA journal_mode = PERSIST; UPDATE orders SET note = 'new'";
    fixture.sql(persistent);
    assert!(fixture.path("var/grace.db-journal").exists());
    let before = fs::read(fixture.database()).unwrap();
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    let run = run_id(&fixture);
    fixture
        .run(&["backups", "verify"])
        .says(0, &["var/grace.db"]);
    put_back(&fixture, &run);
    assert!(fs::read(fixture.database()).unwrap() == before);
    assert_eq!(orders(&fixture.database()), 3);
}

#[test]
fn what_somebody_committed_while_the_tool_ran_is_not_taken_back() {
    let fixture = shop(HALF, &format!("{WAITS}; exit 4"));
    let before = fs::read(fixture.database()).unwrap();
    let child = begin(&fixture);
    run_sql(
        &fixture.database(),
        "INSERT INTO orders (note) VALUES ('four')",
    );
    let answer = finish(&fixture, child);
    let run = run_id(&fixture);
    let (copy, undo) = (
        format!("is kept in var/boot/backups/{run}/0-grace.db"),
        format!("`cargo xtask undo {run} --root "),
    );
    let words = [
        "NOT taken back",
        "rows of orders are not those from before",
        &copy,
        &undo,
    ];
    answer.says(3, &words);
    assert_eq!(orders(&fixture.database()), 4);

    // A person's word: all of it goes, and the row is under a second name.
    fixture
        .run(&["backups", "verify"])
        .says(0, &["var/grace.db"]);
    fixture
        .run(&["undo", &run])
        .says(0, &["restored var/grace.db; what was there, rows of others included, is kept as var/boot/quarantine/"]);
    assert!(fs::read(fixture.database()).unwrap() == before);
    let aside = copies(&fixture, &run, "quarantine").join("aside-1-grace.db");
    assert_eq!(orders(&aside), 4);
}

#[test]
fn a_database_that_somebody_has_open_is_not_taken_back() {
    let fixture = shop(HALF, "exit 4");
    let mut theirs = Connection::open(&fixture.database(), Access::ReadWrite, PATIENCE).unwrap();
    theirs.scalar("SELECT count(*) FROM orders").unwrap();
    let pid = std::process::id();
    let open = format!("process {pid} has it open");
    fixture.boot(&[]).says(3, &["NOT taken back", &open]);
    theirs
        .execute("INSERT INTO orders (note) VALUES ('four')")
        .unwrap();
    theirs.close();
    assert_eq!(orders(&fixture.database()), 4);
}

#[test]
fn what_a_tool_left_running_is_given_a_moment_to_end() {
    let child = "(exec 3< var/grace.db; touch opened; exec sleep 1) > /dev/null 2>&1 &";
    let script = format!("{child} until test -f opened; do sleep 0.02; done; exit 4");
    let fixture = shop(HALF, &script);
    let before = fs::read(fixture.database()).unwrap();
    let answer = fixture.boot(&[]);
    answer.says(3, &["its changes were taken back"]);
    assert!(fs::read(fixture.database()).unwrap() == before);
}

#[test]
fn a_migration_by_a_tool_is_undone_and_its_copy_put_back() {
    let fixture = shop(WHOLE, "touch upgraded");
    let before = fs::read(fixture.database()).unwrap();
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    let run = run_id(&fixture);
    fixture
        .run(&["backups", "list"])
        .says(0, &["var/grace.db", &run]);
    fixture
        .run(&["backups", "verify"])
        .says(0, &["var/grace.db"]);
    for words in ["is taken back", "was taken back before; nothing was done"] {
        fixture.run(&["undo", &run]).says(0, &[words]);
        assert!(fs::read(fixture.database()).unwrap() == before);
    }
    tool(
        &fixture,
        "INSERT INTO orders (note) VALUES ('four')",
        "true",
    );
    fixture.boot(&[]).says(0, &["BOOT PIPELINE SUCCESS"]);
    run_sql(&fixture.database(), "DELETE FROM orders");
    put_back(&fixture, &run);
    assert!(fs::read(fixture.database()).unwrap() == before);
}

#[test]
fn runs_in_vain_drive_out_no_copy_of_one_that_changed_something() {
    let fixture = shop(WHOLE, "touch upgraded");
    let before = fs::read(fixture.database()).unwrap();
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    let run = run_id(&fixture);
    fail_often(&fixture);
    let kept = fs::read_dir(fixture.path("var/boot/backups")).unwrap();
    assert_eq!(kept.count(), 8);
    fixture.run(&["undo", &run]).says(0, &["is taken back"]);
    assert!(fs::read(fixture.database()).unwrap() == before);
}

/// A restart loop.
fn fail_often(fixture: &Fixture) {
    let _ = fs::remove_file(fixture.path("upgraded"));
    tool(fixture, "CREATE TABLE half (x)", "exit 4");
    for _ in 0..10 {
        fixture.boot(&[]).says(3, &["its changes were taken back"]);
    }
}

#[test]
fn runs_in_vain_do_not_fill_the_disk_of_the_database() {
    let device = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|metadata| metadata.dev())
    };
    let fixture = shop("SELECT 1", "true");
    let memory = Path::new("/dev/shm");
    if device(memory).is_none() || device(memory) == device(&fixture.path("")) {
        eprintln!("skipped: there is no other file system");
        return;
    }
    let elsewhere = tempfile::tempdir_in(memory).unwrap();
    fs::create_dir_all(fixture.path("var/boot")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), fixture.path("var/boot/backups")).unwrap();
    fail_often(&fixture);
    let names = fs::read_dir(fixture.path("var")).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    let aside = names.filter(|name| name.starts_with(".grace.db.aside-"));
    assert_eq!(aside.count(), 8);
}

#[test]
fn a_copy_that_made_room_is_not_called_damaged() {
    let fixture = shop(WHOLE, "touch upgraded");
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    let run = run_id(&fixture);
    let copies = copies(&fixture, &run, "backups");
    let main = copies.join("0-grace.db");
    let undo = || fixture.run(&["undo", &run]);
    fs::remove_file(main).unwrap();
    undo().says(8, &["nothing was touched", "is missing or damaged"]);
    fs::remove_dir(copies).unwrap();
    undo().says(8, &["nothing was touched", "is no longer kept"]);
}

#[test]
fn a_database_that_a_tool_made_and_that_was_undone_can_be_made_again() {
    let fixture = shop("CREATE TABLE orders (id)", "touch upgraded");
    fs::remove_file(fixture.database()).unwrap();
    for _ in 0..2 {
        fixture
            .boot(&[])
            .says(0, &["created database var/grace.db"]);
        let run = fixture.records().pop().unwrap();
        let run = run
            .strip_prefix("boot_")
            .unwrap()
            .strip_suffix(".json")
            .unwrap();
        fixture
            .run(&["undo", run])
            .says(0, &["set aside var/grace.db"]);
        assert!(!fixture.database().exists());
    }
}

/// Whoever looks next folds it in, which is no change by anybody.
#[test]
fn a_log_that_the_tool_left_is_its_own() {
    let fixture = shop(WHOLE, "true");
    fixture.sql("PRAGMA journal_mode = WAL");
    let script = fs::read_to_string(fixture.path("tool")).unwrap();
    let dies = script.replace("TOOL_DATABASE=", "TOOL_DIES=1 TOOL_DATABASE=");
    let dies = dies.replace("|| exit 9", "2>&1; touch upgraded");
    fixture.write("tool", dies);
    let before = fs::read(fixture.database()).unwrap();
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    assert!(has_paid(&fixture.database()));
    fixture
        .run(&["undo", &run_id(&fixture)])
        .says(0, &["restored var/grace.db"]);
    assert!(fs::read(fixture.database()).unwrap() == before);
}

#[test]
fn what_was_written_since_a_tool_ran_is_not_undone() {
    let fixture = shop(WHOLE, "touch upgraded");
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    run_sql(
        &fixture.database(),
        "INSERT INTO orders (note) VALUES ('four')",
    );
    let undone = fixture.run(&["undo", &run_id(&fixture)]);
    undone.says(8, &["nothing was touched", "changed since"]);
    assert!(!undone.stderr.contains("next:"), "{}", undone.all());
    assert_eq!(orders(&fixture.database()), 4);
}

/// A link in the place of the database is not what a copy of a file can take the place of.
#[test]
fn a_database_that_a_tool_moved_and_linked_is_left_to_a_person() {
    let moves = "mv var/grace.db moved.db; ln -s ../moved.db var/grace.db";
    let is_linked = |fixture: &Fixture| {
        fs::read_link(fixture.database()).is_ok() && has_paid(&fixture.database())
    };
    for (script, code, says) in [
        ("exit 4", 3, "puts it back when it is again where it was"),
        ("touch upgraded", 0, "ran `./tool upgrade`"),
    ] {
        let fixture = shop(WHOLE, &format!("{moves}; {script}"));
        let before = fs::read(fixture.database()).unwrap();
        fixture.boot(&[]).says(code, &[says]);
        assert!(is_linked(&fixture));
        let run = run_id(&fixture);
        let moved = "it is moved.db by now, and was var/grace.db";
        fixture
            .run(&["undo", &run])
            .says(8, &["nothing was touched", moved]);
        assert!(is_linked(&fixture));
        fs::rename(fixture.path("moved.db"), fixture.database()).unwrap();
        fixture
            .run(&["undo", &run])
            .says(0, &["restored var/grace.db"]);
        assert!(fs::read(fixture.database()).unwrap() == before);
    }
}

#[test]
fn what_a_killed_program_left_is_settled_by_a_boot_before_an_undo() {
    let fixture = shop(WHOLE, "touch upgraded");
    let before = fs::read(fixture.database()).unwrap();
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    let run = run_id(&fixture);
    let half = "PRAGMA cache_size = 5; BEGIN;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
        INSERT INTO orders (note) SELECT hex(zeroblob(1000)) FROM n";
    let killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "plays_the_tool", "--ignored"])
        .envs([("TOOL_SQL", half), ("TOOL_DIES", "1")])
        .env("TOOL_DATABASE", fixture.database())
        .output()
        .unwrap();
    assert!(!killed.status.success());
    let journal = fs::metadata(fixture.path("var/grace.db-journal")).unwrap();
    assert!(journal.len() > 0);

    let next = "var/grace.db-journal; then undo again";
    let refused = fixture.run(&["undo", &run]);
    refused.says(
        8,
        &[
            "nothing was touched",
            "changed since",
            "`cargo xtask boot --root",
            next,
        ],
    );
    fixture.boot(&[]).says(0, &["BOOT PIPELINE SUCCESS"]);
    fixture
        .run(&["undo", &run])
        .says(0, &["restored var/grace.db"]);
    assert!(fs::read(fixture.database()).unwrap() == before);
}

#[test]
fn the_copy_holds_what_is_in_a_log_that_is_in_use() {
    let fixture = shop(WHOLE, "touch upgraded");
    let mut theirs = Connection::open(&fixture.database(), Access::ReadWrite, PATIENCE).unwrap();
    theirs
        .execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        .unwrap();
    theirs
        .execute("INSERT INTO orders (note) VALUES ('four')")
        .unwrap();
    fixture.boot(&[]).says(0, &["ran `./tool upgrade`"]);
    theirs.close();
    assert_eq!(orders(&fixture.database()), 4);
    let copies = copies(&fixture, &run_id(&fixture), "backups");
    assert!(copies.join("0-grace.db-wal").exists());
    assert_eq!(orders(&copies.join("0-grace.db")), 4);
}

/// The copy has a log of its own, which is not folded in by comparing the two.
#[test]
fn half_a_migration_beside_a_log_is_taken_back_with_the_log() {
    let fixture = shop(HALF, &format!("{WAITS}; exit 4"));
    let mut theirs = Connection::open(&fixture.database(), Access::ReadWrite, PATIENCE).unwrap();
    theirs
        .execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        .unwrap();
    theirs
        .execute("INSERT INTO orders (note) VALUES ('four')")
        .unwrap();
    let child = begin(&fixture);
    theirs.close();
    let answer = finish(&fixture, child);
    answer.says(3, &["its changes were taken back"]);
    let verified = fixture.run(&["backups", "verify"]);
    verified.says(0, &["var/grace.db"]);
    assert!(fixture.path("var/grace.db-wal").exists());
    assert_eq!(orders(&fixture.database()), 4);
    assert!(!has_paid(&fixture.database()));
}

#[test]
fn without_room_for_the_copy_the_tool_does_not_run() {
    let fixture = shop(WHOLE, "touch upgraded");
    // A hole behind the last page: more than any disk has free.
    let database = fs::File::options()
        .write(true)
        .open(fixture.database())
        .unwrap();
    database.set_len(8 << 40).unwrap();
    let answer = fixture.boot(&[]);
    answer.says(
        1,
        &["changed nothing", "a backup needs 8796093022208 bytes"],
    );
    assert!(!fixture.path("upgraded").exists() && !has_paid(&fixture.database()));
}

#[test]
fn without_a_database_beside_its_log_the_tool_does_not_run() {
    let fixture = shop(WHOLE, "touch upgraded");
    fs::rename(fixture.database(), fixture.path("var/grace.db-wal")).unwrap();
    let (_, json) = {
        let answer = fixture.run(&["heal", "apply_pending_migrations", "--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        (answer.code, json)
    };
    assert!(
        json.to_string()
            .contains("no database that a copy could be kept of"),
        "{json:#}"
    );
    assert!(!fixture.path("upgraded").exists() && fixture.path("var/grace.db-wal").exists());
}

/// It was stopped with its group, and has left that.
#[test]
fn what_a_command_did_that_goes_on_after_its_time_is_not_taken_back() {
    let script = "setsid sh -c 'touch begun; until test -f go -o ! -e begun; do sleep 0.02; done' & sleep 60";
    let fixture = shop(HALF, script);
    fixture.write(
        "boot.toml",
        SHOP.replace("timeout_seconds = 30", "timeout_seconds = 1"),
    );
    let answer = fixture.boot(&[]);
    let words = "the migration command of another run is still under way";
    answer.says(3, &["did not end within 1s", words]);
    assert!(fixture.path("begun").exists() && has_paid(&fixture.database()));
    fixture.write("go", "");
}

#[test]
fn no_command_is_run_on_a_damaged_database() {
    let fixture = shop(WHOLE, "touch upgraded");
    fixture.sql(
        "CREATE TABLE many (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         INSERT INTO many SELECT hex(randomblob(20)) FROM n",
    );
    let mut database = fs::read(fixture.database()).unwrap();
    let mut pages = database.chunks_exact_mut(4096).skip(1);
    pages.rfind(|page| page[0] == 0x0d).unwrap().fill(0xee);
    fs::write(fixture.database(), &database).unwrap();
    let heal = ["heal", "apply_pending_migrations"];
    let skip = ["boot", "--skip", "preflight::database_intact"];
    for arguments in [&heal[..], &skip[..]] {
        let answer = fixture.run(arguments);
        assert_ne!(answer.code, 0, "{}", answer.all());
        assert!(!fixture.path("upgraded").exists(), "{}", answer.all());
        assert!(fs::read(fixture.database()).unwrap() == database);
    }
}

#[test]
fn a_database_that_vanished_after_a_killed_boot_is_no_empty_start() {
    let fixture = shop(WHOLE, WAITS);
    let mut child = begin(&fixture);
    child.kill().unwrap();
    child.wait().unwrap();
    fixture.write("go", "");
    let mark = fs::File::open(fixture.path("var/boot/tool")).unwrap();
    mark.lock().unwrap();
    fs::remove_file(fixture.database()).unwrap();
    let words = "var/grace.db was there at an earlier boot and is gone";
    fixture.boot(&[]).says(1, &[words]);
    assert!(!fixture.database().exists());
}

#[test]
fn a_gate_that_is_killed_while_the_tool_runs_loses_nothing() {
    for (sql, ending) in [(HALF, "exit 4"), (WHOLE, "touch upgraded")] {
        let fixture = shop(sql, &format!("{WAITS}; {ending}"));
        let before = fs::read(fixture.database()).unwrap();
        let mut child = begin(&fixture);
        child.kill().unwrap();
        child.wait().unwrap();
        run_sql(
            &fixture.database(),
            "INSERT INTO orders (note) VALUES ('four')",
        );
        let run = run_id(&fixture);
        let copy = copies(&fixture, &run, "backups").join("0-grace.db");
        assert!(fs::read(copy).unwrap() == before);
        let words = "the migration command of another run is still under way, pid";
        fixture
            .run(&["undo", &run])
            .says(1, &["nothing was touched", words]);
        fixture
            .run(&["backups", "verify"])
            .says(0, &["var/grace.db"]);
        let shown = fixture.run(&["backups", "restore", &run]);
        let plan = shown.stdout.split_whitespace().nth(1).unwrap();
        let restore = ["backups", "restore", &run, "--apply", plan];
        fixture.run(&restore).says(1, &[words]);

        // The command goes on without its gate, and no other one runs beside it.
        let refused = fixture.boot(&[]);
        refused.says(1, &[words, "let that migration command finish, or end it"]);
        assert!(!refused.stdout.contains("by hand"), "{}", refused.stdout);
        fixture.write("go", "");
        let mark = fs::File::open(fixture.path("var/boot/tool")).unwrap();
        mark.lock().unwrap();
        drop(mark);
        // Whose the rows are cannot be told any more.
        fixture
            .run(&["undo", &run])
            .says(8, &["nothing was touched", "is not certain"]);
        tool(
            &fixture,
            "DROP TABLE IF EXISTS _alembic_tmp_orders",
            "touch upgraded",
        );
        fixture.boot(&[]).says(0, &["BOOT PIPELINE SUCCESS"]);
        assert_eq!(orders(&fixture.database()), 4);
        assert!(has_paid(&fixture.database()));
        put_back(&fixture, &run);
        assert!(fs::read(fixture.database()).unwrap() == before);
    }
}

/// Each with a gate and a lock of its own.
#[test]
fn applications_that_share_a_database_take_turns_with_their_tools() {
    let first = shop(WHOLE, &format!("{WAITS}; touch upgraded"));
    let second = Fixture::empty();
    let place = format!("sqlite:///{}", first.database().display());
    let config = SHOP.replace("sqlite:///./var/grace.db", &place);
    second.write("boot.toml", &config);
    // Run beside the other one, or behind it, it would fail.
    let upgraded = first.path("upgraded");
    let upgraded = upgraded.display();
    let body = format!("test \"$1\" = check || {{ touch ran; exit 4; }}; test -f '{upgraded}'");
    second.script("tool", &body);
    let child = begin(&first);
    let mut other = second.child();
    let mut other = other
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = other.stdout.take().unwrap();
    while !said.contains("locked by the migration command of another application's gate") {
        let mut byte = [0];
        assert!(
            stdout.read(&mut byte).unwrap() > 0,
            "it does not wait: {said}"
        );
        let is_gap = byte[0].is_ascii_whitespace();
        if !(is_gap && said.ends_with(' ')) {
            said.push(if is_gap { ' ' } else { byte[0].into() });
        }
    }
    finish(&first, child).says(0, &["ran `./tool upgrade`"]);
    stdout.read_to_string(&mut said).unwrap();
    let ended = other.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{said}");
    assert!(
        said.contains("apply_pending_migrations did nothing"),
        "{said}"
    );
    assert!(
        !second.path("ran").exists(),
        "it ran behind the other one: {said}"
    );
    assert!(has_paid(&first.database()) && orders(&first.database()) == 3);
}

/// Where no turn can be waited for, or the other one was just done.
#[test]
fn a_tool_that_fails_because_all_is_done_is_no_failure() {
    let fixture = shop("SELECT 1", "touch upgraded; exit 4");
    let answer = fixture.boot(&[]);
    answer.says(0, &["note:", "failed (exit status: 4)"]);
    // Not where it is not: then it is a failure, and is run once.
    let fixture = shop("SELECT 1", "echo run >> runs; exit 4");
    fixture.boot(&[]).says(3, &["failed (exit status: 4)"]);
    assert_eq!(fixture.read("runs"), "run\n");
    // It did something, which was taken back: that the check passes is not because all is done.
    let fixture = shop(HALF, "touch upgraded; exit 4");
    let answer = fixture.boot(&[]);
    answer.says(3, &["its changes were taken back"]);
}

/// Nothing was ever committed into it, and no boot could make another one beside it.
#[test]
fn a_database_whose_tool_was_killed_before_its_first_commit_can_be_made_again() {
    let spilled = "PRAGMA cache_size = 2; BEGIN; CREATE TABLE a (x);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO a SELECT randomblob(2000) FROM n";
    for sql in [
        "BEGIN IMMEDIATE; CREATE TABLE a (x)",
        "BEGIN EXCLUSIVE",
        spilled,
    ] {
        for is_gate_killed in [true, false] {
            let fixture = Fixture::empty();
            fixture.write("boot.toml", SHOP);
            let (program, database) = (std::env::current_exe().unwrap(), fixture.database());
            let end = if is_gate_killed {
                "kill -9 $PPID"
            } else {
                "exit 4"
            };
            let body = format!(
                "if [ \"$1\" = check ]; then test -f upgraded; exit $?; fi
                 TOOL_DIES=1 TOOL_DATABASE='{}' TOOL_SQL=\"{sql}\" '{}' --exact plays_the_tool --ignored > /dev/null 2>&1
                 {end}",
                database.display(),
                program.display()
            );
            fixture.script("tool", &body);
            let failed = fixture.child().output().unwrap();
            assert_eq!(failed.status.code().is_none(), is_gate_killed, "{failed:?}");
            assert!(!is_gate_killed || database.exists(), "it made nothing");
            tool(&fixture, BEFORE, "touch upgraded");
            let again = fixture.boot(&[]);
            again.says(0, &["created database"]);
            assert_eq!(orders(&database), 3, "{sql}: {}", again.all());
        }
    }
}
