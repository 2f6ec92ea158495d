//! Something else than a healthy database stands where one should.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use boot_checks::services::db::{Access, Connection};

use crate::evidence::LEGACY;
use crate::support::{self, Fixture, PATIENCE, answer, step};

#[test]
fn a_missing_database_that_is_looked_at_stays_missing() {
    let fixture = Fixture::empty();
    for _ in 0..2 {
        let answer = fixture.boot(&["--observe"]);
        answer.says(
            1,
            &["var/grace.db does not exist", "would run create_database"],
        );
        assert!(!fixture.database().exists());
    }
}

#[test]
fn a_database_that_vanished_is_no_fresh_start() {
    let fixture = Fixture::healthy();
    fs::rename(fixture.database(), fixture.path("elsewhere.db")).unwrap();
    let words = [
        "var/grace.db was there at an earlier boot and is gone",
        "--allow-create",
    ];
    fixture.boot(&[]).says(1, &words);
    assert!(!fixture.database().exists());
    fixture
        .boot(&["--allow-create"])
        .says(0, &["created database var/grace.db"]);
}

/// Both would start without a row, beside the state of an application that had some.
#[test]
fn another_name_or_another_folder_is_no_fresh_start() {
    let fixture = Fixture::healthy();
    let other = ["--database-url", "sqlite:///./var/orders.db"];
    let words = [
        "var/orders.db does not exist, and earlier boots used var/grace.db",
        "--allow-create",
    ];
    fixture.boot(&other).says(1, &words);
    assert!(!fixture.path("var/orders.db").exists());
    let allowed = [other[0], other[1], "--allow-create"];
    fixture
        .boot(&allowed)
        .says(0, &["created database var/orders.db"]);

    let moved = Fixture::empty();
    fs::rename(fixture.path("var"), moved.path("var")).unwrap();
    fs::remove_file(moved.database()).unwrap();
    moved.boot(&[]).says(
        1,
        &["var/grace.db was there at an earlier boot and is gone"],
    );
    assert!(!moved.database().exists());
}

#[test]
fn a_database_in_memory_is_no_fresh_start_either() {
    for url in [
        "sqlite:///:memory:",
        "sqlite://",
        "file:grace.db?mode=memory",
    ] {
        let fixture = Fixture::healthy();
        let other = ["--database-url", url];
        let words = [
            "[FAIL] the database is in memory, and earlier boots used var/grace.db",
            "let DATABASE_URL name var/grace.db",
            "--allow-create",
        ];
        fixture.boot(&other).says(1, &words);
        let allowed = [other[0], other[1], "--allow-create"];
        let answer = fixture.boot(&allowed);
        answer.says(0, &["[SKIP] Database exists - the database is in memory"]);
        assert!(fixture.database().exists());
    }
}

/// Each would start with an empty database in the place of one that may have held rows.
#[test]
fn whoever_saw_a_database_makes_its_loss_an_incident() {
    let vanished = |fixture: &Fixture| {
        fs::remove_file(fixture.database()).unwrap();
        fixture.boot(&[]).says(1, &["[FAIL]", "var/grace.db"]);
        assert!(!fixture.database().exists());
    };
    // A boot that blocked.
    let fixture = Fixture::empty();
    fixture.write("backend/main.py", "import backend.nowhere\napp = 1\n");
    fixture.sql(LEGACY);
    fixture.boot(&[]).says(1, &[]);
    fs::remove_file(fixture.path("backend/main.py")).unwrap();
    vanished(&fixture);
    // A part of a boot, and a heal.
    for arguments in [
        &["boot", "preflight::database_exists"][..],
        &["heal", "create_database"],
    ] {
        let fixture = Fixture::empty();
        let made = fixture.run(arguments);
        assert_eq!(made.code, 0, "{arguments:?}: {}", made.all());
        vanished(&fixture);
    }
    // A disk that is not mounted: its folder is empty.
    let fixture = Fixture::healthy();
    fs::remove_dir_all(fixture.path("var")).unwrap();
    fixture.boot(&[]).says(1, &["was there at an earlier boot"]);
    // What was seen is no text, or nobody can say.
    let fixture = Fixture::healthy();
    fixture.write("var/boot/database_seen", b"caf\xe9.db\n");
    vanished(&fixture);
    let fixture = Fixture::healthy();
    fs::remove_file(fixture.path("var/boot/database_seen")).unwrap();
    fs::create_dir(fixture.path("var/boot/database_seen")).unwrap();
    fs::remove_file(fixture.database()).unwrap();
    fixture.boot(&[]).says(1, &["cannot be read"]);
    assert!(!fixture.database().exists());
}

