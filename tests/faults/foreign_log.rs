//! An older copy of the main file is put over the database by hand, beside a newer hot log. SQLite takes
//! the log for that file's own and replays it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use boot_checks::services::db::Connection;

use crate::boots::{Boot, boot, run};
use crate::corruption::Numbers;
use crate::holders::{Other, bytes};
use crate::instants::everything;
use crate::leftovers::crash_with_a_hot_journal;
use crate::sandbox::{Journal, Sandbox, Start};

/// What is done to the database between the old copy and the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Rows are added.
    Inserts,
    /// Rows are overwritten by as many bytes: no page is made, none is freed.
    UpdatesInPlace,
    /// Rows are added, changed and deleted, of a table with an index.
    Mixed,
    /// As `Mixed`, and every program went away and came back in between.
    MixedWithRestarts,
    /// Tables and indexes are made and dropped too.
    Schema,
    /// Nothing was moved out of the log since the copy: the two do belong together.
    SameLog,
    /// A copy that the gate itself kept.
    KeptCopy,
}

const SHAPES: [Shape; 7] = [
    Shape::Inserts,
    Shape::UpdatesInPlace,
    Shape::Mixed,
    Shape::MixedWithRestarts,
    Shape::Schema,
    Shape::SameLog,
    Shape::KeptCopy,
];

/// Every row of the tables that a boot does not write.
fn contents(connection: &mut Connection) -> String {
    let notes = "SELECT id, body, extra FROM notes";
    match connection.query(notes, &[]) {
        Ok(rows) => format!("{rows:?}"),
        Err(error) => format!("{error}"),
    }
}

fn statement(shape: Shape, numbers: &mut Numbers, at: usize) -> String {
    let id = 1 + numbers.below(1000);
    let insert = format!(
        "INSERT INTO notes (body, extra) VALUES ('since {at}', zeroblob({}))",
        200 + numbers.below(900)
    );
    let in_place = format!("UPDATE notes SET extra = randomblob(length(extra)) WHERE id = {id}");
    match (shape, numbers.below(6)) {
        (Shape::Inserts, _) => insert,
        (Shape::UpdatesInPlace, _) => in_place,
        (Shape::Schema, 0) => {
            format!("CREATE TABLE made_{at} (x UNIQUE); INSERT INTO made_{at} VALUES ({at})")
        }
        (Shape::Schema, 1) => format!(
            "CREATE INDEX IF NOT EXISTS later_{} ON notes (length(body))",
            at % 3
        ),
        (_, 0 | 1) => insert,
        (_, 2) => format!("DELETE FROM notes WHERE id BETWEEN {id} AND {id} + 3"),
        (_, 3) => format!("UPDATE notes SET body = 'changed {at}' WHERE id = {id}"),
        _ => in_place,
    }
}

