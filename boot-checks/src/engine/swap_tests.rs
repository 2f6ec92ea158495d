use super::*;
use crate::engine::half_way::may_be;

/// A root, and in it a database with a log that is to be replaced by another with a log.
struct HalfWay {
    folder: tempfile::TempDir,
}

impl HalfWay {
    /// As a run leaves it that is killed before the first step.
    fn new() -> HalfWay {
        let half_way = HalfWay {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(half_way.root("a").join(STATE_FOLDER)).unwrap();
        for (name, contents) in [
            ("x.db", "old"),
            ("x.db-wal", "old log"),
            (".x.db.restoring", "new"),
            (".x.db.restoring-wal", "new log"),
        ] {
            fs::write(half_way.root("a").join(name), contents).unwrap();
        }
        half_way.swap("a").write_down(&half_way.root("a")).unwrap();
        half_way
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn swap(&self, name: &str) -> Swap {
        let root = self.root(name);
        let (database, staged) = (root.join("x.db"), root.join(".x.db.restoring"));
        let state = Kind::DatabaseSet.state(&staged, &mut KeptOpen::default());
        Swap {
            present: main_now(&database, &mut KeptOpen::default()).unwrap(),
            before: Kind::DatabaseSet
                .state(&database, &mut KeptOpen::default())
                .unwrap(),
            target: state.unwrap(),
            is_in_place: false,
            root: None,
            aside: root.join(STATE_FOLDER).join("quarantine/run"),
            database,
            staged,
        }
    }

    fn copy(&self, from: &str, to: &str) {
        let mut copy = std::process::Command::new("cp");
        copy.arg("-a").args([self.root(from), self.root(to)]);
        assert!(copy.status().unwrap().success());
    }

    /// Names and contents below a root.
    fn files(&self, name: &str) -> Vec<(String, String)> {
        let root = self.root(name);
        let mut folders = vec![root.clone()];
        let mut all = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                all.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
        all.sort();
        all
    }

    #[track_caller]
    fn is_new(&self, name: &str) {
        let read = |suffix| fs::read_to_string(side_file(&self.root(name).join("x.db"), suffix));
        assert_eq!(read("").unwrap(), "new", "{name}");
        assert_eq!(read("-wal").unwrap(), "new log", "{name}");
        assert!(!may_be(&self.root(name).join(STATE_FOLDER)), "{name}");
    }
}

#[test]
fn a_copied_and_a_moved_root_are_finished_in_themselves() {
    let half_way = HalfWay::new();
    let before = half_way.files("a");
    half_way.copy("a", "copy");
    assert!(finish(&half_way.root("copy")).unwrap());
    half_way.is_new("copy");
    assert!(half_way.files("a") == before, "the original was touched");
    fs::rename(half_way.root("a"), half_way.root("moved")).unwrap();
    assert!(finish(&half_way.root("moved")).unwrap());
    half_way.is_new("moved");
}

/// What an earlier version wrote down names the root that it was begun below.
#[test]
fn what_was_begun_below_another_root_is_named_and_left() {
    let half_way = HalfWay::new();
    let text = serde_json::to_vec(&half_way.swap("a")).unwrap();
    fs::write(manifest(&half_way.root("a").join(STATE_FOLDER)), text).unwrap();
    half_way.copy("a", "copy");
    let before = (half_way.files("a"), half_way.files("copy"));
    let error = finish(&half_way.root("copy")).unwrap_err().to_string();
    for words in ["copy/var/boot/swap.json", "a/x.db", "move "] {
        assert!(error.contains(words), "{error}");
    }
    let after = (half_way.files("a"), half_way.files("copy"));
    assert!(after == before, "something was touched");
}

/// As a run leaves it that is killed after the main file came, and nobody had the other open.
fn main_came(half_way: &HalfWay) {
    main_was_renamed(half_way, true);
}

fn main_was_renamed(half_way: &HalfWay, is_in_place: bool) {
    let root = half_way.root("a");
    let swap = half_way.swap("a");
    swap.move_away(&root.join("x.db-wal")).unwrap();
    fs::rename(&swap.staged, &swap.database).unwrap();
    let swap = Swap {
        is_in_place,
        ..swap
    };
    swap.write_down(&root).unwrap();
}

/// It has a second name then, and what is written into it is in no other file.
#[test]
fn what_was_written_into_the_file_that_was_there_is_a_persons_decision() {
    for is_written in [false, true] {
        let half_way = HalfWay::new();
        let root = half_way.root("a");
        let swap = half_way.swap("a");
        aside::give_second_name(&swap.database, &swap.aside).unwrap();
        main_was_renamed(&half_way, false);
        fs::remove_file(root.join(".x.db.restoring-wal")).unwrap();
        if is_written {
            fs::write(swap.aside.join("aside-1-x.db"), "committed since").unwrap();
        }
        let before = half_way.files("a");
        let finished = finish(&root);
        assert_eq!(finished.is_err(), is_written, "{finished:?}");
        assert!(!is_written || half_way.files("a") == before, "touched");
    }
}

/// A kill as it was about to make room again: what came has its place, and waits as well.
#[test]
fn what_came_and_waits_too_has_come() {
    let half_way = HalfWay::new();
    let root = half_way.root("a");
    main_was_renamed(&half_way, false);
    fs::copy(root.join("x.db"), root.join(".x.db.restoring")).unwrap();
    finish(&root).unwrap();
    let log = fs::read(root.join("x.db-wal")).unwrap();
    assert_eq!(log, b"new log", "its log is beside it");
}

/// Whoever wrote it may have had the file open that was there.
#[test]
fn a_log_from_as_the_main_file_was_renamed_is_a_persons_decision() {
    for (log, is_known) in [("", true), ("log since", false)] {
        let half_way = HalfWay::new();
        let root = half_way.root("a");
        main_was_renamed(&half_way, false);
        fs::remove_file(root.join(".x.db.restoring-wal")).unwrap();
        fs::write(root.join("x.db-wal"), log).unwrap();
        let before = half_way.files("a");
        match finish(&root) {
            Ok(done) => assert!(done && is_known),
            Err(error) => {
                let error = error.to_string();
                assert!(!is_known && error.contains("swap.json"), "{error}");
                assert!(half_way.files("a") == before, "touched");
            }
        }
    }
}

#[test]
fn a_log_is_not_put_beside_a_main_file_that_changed_since_it_came() {
    let half_way = HalfWay::new();
    main_came(&half_way);
    half_way.copy("a", "log");
    fs::write(half_way.root("a").join("x.db"), "new, and more").unwrap();
    fs::write(half_way.root("log").join("x.db-wal"), "log since").unwrap();
    for name in ["a", "log"] {
        let before = half_way.files(name);
        for _ in 0..2 {
            let error = finish(&half_way.root(name)).unwrap_err().to_string();
            for words in ["x.db changed after", ".x.db.restoring-wal", "move "] {
                assert!(error.contains(words), "{name}: {error}");
            }
            assert!(half_way.files(name) == before, "{name} was touched");
        }
    }
}

#[test]
fn what_was_committed_after_all_came_is_the_databases_own() {
    let half_way = HalfWay::new();
    main_came(&half_way);
    let root = half_way.root("a");
    fs::rename(root.join(".x.db.restoring-wal"), root.join("x.db-wal")).unwrap();
    fs::write(root.join("x.db"), "new, and more").unwrap();
    assert!(finish(&root).unwrap());
    assert_eq!(
        fs::read_to_string(root.join("x.db")).unwrap(),
        "new, and more"
    );
}

/// The log of what is there was moved away already: without what was to come it must come back by hand.
#[test]
fn what_was_to_come_and_is_gone_is_not_taken_for_done() {
    let half_way = HalfWay::new();
    let root = half_way.root("a");
    half_way
        .swap("a")
        .move_away(&root.join("x.db-wal"))
        .unwrap();
    for name in [".x.db.restoring", ".x.db.restoring-wal"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    let error = finish(&root).unwrap_err().to_string();
    assert!(error.contains("quarantine"), "{error}");
    assert!(may_be(&root.join(STATE_FOLDER)));
}

/// What is told of a database that somebody has used after the kill, and of its files.
fn after_somebody(
    prepare: impl Fn(&Path),
    used: impl Fn(&Path),
) -> (Result<bool, String>, Vec<(String, String)>) {
    let half_way = HalfWay::new();
    let root = half_way.root("a");
    prepare(&root);
    half_way.swap("a").write_down(&root).unwrap();
    used(&root);
    let finished = finish(&root).map_err(|error| error.to_string());
    (finished, half_way.files("a"))
}

/// What was to come is to come no more, and nothing of what is there is touched.
#[track_caller]
fn stays(prepare: impl Fn(&Path), used: impl Fn(&Path), log: &str, main: &str) {
    let (finished, files) = after_somebody(prepare, used);
    assert_eq!(finished, Ok(true));
    let expected = [("x.db", main), ("x.db-wal", log)];
    let expected = expected.map(|(name, contents)| (name.to_owned(), contents.to_owned()));
    assert_eq!(files, expected);
}

#[test]
fn what_was_committed_before_anything_came_is_kept() {
    let write = |name: &'static str, contents: &'static str| {
        move |root: &Path| fs::write(root.join(name), contents).unwrap()
    };
    let without_log = |root: &Path| fs::remove_file(root.join("x.db-wal")).unwrap();
    stays(
        without_log,
        write("x.db-wal", "log since"),
        "log since",
        "old",
    );
    stays(
        |_| {},
        write("x.db-wal", "old log, and more"),
        "old log, and more",
        "old",
    );
    stays(
        |_| {},
        write("x.db", "old, and more"),
        "old log",
        "old, and more",
    );
}

#[test]
fn what_was_committed_without_the_log_that_was_moved_away_is_a_persons_decision() {
    for name in ["x.db", "x.db-wal"] {
        let used = |root: &Path| {
            let half_way = manifest(&root.join(STATE_FOLDER));
            let swap: Swap = serde_json::from_slice(&fs::read(half_way).unwrap()).unwrap();
            let swap = swap.with_paths(|path| root.join(path));
            swap.move_away(&root.join("x.db-wal")).unwrap();
            fs::write(root.join(name), "since").unwrap();
        };
        let (finished, files) = after_somebody(|_| {}, used);
        let error = finished.unwrap_err();
        assert!(error.contains("swap.json away"), "{error}");
        let is_there = |contents: &str| files.iter().any(|(_, it)| it == contents);
        assert!(is_there("since") && is_there("old log") && is_there("new log"));
    }
}

#[test]
fn what_waits_and_says_nothing_gives_way_to_the_log_of_what_was_committed() {
    let half_way = HalfWay::new();
    let root = half_way.root("a");
    main_came(&half_way);
    for (name, contents) in [
        (".x.db.restoring-wal", ""),
        (".x.db.restoring-shm", "old index"),
        ("x.db-wal", "log since"),
        ("x.db-shm", "index"),
    ] {
        fs::write(root.join(name), contents).unwrap();
    }
    assert!(finish(&root).unwrap());
    let read = |name| fs::read_to_string(root.join(name)).ok();
    assert_eq!(read("x.db-wal").as_deref(), Some("log since"));
    assert_eq!(read("x.db-shm").as_deref(), Some("index"));
    assert!(
        read(".x.db.restoring-wal")
            .or(read(".x.db.restoring-shm"))
            .is_none()
    );
}

/// As SQLite does it: what opens a log without its main file makes an empty one, and the log is gone.
#[test]
fn a_log_that_lay_there_alone_and_was_thrown_away_is_a_persons_decision() {
    let alone = |root: &Path| fs::remove_file(root.join("x.db")).unwrap();
    let used = |root: &Path| {
        fs::remove_file(root.join("x.db-wal")).unwrap();
        fs::write(root.join("x.db"), "made anew").unwrap();
    };
    let (finished, files) = after_somebody(alone, used);
    let error = finished.unwrap_err();
    assert!(error.contains("swap.json away"), "{error}");
    assert!(files.iter().any(|(_, it)| it == "made anew"));
}

#[test]
fn an_empty_log_that_waits_keeps_nobody_from_what_was_committed() {
    let half_way = HalfWay::new();
    let root = half_way.root("a");
    main_came(&half_way);
    fs::write(root.join(".x.db.restoring-wal"), "").unwrap();
    fs::write(root.join("x.db"), "new, and more").unwrap();
    assert!(finish(&root).unwrap());
    let read = |name| fs::read_to_string(root.join(name));
    assert_eq!(read("x.db").unwrap(), "new, and more");
    assert!(read("x.db-wal").is_err() && read(".x.db.restoring-wal").is_err());
}

/// Whoever has it open may still write into it. A kill between the two steps gives it no third name.
#[test]
fn what_is_replaced_keeps_a_name() {
    let half_way = HalfWay::new();
    let swap = half_way.swap("a");
    let identity = |path: &Path| crate::host::file_identity(&path.metadata().unwrap());
    let replaced = identity(&swap.database);
    aside::give_second_name(&swap.database, &swap.aside).unwrap();
    assert!(finish(&half_way.root("a")).unwrap());
    half_way.is_new("a");
    let mut names = files::names_in(&swap.aside, usize::MAX).unwrap();
    names.sort();
    assert_eq!(names, ["aside-1-x.db", "aside-1-x.db-wal"]);
    assert_eq!(identity(&swap.aside.join("aside-1-x.db")), replaced);
}

#[test]
fn a_reason_names_its_file() {
    let half_way = HalfWay::new();
    let elsewhere = half_way.root("no/such/folder/x.db");
    let swap = Swap {
        database: elsewhere.clone(),
        ..half_way.swap("a")
    };
    fs::remove_file(&swap.staged).unwrap();
    fs::remove_file(side_file(&swap.staged, "-wal")).unwrap();
    let error = swap
        .carry_out(
            &half_way.root("a"),
            &mut Vec::new(),
            &mut KeptOpen::default(),
        )
        .unwrap_err()
        .to_string();
    let folder = elsewhere.parent().unwrap().display().to_string();
    assert!(error.contains(&folder), "{error}");
}

/// Of a database that is below no root, and that somebody has used since what was to come came.
#[test]
fn the_root_that_began_it_is_told_from_another() {
    for is_itself in [true, false] {
        let half_way = HalfWay::new();
        let root = half_way.root("a");
        let elsewhere = half_way.root("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let database = elsewhere.join("x.db");
        fs::write(&database, "used since").unwrap();
        let swap = Swap {
            staged: staged::name_of(&root, &database),
            database: database.clone(),
            ..half_way.swap("a")
        };
        swap.write_down(&root).unwrap();
        if !is_itself {
            half_way.copy("a", "copy");
        }
        let finished = finish(&half_way.root(if is_itself { "a" } else { "copy" }));
        let is_elsewhere = matches!(finished, Err(SwapError::Elsewhere { .. }));
        assert_eq!(is_elsewhere, !is_itself, "{finished:?}");
        assert_eq!(fs::read(&database).unwrap(), b"used since");
    }
}

/// Somebody makes a database at the very instant.
#[test]
fn what_comes_where_nothing_was_replaces_nothing() {
    let half_way = HalfWay::new();
    let swap = half_way.swap("a");
    let before = half_way.files("a");
    let put = put_in_place(&swap.staged, &swap.database, &swap.aside, false);
    assert!(matches!(put, Err(SwapError::InUse(_))), "{put:?}");
    assert!(half_way.files("a") == before, "touched");
}