/// The second undo of a run takes nothing away, and so nothing is forgotten.
#[test]
fn a_database_that_came_again_after_an_undo_is_not_forgotten_by_another() {
    let fixture = Fixture::empty();
    let (_, first) = fixture.boot_json(&[]);
    let run_id = first["run_id"].as_str().unwrap();
    assert_eq!(fixture.run(&["undo", run_id]).code, 0);
    assert_eq!(fixture.boot(&[]).code, 0);
    fs::remove_file(fixture.database()).unwrap();
    fixture.run(&["undo", run_id]);
    fixture
        .boot(&[])
        .says(1, &["was there at an earlier boot and is gone"]);
}

#[test]
fn a_required_table_that_was_lost_is_not_promised_to_come_back() {
    let fixture = Fixture::healthy();
    fixture.sql("DROP TABLE meta_loop_configs");
    for arguments in [&["--observe"][..], &[]] {
        let (code, json) = fixture.boot_json(arguments);
        assert_eq!(code, 1, "{arguments:?}");
        let problem = &step(&json, "preflight::required_tables")["problems"][0];
        let action = problem["action"].as_str().unwrap_or_default();
        assert!(
            action.contains("cargo xtask backups restore"),
            "{arguments:?}: {problem}"
        );
        let cause = problem["cause"].as_str().unwrap();
        assert!(
            cause.contains("somebody dropped it"),
            "{arguments:?}: {problem}"
        );
    }
}

#[test]
fn a_migration_record_without_a_row_is_no_reason_to_make_everything_again() {
    let fixture = Fixture::healthy();
    fixture.sql("DROP TABLE meta_loop_configs; DELETE FROM _sqlx_migrations");
    fixture
        .boot(&[])
        .says(0, &["added table meta_loop_configs"]);
    fixture.boot(&[]).says(0, &["up to date"]);
}

/// Something that is no healthy database, in the place of one.
struct Stranger {
    name: &'static str,
    put: fn(&Path),
    code: i32,
    words: &'static [&'static str],
}

const STRANGERS: [Stranger; 11] = [
    Stranger {
        name: "a named pipe",
        put: |path| {
            let made = Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success());
        },
        code: 1,
        words: &["var/grace.db is a named pipe", "let DATABASE_URL name"],
    },
    Stranger {
        name: "a socket",
        put: |path| drop(UnixListener::bind(path).unwrap()),
        code: 1,
        words: &["var/grace.db is a socket", "let DATABASE_URL name"],
    },
    Stranger {
        name: "a loop of links",
        put: |path| symlink(path, path).unwrap(),
        code: 1,
        words: &["var/grace.db is a loop of links", "let DATABASE_URL name"],
    },
    Stranger {
        name: "a link to nothing",
        put: |path| symlink("nowhere/at all.db", path).unwrap(),
        code: 1,
        words: &["var/grace.db is a link to nothing"],
    },
    Stranger {
        name: "a folder",
        put: |path| fs::create_dir(path).unwrap(),
        code: 1,
        words: &["var/grace.db is a folder", "let DATABASE_URL name"],
    },
    Stranger {
        name: "an endless device",
        put: |path| symlink("/dev/zero", path).unwrap(),
        code: 1,
        words: &["var/grace.db is a device", "let DATABASE_URL name"],
    },
    Stranger {
        name: "one page of text",
        put: |path| {
            fs::write(
                path,
                &"lorem ipsum dolor sit amet, ".repeat(147).as_bytes()[..4096],
            )
            .unwrap()
        },
        code: 1,
        words: &[
            "is not an SQLite database",
            "does not begin with SQLite's header",
        ],
    },
    Stranger {
        name: "text behind a database's header",
        put: |path| {
            let text = "lorem ipsum dolor sit amet, ".repeat(147);
            fs::write(path, format!("SQLite format 3\0{}", &text[16..4096])).unwrap();
        },
        code: 1,
        words: &["var/grace.db"],
    },
    Stranger {
        name: "a newer file format",
        put: |path| newer_format(path, 3, 3),
        code: 1,
        words: &[
            "var/grace.db has file format 3",
            "newer than the gate",
            "use a newer version",
        ],
    },
    Stranger {
        name: "a file format that only newer programs write",
        put: |path| newer_format(path, 3, 1),
        code: 1,
        words: &[
            "var/grace.db has file format 3",
            "newer than the gate",
            "use a newer version",
        ],
    },
    Stranger {
        name: "a header without a page",
        put: |path| fs::write(path, b"SQLite format 3\0").unwrap(),
        code: 1,
        words: &["var/grace.db is not an SQLite database"],
    },
];