/// How the old file is put there.
fn is_in_place(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

struct Crashed {
    sandbox: Sandbox,
    /// What every commit left, from the old copy on.
    committed: BTreeSet<String>,
    old: Vec<u8>,
    log: Vec<u8>,
}

impl Crashed {
    /// By hand: over the file that is there, or in its place.
    fn put_the_old_one(&self, seed: u64) {
        let database = self.sandbox.database();
        if is_in_place(seed) {
            std::fs::write(&database, &self.old).unwrap();
        } else {
            let beside = self.sandbox.root().join("old.db");
            std::fs::write(&beside, &self.old).unwrap();
            std::fs::rename(beside, database).unwrap();
        }
    }

    /// The log was last written a tenth of a second ago.
    fn crash_now(&self) {
        let log = self.sandbox.side("-wal");
        std::fs::write(&log, &self.log).unwrap();
        let log = std::fs::File::options().write(true).open(log).unwrap();
        let ago = std::time::SystemTime::now() - Duration::from_millis(100);
        log.set_modified(ago).unwrap();
    }

    fn is_kept(&self) -> bool {
        let is = |suffix, bytes: &Vec<u8>| {
            std::fs::read(self.sandbox.side(suffix)).is_ok_and(|there| there == *bytes)
        };
        is("", &self.old) && is("-wal", &self.log)
    }
}

fn crash(template: &Sandbox, shape: Shape, seed: u64) -> Crashed {
    let sandbox = template.copy();
    let mut numbers = Numbers::new(seed + 1);
    let read = |suffix| std::fs::read(sandbox.side(suffix)).unwrap_or_default();
    let mut connection = sandbox.open();
    let checkpoint = match shape {
        Shape::SameLog => 0,
        _ => 4 + numbers.below(12),
    };
    let setup = format!("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = {checkpoint}");
    connection.execute(&setup).unwrap();
    let (mut committed, mut old) = (BTreeSet::new(), Vec::new());
    let (before, after) = (numbers.below(8), 6 + numbers.below(30));
    for at in 0..before + after {
        if at == before {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            connection.query(sql, &[]).unwrap();
            old = read("");
            committed.insert(contents(&mut connection));
        }
        if shape == Shape::MixedWithRestarts && numbers.below(4) == 0 {
            connection.close();
            connection = sandbox.open();
            connection.execute(&setup).unwrap();
        }
        let statement = statement(shape, &mut numbers, at);
        connection.execute(&statement).unwrap();
        if at >= before {
            committed.insert(contents(&mut connection));
        }
    }
    if shape == Shape::KeptCopy {
        old = kept_copy(template);
    }
    let (main, log) = (read(""), read("-wal"));
    connection.close();
    std::fs::write(sandbox.database(), main).unwrap();
    std::fs::write(sandbox.side("-wal"), &log).unwrap();
    Crashed {
        sandbox,
        committed,
        old,
        log,
    }
}

/// The newest copy of the database that the gate has kept.
fn kept_copy(template: &Sandbox) -> Vec<u8> {
    let is_copy =
        |name: &&String| name.starts_with("var/boot/backups") && name.ends_with("grace.db");
    let names = template.names();
    let newest = names.iter().rfind(is_copy).unwrap();
    std::fs::read(template.root().join(newest)).unwrap()
}

/// An application with an index, whose gate has kept a copy.
fn template() -> Sandbox {
    let template = Sandbox::prepared(Start::Legacy(Journal::Delete));
    let healed = boot(template.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let mut connection = template.open();
    let index = "CREATE INDEX notes_body ON notes (body)";
    connection.execute(index).unwrap();
    connection.close();
    template
}

/// What came of the boots.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    committed: usize,
    mixed: usize,
    /// Of those, where the old file was written over the one that was there.
    touched: usize,
}

impl Tally {
    fn add(&mut self, crashed: &Crashed, booted: &Boot) {
        if booted.code != Some(0) {
            let is_named =
                [1, 8].map(Some).contains(&booted.code) && booted.text().contains("[FAIL]");
            let is_kept = crashed.is_kept() && is_named;
            *(if is_kept {
                &mut self.refused
            } else {
                &mut self.touched
            }) += 1;
            return;
        }
        let mut connection = crashed.sandbox.open();
        let is_committed = crashed.committed.contains(&contents(&mut connection));
        connection.close();
        *(if is_committed {
            &mut self.committed
        } else {
            &mut self.mixed
        }) += 1;
    }
}

fn seeds() -> u64 {
    if everything() { 20 } else { 2 }
}

/// Puts the old files over the databases, long after the logs were made and long or right after they were last
/// written, and boots.
fn put_and_boot(is_right_after: bool) -> Vec<(Shape, Tally)> {
    let template = template();
    let crashes = SHAPES.map(|shape| {
        (
            shape,
            (0..seeds())
                .map(|seed| crash(&template, shape, seed))
                .collect::<Vec<_>>(),
        )
    });
    // The rule is about the system's times, which nothing but time changes.
    std::thread::sleep(LATER);
    let tallies = crashes.map(|(shape, crashes)| {
        let mut tally = Tally::default();
        for (crashed, seed) in crashes.iter().zip(0..) {
            if is_right_after {
                crashed.crash_now();
            }
            crashed.put_the_old_one(seed);
            tally.add(crashed, &boot(crashed.sandbox.root()));
        }
        let after = if is_right_after { "0.1 s" } else { "2.5 s" };
        println!("| an older main file {after} after the crash | {shape:?} | {tally:?} |");
        (shape, tally)
    });
    tallies.into()
}

#[test]
fn an_older_main_file_that_is_put_beside_a_newer_log_is_refused() {
    for (shape, tally) in put_and_boot(false) {
        assert_eq!(tally.mixed + tally.touched, 0, "{shape:?}: {tally:?}");
    }
}

/// As a script does it: the log's last write, the process's end and the old file within a few milliseconds.
#[test]
fn at_once_beside_a_log_that_is_new_it_is_refused_too() {
    let template = template();
    for shape in SHAPES {
        let mut tally = Tally::default();
        for seed in 0..2 * seeds() {
            let crashed = crash(&template, shape, seed);
            wait_for_a_tick(&crashed.sandbox);
            crashed.put_the_old_one(seed);
            tally.add(&crashed, &boot(crashed.sandbox.root()));
        }
        println!("| an older main file at once after the crash | {shape:?} | {tally:?} |");
        assert_eq!(tally.mixed + tally.touched, 0, "{shape:?}: {tally:?}");
    }
}

/// Until the system's clock gives another time than that of the log's last write.
fn wait_for_a_tick(sandbox: &Sandbox) {
    let modified = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let (log, probe) = (sandbox.side("-wal"), sandbox.root().join("tick"));
    loop {
        std::fs::write(&probe, "").unwrap();
        if modified(&probe) > modified(&log) {
            break;
        }
    }
    std::fs::remove_file(probe).unwrap();
}

/// A copy that was kept by hand has its own times, and takes them along.
#[test]
fn an_older_file_that_is_moved_there_at_once_is_refused_too() {
    let template = template();
    for seed in 0..seeds() {
        let crashed = crash(&template, Shape::UpdatesInPlace, seed);
        let beside = crashed.sandbox.root().join("kept-by-hand.db");
        std::fs::write(&beside, &crashed.old).unwrap();
        std::thread::sleep(TICK);
        std::fs::write(crashed.sandbox.side("-wal"), &crashed.log).unwrap();
        wait_for_a_tick(&crashed.sandbox);
        std::fs::rename(&beside, crashed.sandbox.database()).unwrap();
        let refused = boot(crashed.sandbox.root());
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(crashed.is_kept());
    }
}

/// More than a tick of the system's clock.
const TICK: Duration = Duration::from_millis(50);

/// A set that was copied with its times, in whatever order, is one.
#[test]
fn a_copy_of_both_with_their_times_is_no_mixture() {
    let template = template();
    for order in [["", "-wal"], ["-wal", ""]] {
        let crashed = crash(&template, Shape::SameLog, 3);
        let folder = crashed.sandbox.root().join("var");
        let aside = crashed.sandbox.root().join("aside");
        std::thread::sleep(TICK);
        std::fs::create_dir(&aside).unwrap();
        for from_to in [[&folder, &aside], [&aside, &folder]] {
            for suffix in order {
                let [from, to] = from_to.map(|folder| folder.join(format!("grace.db{suffix}")));
                let _ = std::fs::remove_file(&to);
                run(Command::new("cp").arg("-p").arg(from).arg(to));
            }
        }
        std::fs::remove_dir_all(folder.join("boot")).unwrap();
        let booted = boot(crashed.sandbox.root());
        assert_eq!(booted.code, Some(0), "{order:?}: {}", booted.text());
    }
}

#[test]
fn right_after_the_last_write_to_a_log_that_is_not_new_it_is_refused_too() {
    for (shape, tally) in put_and_boot(true) {
        assert_eq!(tally.mixed + tally.touched, 0, "{shape:?}: {tally:?}");
    }
}

/// Owners and permissions of everything are set anew after a backup was copied there, as entry points of
/// containers do: the time of the last change is the same for both then.
#[test]
fn a_copy_whose_permissions_were_set_with_the_logs_is_refused() {
    let template = template();
    let crashed = crash(&template, Shape::UpdatesInPlace, 1);
    std::thread::sleep(LATER);
    let database = crashed.sandbox.database();
    std::fs::remove_file(&database).unwrap();
    std::fs::write(&database, &crashed.old).unwrap();
    set_permissions_of_both(&crashed);
    let refused = boot(crashed.sandbox.root());
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    assert!(crashed.is_kept());
}

/// An older file is moved there, of which only the owner, set with the log's, was changed since.
#[test]
fn a_copy_that_was_moved_there_and_whose_permissions_were_set_with_the_logs_is_refused() {
    let template = template();
    let crashed = crash(&template, Shape::UpdatesInPlace, 1);
    // What is remembered of the main file is remembered in its own folder, by a boot that ended well.
    let booted = boot(crashed.sandbox.root());
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    let beside = crashed.sandbox.root().join("kept-by-hand.db");
    std::fs::write(&beside, &crashed.old).unwrap();
    std::fs::write(crashed.sandbox.side("-wal"), &crashed.log).unwrap();
    std::fs::rename(&beside, crashed.sandbox.database()).unwrap();
    set_permissions_of_both(&crashed);
    // Also after boots that were red, for this or for another reason, and after one that healed.
    std::fs::remove_dir_all(crashed.sandbox.root().join("logs")).unwrap();
    for _ in 0..3 {
        let refused = boot(crashed.sandbox.root());
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(refused.text().contains("another file has its place"));
        assert!(crashed.is_kept());
    }
    std::thread::sleep(LATER);
    let log = crashed.sandbox.side("-wal");
    run(Command::new("touch").arg(&log));
    let healed = boot(crashed.sandbox.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
}

/// As the entry point of a container does it, at each start: no other file has the main file's place since the last
/// boot.
#[test]
fn permissions_and_a_new_name_beside_it_make_no_other_file() {
    let template = template();
    for what in [
        "chmod 640 grace.db; echo 1 > app.pid",
        "ln grace.db grace.db.bak",
    ] {
        let sandbox = template.copy();
        assert_eq!(boot(sandbox.root()).code, Some(0));
        let statements = "PRAGMA journal_mode = WAL\nINSERT INTO notes (body) VALUES ('held')";
        Other::start(&sandbox.database(), statements).kill();
        wait_for_a_tick(&sandbox);
        let mut shell = Command::new("sh");
        shell
            .args(["-ce", what])
            .current_dir(sandbox.root().join("var"));
        assert!(shell.status().unwrap().success());
        let booted = boot(sandbox.root());
        assert_eq!(booted.code, Some(0), "{what}: {}", booted.text());
        let mut connection = sandbox.open();
        let held = "SELECT count(*) FROM notes WHERE body = 'held'";
        assert_eq!(connection.scalar(held), Ok(1.into()));
        connection.close();
    }
}

/// An older file is moved there, and then only the log is touched by something that writes nothing into it.
fn moved_there_and_the_log_after_it(what: &[&str]) {
    let template = template();
    let crashed = crash(&template, Shape::UpdatesInPlace, 1);
    let booted = boot(crashed.sandbox.root());
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    // It was there before the log: it is only known as another file.
    let beside = crashed.sandbox.root().join("kept-by-hand.db");
    std::fs::write(&beside, &crashed.old).unwrap();
    std::fs::write(crashed.sandbox.side("-wal"), &crashed.log).unwrap();
    std::fs::rename(&beside, crashed.sandbox.database()).unwrap();
    std::thread::sleep(LATER);
    for command in what {
        let mut shell = Command::new("sh");
        shell
            .args(["-ce", command])
            .current_dir(crashed.sandbox.root().join("var"));
        assert!(shell.status().unwrap().success());
    }
    let refused = boot(crashed.sandbox.root());
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    assert!(refused.text().contains("another file has its place"));
    assert!(crashed.is_kept());
}

#[test]
fn a_log_that_was_moved_copied_linked_or_given_away_was_not_written_to() {
    for what in [
        &["mv grace.db-wal aside", "mv aside grace.db-wal"][..],
        &["cp -p grace.db-wal aside", "mv aside grace.db-wal"],
        &[
            "cp -p grace.db-wal aside",
            "rm grace.db-wal",
            "cp -p aside grace.db-wal",
        ],
        &["ln grace.db-wal aside"],
        &["chmod 660 grace.db-wal"],
    ] {
        moved_there_and_the_log_after_it(what);
    }
}

fn set_permissions_of_both(crashed: &Crashed) {
    for suffix in ["-wal", ""] {
        let file = crashed.sandbox.side(suffix);
        let permissions = std::fs::metadata(&file).unwrap().permissions();
        std::fs::set_permissions(&file, permissions).unwrap();
    }
}

/// A person's word for two files that do belong together, which no copy's times can give.
#[test]
fn touching_the_log_says_that_the_two_belong_together() {
    for seed in [0, 1] {
        touched(seed);
    }
}

fn touched(seed: u64) {
    let template = template();
    let crashed = crash(&template, Shape::SameLog, 3);
    std::thread::sleep(LATER);
    crashed.put_the_old_one(seed);
    let refused = boot(crashed.sandbox.root());
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    assert!(
        refused.text().contains("touch var/grace.db-wal"),
        "{}",
        refused.text()
    );
    // What goes past the boot's first stage may not open it either.
    let mut heal = Command::new(env!("CARGO_BIN_EXE_xtask"));
    heal.env_clear()
        .args(["heal", "register_playbooks", "--root"]);
    let healed = run(heal.arg(crashed.sandbox.root()));
    assert_eq!(healed.code, Some(1), "{}", healed.text());
    assert!(crashed.is_kept());
    let log = std::fs::File::options()
        .write(true)
        .open(crashed.sandbox.side("-wal"));
    log.unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    let booted = boot(crashed.sandbox.root());
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    assert!(
        crashed
            .committed
            .contains(&contents(&mut crashed.sandbox.open()))
    );
}

/// More than the file system's times can be off by.
const LATER: Duration = Duration::from_millis(2500);

/// Programs that write, read and move the log into the main file long after it was last written, and are
/// all killed.
fn checkpointed_later(is_read: bool) {
    let sandbox = template();
    let database = sandbox.database();
    let insert =
        |body: &str| format!("INSERT INTO notes (body, extra) VALUES ('{body}', zeroblob(900))");
    let writes = [
        "PRAGMA journal_mode = WAL",
        "PRAGMA wal_autocheckpoint = 0",
        &insert("first"),
    ];
    let writer = Other::start(&database, &writes.join("\n"));
    // What it reads keeps what comes after it out of the main file.
    let reader = is_read.then(|| Other::start(&database, "BEGIN\nSELECT count(*) FROM notes"));
    let writes = ["PRAGMA wal_autocheckpoint = 0", &insert("second")];
    let second = Other::start(&database, &writes.join("\n"));
    std::thread::sleep(LATER);
    // By one that has the log open already: a program of root's that opens it changes its times.
    second.finish_with("PRAGMA wal_checkpoint(PASSIVE)");
    reader.into_iter().for_each(Other::kill);
    writer.kill();
    let written = |path| std::fs::metadata(path).unwrap().modified().unwrap();
    let later = written(database).duration_since(written(sandbox.side("-wal")));
    assert!(
        later.unwrap() > Duration::from_secs(2),
        "nothing was moved later"
    );
    let booted = boot(sandbox.root());
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    let mut connection = sandbox.open();
    let both = "SELECT count(*) FROM notes WHERE body IN ('first', 'second')";
    assert_eq!(connection.scalar(both), Ok(2.into()));
    connection.close();
}

#[test]
fn a_log_that_was_moved_into_its_main_file_later_is_its_own() {
    checkpointed_later(false);
}

#[test]
fn a_log_of_which_a_part_was_moved_later_is_its_own() {
    checkpointed_later(true);
}

/// SQLite would put the originals of a transaction into a file that was there before others.
#[test]
fn an_older_main_file_beside_a_hot_journal_is_refused() {
    for is_moved in [false, true] {
        let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
        let booted = boot(sandbox.root());
        assert_eq!(booted.code, Some(0), "{}", booted.text());
        let old = std::fs::read(sandbox.database()).unwrap();
        let mut connection = sandbox.open();
        connection
            .execute("UPDATE notes SET body = 'newer ' || id")
            .unwrap();
        connection.close();
        crash_with_a_hot_journal(&sandbox, 300);
        std::thread::sleep(LATER);
        if is_moved {
            let beside = sandbox.root().join("kept-by-hand.db");
            std::fs::write(&beside, &old).unwrap();
            std::fs::rename(beside, sandbox.database()).unwrap();
        } else {
            std::fs::write(sandbox.database(), &old).unwrap();
        }
        let before = bytes(&sandbox);
        let refused = boot(sandbox.root());
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(
            refused.text().contains("does not belong to it"),
            "{}",
            refused.text()
        );
        assert!(before == bytes(&sandbox), "bytes changed");
    }
}
