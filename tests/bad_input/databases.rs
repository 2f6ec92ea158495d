//! A database that is missing, that vanished, or that does not belong to what lies beside it.

use std::fs;
use std::os::unix::fs::symlink;

use boot_checks::services::db::{Access, Connection};

use crate::evidence::LEGACY;
use crate::strangers::pipe;
use crate::support::{Fixture, PATIENCE, step};

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
        fixture.boot(arguments).says_at_once(1, &words);
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
        fixture.boot(arguments).says_at_once(1, &words);
        assert!(before == fixture.tree_of_others(), "something was changed");
    }
}

#[test]
fn a_side_file_that_is_no_file_is_named() {
    for (suffix, is_pipe) in [
        ("-wal", true),
        ("-journal", true),
        ("-shm", true),
        ("-shm", false),
    ] {
        let fixture = Fixture::healthy();
        fixture.sql("PRAGMA journal_mode = WAL");
        let name = format!("var/grace.db{suffix}");
        match is_pipe {
            true => pipe(&fixture.path(&name)),
            false => fs::create_dir(fixture.path(&name)).unwrap(),
        }
        let before = fixture.tree_of_others();
        for arguments in [&[][..], &["--observe"]] {
            let words = [&format!("{name} is no file"), "move it away"];
            fixture.boot(arguments).says_at_once(1, &words);
            assert!(before == fixture.tree_of_others(), "something was changed");
        }
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