/// A whole database whose header names these versions of the file format.
fn newer_format(path: &Path, write_version: u8, read_version: u8) {
    let other = Fixture::healthy();
    let mut bytes = fs::read(other.database()).unwrap();
    (bytes[18], bytes[19]) = (write_version, read_version);
    fs::write(path, bytes).unwrap();
}

/// Ends in good time, names what is there, and leaves it; twice, so that the first refusal left
/// nothing that the second would trip over.
#[test]
fn what_is_no_healthy_database_is_named_and_left_alone() {
    let fixture = Fixture::healthy();
    for stranger in STRANGERS {
        eprintln!("{}", stranger.name);
        let database = fixture.database();
        let kept = fixture.path("kept.db");
        fs::rename(&database, &kept).unwrap();
        (stranger.put)(&database);
        let before = fixture.tree_of_others();
        for arguments in [&[][..], &[], &["--observe"]] {
            let started = Instant::now();
            let answer = fixture.boot(arguments);
            let took = started.elapsed();
            eprintln!("  {took:.1?}");
            answer.says(stranger.code, stranger.words);
            answer.says(stranger.code, &["preflight::database_"]);
            assert!(!answer.all().contains("panicked"), "{}", answer.all());
            assert!(before == fixture.tree_of_others(), "something was changed");
        }
        if database.is_dir() {
            fs::remove_dir(&database).unwrap();
        } else {
            fs::remove_file(&database).unwrap();
        }
        fs::rename(&kept, &database).unwrap();
    }
    fixture.boot(&[]).says(0, &["Passed: 8/8"]);
}

/// A database and a log that does not belong to it: acknowledged rows are in the log, and SQLite would
/// take it for an empty one.
fn put_beside_another_log(fixture: &Fixture) {
    let live = Fixture::healthy();
    let mut connection = Connection::open(&live.database(), Access::ReadWrite, PATIENCE).unwrap();
    connection
        .execute(
            "PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
        )
        .unwrap();
    let log = live.path("var/grace.db-wal");
    let mut bytes = fs::read(log).unwrap();
    bytes[16] ^= 1;
    fixture.write("var/grace.db-wal", bytes);
    fs::copy(live.database(), fixture.database()).unwrap();
    connection.close();
}

#[test]
fn a_log_with_other_salts_is_kept_and_named() {
    let fixture = Fixture::healthy();
    put_beside_another_log(&fixture);
    let before = fixture.tree_of_others();
    for arguments in [&[][..], &[], &["--observe"]] {
        let words = [
            "var/grace.db-wal does not belong to var/grace.db",
            "copy all of its files away",
        ];
        fixture.boot(arguments).says(1, &words);
        assert!(before == fixture.tree_of_others(), "something was changed");
    }
}

/// SQLite looks for the log beside the file, not beside the link.
#[test]
fn a_log_with_other_salts_is_found_where_a_link_leads() {
    let fixture = Fixture::healthy();
    put_beside_another_log(&fixture);
    fs::create_dir(fixture.path("disk")).unwrap();
    for name in ["grace.db", "grace.db-wal"] {
        let (from, to) = (format!("var/{name}"), format!("disk/{name}"));
        fs::rename(fixture.path(&from), fixture.path(&to)).unwrap();
    }
    symlink(fixture.path("disk/grace.db"), fixture.database()).unwrap();
    let before = fixture.tree_of_others();
    for arguments in [&[][..], &["--observe"]] {
        let words = ["disk/grace.db-wal does not belong to disk/grace.db"];
        fixture.boot(arguments).says(1, &words);
        assert!(before == fixture.tree_of_others(), "something was changed");
    }
}

#[test]
fn a_side_file_that_is_no_file_is_named() {
    for (suffix, words) in [("-wal", "cannot be read"), ("-journal", "is no file")] {
        let fixture = Fixture::healthy();
        let name = format!("var/grace.db{suffix}");
        let made = Command::new("mkfifo").arg(fixture.path(&name)).status();
        assert!(made.unwrap().success());
        let before = fixture.tree_of_others();
        fixture.boot(&[]).says(1, &[&format!("{name} {words}")]);
        assert!(before == fixture.tree_of_others(), "something was changed");
    }
}

/// Opening it would delete the log: whoever goes past the check that says so, opens it no more than a boot.
#[test]
fn an_empty_main_file_beside_what_holds_rows_is_opened_by_nothing() {
    for suffix in ["-wal", "-journal"] {
        let fixture = Fixture::healthy();
        fs::write(fixture.database(), "").unwrap();
        let side = fixture.path(&format!("var/grace.db{suffix}"));
        fs::write(&side, "what was committed").unwrap();
        let before = fixture.tree_of_others();
        for arguments in [
            &["boot"][..],
            &["boot", "--skip", "preflight"],
            &["boot", "--skip", "preflight::database_readable"],
            &["boot", "smoke", "--observe"],
            &["heal", "unlock_database"],
            &["heal", "schedule_monitor"],
            &["heal", "apply_pending_migrations"],
            &["heal", "restamp_migrations"],
            &["heal", "register_playbooks"],
            &["heal", "apply_pending_migrations", "--plan"],
        ] {
            let answer = fixture.run(arguments);
            let is_kept = before == fixture.tree_of_others();
            assert!(is_kept, "{arguments:?}: {}", answer.all());
        }
        let skipped = fixture.run(&["boot", "--skip", "preflight"]);
        skipped.says(
            1,
            &["var/grace.db is empty, and", "copy all of its files away"],
        );
    }
}

/// Every name that a shell, an URL or a format string could stumble over.
#[test]
fn a_folder_may_have_any_name() {
    for name in [
        "two words",
        "it's \"quoted\"",
        "ünï-日本-📝",
        "what?mode=memory",
        "100%20#fragment",
        "a\nb",
        "-rf",
        "{braces} $HOME `id` \\n",
    ] {
        let fixture = Fixture::below(name);
        fixture.sql(LEGACY);
        let before = fixture.tree_of_others();
        let (code, json) = fixture.boot_json(&[]);
        assert_eq!(code, 0, "{name:?}: {json:#}");
        assert!(
            fixture.tables().contains(&"playbooks".to_owned()),
            "{name:?}"
        );
        fixture.boot(&[]).says(0, &["Passed: 8/8"]);
        let run_id = json["run_id"].as_str().unwrap();
        let undone = fixture.run(&["undo", run_id]);
        undone.says(0, &["restored var/grace.db"]);
        let now = fixture.tree_of_others();
        let contents = |tree: &BTreeMap<String, support::Entry>| {
            let entry = tree.get("var/grace.db").unwrap();
            (entry.contents.clone(), entry.mode)
        };
        assert!(contents(&before) == contents(&now), "{name:?}");
    }
}

#[test]
fn a_database_may_have_any_name() {
    for name in [
        "two words.db",
        "it's \"quoted\".db",
        "ünï-日本-📝.db",
        "100%.db",
        "which?.db",
        "a\nb.db",
    ] {
        let fixture = Fixture::empty();
        let mut command = fixture.command();
        command.env(
            "DATABASE_URL",
            format!(
                "sqlite:///./{}",
                name.replace('%', "%25").replace('?', "%3F")
            ),
        );
        let first = answer(&mut command);
        first.says(0, &["Passed: 8/8"]);
        assert!(fixture.path(name).is_file(), "{name:?}: {}", first.all());
        answer(&mut command).says(0, &["Passed: 8/8"]);
    }
}
