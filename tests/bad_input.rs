//! What goes wrong: known ways in which boot gates have failed, and bad input. Each case names what
//! was wrong, why, and the next step, with the documented exit code.
#![cfg(unix)]
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a suite speaks to its terminal"
)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Answer, Fixture, PATIENCE, answer, step, steps, without_privileges};

/// A database from before the incident: no record of migrations, and columns that are not there yet.
const LEGACY: &str = "
    CREATE TABLE verification_events (
        id INTEGER PRIMARY KEY, verification_type VARCHAR(50) NOT NULL,
        target_component VARCHAR(100) NOT NULL, verification_method VARCHAR(100),
        result VARCHAR(20) NOT NULL, anomaly_score FLOAT, confidence FLOAT, details TEXT,
        verified_by VARCHAR(100), created_at DATETIME);
    CREATE TABLE theirs (x);
    INSERT INTO theirs VALUES ('kept');
    INSERT INTO verification_events (verification_type, target_component, result)
        VALUES ('hash', 'core', 'ok');";

#[test]
fn a_healed_stage_goes_on() {
    let fixture = Fixture::empty();
    fixture.sql(LEGACY);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(json["summary"]["stages_passed"], 8);
    let healed = step(&json, "preflight::required_tables");
    assert_eq!(healed["status"], "fixed");
    assert_eq!(healed["repairs"][0]["result"], "verified");
    assert_eq!(step(&json, "preflight::schema_version")["status"], "pass");
    assert_eq!(json["metrics"]["startup.validation_errors"], 0);
    assert_eq!(json["metrics"]["startup.schema_mismatches"], 0);
    assert!(fixture.tables().contains(&"theirs".to_owned()));
}

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

#[test]
fn a_red_boot_replaces_the_green_report() {
    let fixture = Fixture::healthy();
    assert!(fixture.report().contains("Success: YES"));
    fixture.write("var/grace.db", [7; 4096]);
    let answer = fixture.boot(&[]);
    answer.says(
        1,
        &[
            "BOOT PIPELINE ABORTED",
            "Reason: var/grace.db is not an SQLite database",
            "Where: preflight::database_readable",
            "Next step: check that DATABASE_URL names the right file",
            "Not reached: 7 (blocked by preflight::database_readable)",
            "1 (blocked): grace must not start",
        ],
    );
    let report = fixture.report();
    for line in [
        "Success: NO",
        "Stages Passed: 0/8",
        "Reason: preflight::database_readable: var/grace.db is not an SQLite database",
        "Exit Code: 1 (blocked",
    ] {
        assert!(report.contains(line), "{report}");
    }
    let metrics = fixture.read("logs/startup_metrics.prom");
    assert!(
        metrics.contains("startup_preflight_status{status=\"fail\"} 1")
            || metrics.contains("startup_preflight_status 0"),
        "{metrics}"
    );
}

/// A limit on the size of files stands for a full disk: every write of contents fails, names can
/// still be made and removed.
#[test]
fn a_report_that_cannot_be_written_takes_the_old_one_with_it() {
    let fixture = Fixture::healthy();
    assert!(fixture.report().contains("Success: YES"));
    let script = format!(
        "trap '' XFSZ; ulimit -f 0; exec {} boot --root {}",
        support::binary().display(),
        fixture.root().display()
    );
    let mut command = assert_cmd::Command::new("sh");
    command.args(["-c", &script]).env_clear();
    command.envs(fixture.environment()).timeout(PATIENCE);
    let answer = answer(&mut command);
    answer.says(answer.code, &["the report could not be written"]);
    assert_ne!(answer.code, 0, "{}", answer.all());
    assert!(!fixture.path("logs/last_boot_report.txt").exists());
    fixture.boot(&[]).says(0, &["Passed: 8/8"]);
}

#[test]
fn a_full_disk_is_not_written_to() {
    let fixture = Fixture::empty();
    let at = fixture.root().display().to_string();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", &at])
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    }
    let answer = fixture.boot(&[]);
    let unmounted = Command::new("umount").arg(&at).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    answer.says(
        1,
        &[
            "has too little room",
            "free space on that file system, then boot again",
            "[NOT RUN] Folders are writable - blocked by preflight::disk_space",
        ],
    );
}

#[test]
fn boots_in_one_second_keep_their_own_records() {
    const BOOTS: usize = 6;
    let fixture = Fixture::healthy();
    let before = fixture.records().len();
    let started = Instant::now();
    for _ in 0..BOOTS {
        assert_eq!(fixture.boot(&["--observe"]).code, 0);
    }
    let records = fixture.records();
    assert_eq!(records.len(), before + BOOTS, "{records:?}");
    for name in &records {
        let json: serde_json::Value =
            serde_json::from_str(&fixture.read(&format!("grace_training/startup_failures/{name}")))
                .unwrap();
        assert_eq!(
            format!("boot_{}.json", json["run_id"].as_str().unwrap()),
            *name
        );
    }
    let shared = records.iter().any(|name| name.ends_with("_2.json"));
    assert!(
        shared || started.elapsed() > Duration::from_secs(BOOTS as u64 - 1),
        "{records:?}"
    );
}

#[test]
fn nothing_is_called_started_that_was_not() {
    let Some(argv) = without_privileges() else {
        return;
    };
    let fixture = Fixture::healthy();
    let everywhere = fs::Permissions::from_mode(0o777);
    for name in [
        "",
        "logs",
        "var",
        "var/boot",
        "grace_training",
        "grace_training/startup_failures",
    ] {
        fs::set_permissions(fixture.path(name), everywhere.clone()).unwrap();
    }
    for name in [".env", "var/boot/lock", "var/boot/journal.jsonl"] {
        fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    fs::set_permissions(fixture.database(), fs::Permissions::from_mode(0o444)).unwrap();
    let answer = as_user(&fixture, &argv, &[]);
    answer.says(
        1,
        &["core_services::database", "var/grace.db cannot be written"],
    );
    assert!(!answer.stdout.contains("8/8"), "{}", answer.stdout);
}

/// Boots as a user whom permission bits stop.
fn as_user(fixture: &Fixture, argv: &[&str], arguments: &[&str]) -> Answer {
    let binary = support::binary().display().to_string();
    let root = fixture.root().display().to_string();
    let boot = [binary.as_str(), "boot", "--root", root.as_str()];
    let all = [argv, &boot, arguments].concat();
    let mut command = assert_cmd::Command::new(all[0]);
    command
        .args(&all[1..])
        .env_clear()
        .current_dir(fixture.root());
    command.envs(fixture.environment()).timeout(PATIENCE);
    answer(&mut command)
}

type Setup = fn(&Fixture);

struct Case {
    name: &'static str,
    setup: Setup,
    variables: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    code: i32,
    words: &'static [&'static str],
}

const PLAIN: Case = Case {
    name: "",
    setup: |_| {},
    variables: &[],
    arguments: &[],
    code: 0,
    words: &[],
};

/// Each is told by what was wrong, why where it is known, and what to do.
const BAD_INPUT: [Case; 19] = [
    Case {
        name: "the database is a folder",
        setup: |fixture| fs::create_dir_all(fixture.database()).unwrap(),
        code: 1,
        words: &[
            "var/grace.db is a folder",
            "let DATABASE_URL name a database file",
        ],
        ..PLAIN
    },
    Case {
        name: "the database is empty",
        setup: |fixture| drop(fixture.write("var/grace.db", "")),
        code: 1,
        words: &[
            "var/grace.db is an empty file",
            "a copy failed",
            "restore a backup",
        ],
        ..PLAIN
    },
    Case {
        name: "the database is random bytes",
        setup: |fixture| drop(fixture.write("var/grace.db", [0xa5; 12_288])),
        code: 1,
        words: &[
            "is not an SQLite database",
            "does not begin with SQLite's header",
            "DATABASE_URL",
        ],
        ..PLAIN
    },
    Case {
        name: "the database is cut short",
        setup: |fixture| {
            fixture.boot(&[]);
            let bytes = fs::read(fixture.database()).unwrap();
            fs::write(fixture.database(), &bytes[..bytes.len() / 2]).unwrap();
        },
        code: 1,
        words: &[
            "ends before its last page",
            "a copy was cut short",
            "restore a backup beside it",
        ],
        ..PLAIN
    },
    Case {
        name: "the database is a pipe",
        setup: |fixture| {
            fs::create_dir_all(fixture.path("var")).unwrap();
            let made = Command::new("mkfifo")
                .arg(fixture.database())
                .status()
                .unwrap();
            assert!(made.success());
        },
        code: 1,
        words: &[
            "var/grace.db is a named pipe",
            "let DATABASE_URL name a database file",
        ],
        ..PLAIN
    },
    Case {
        name: "the database is a loop of links",
        setup: |fixture| {
            fs::create_dir_all(fixture.path("var")).unwrap();
            std::os::unix::fs::symlink(fixture.database(), fixture.database()).unwrap();
        },
        code: 1,
        words: &["var/grace.db is a loop of links", "DATABASE_URL"],
        ..PLAIN
    },
    Case {
        name: "the log is there without its database",
        setup: |fixture| drop(fixture.write("var/grace.db-wal", "rows")),
        code: 1,
        words: &[
            "var/grace.db is gone, and var/grace.db-wal is still there",
            "do not delete",
        ],
        ..PLAIN
    },
    Case {
        name: "another engine's database",
        variables: &[(
            "DATABASE_URL",
            "postgresql+asyncpg://u:hunter2@db.example/grace",
        )],
        code: 78,
        words: &["PostgreSQL", "only SQLite is supported yet", "DATABASE_URL"],
        ..PLAIN
    },
    Case {
        name: ".env is a folder",
        setup: |fixture| fs::create_dir_all(fixture.path(".env")).unwrap(),
        code: 78,
        words: &[".env", "it is a folder", "move it away"],
        ..PLAIN
    },
    Case {
        name: ".env is no UTF-8",
        setup: |fixture| drop(fixture.write(".env", b"NAME=caf\xe9\n")),
        code: 78,
        words: &[".env", "UTF-8", "save the file as UTF-8"],
        ..PLAIN
    },
    Case {
        name: "a line of .env that means nothing",
        setup: |fixture| drop(fixture.write(".env", "A=1\nthis is no line\n")),
        code: 78,
        words: &[".env:2", "neither NAME=value nor a comment"],
        ..PLAIN
    },
    Case {
        name: "an unknown key in boot.toml",
        setup: |fixture| {
            drop(fixture.write("boot.toml", "name = \"grace\"\nwritable_folder = []\n"))
        },
        code: 78,
        words: &[
            "`writable_folder`",
            "boot.toml:2",
            "did you mean `writable_folders`?",
        ],
        ..PLAIN
    },
    Case {
        name: "a wrong type in boot.toml",
        setup: |fixture| drop(fixture.write("boot.toml", "\nport = \"eighty\"\n")),
        code: 78,
        words: &["`port`", "boot.toml:2", "number"],
        ..PLAIN
    },
    Case {
        name: "boot.toml is no TOML",
        setup: |fixture| drop(fixture.write("boot.toml", "name = \n")),
        code: 78,
        words: &["boot.toml:1", "invalid TOML"],
        ..PLAIN
    },
    Case {
        name: "--config names nothing",
        arguments: &["--config", "nowhere.toml"],
        code: 78,
        words: &["nowhere.toml", "--config", "name an existing file"],
        ..PLAIN
    },
    Case {
        name: "the port is no port",
        variables: &[("BOOT_PORT", "99999")],
        code: 78,
        words: &["BOOT_PORT", "1 to 65535"],
        ..PLAIN
    },
    Case {
        name: "a folder's name is a file's",
        setup: |fixture| drop(fixture.write("grace_training", "")),
        code: 1,
        words: &[
            "grace_training is a file and should be a folder",
            "move the file away",
            "create_folders was not run: it cannot heal all of this",
            "the report could not be written",
        ],
        ..PLAIN
    },
    Case {
        name: "an option that is none",
        arguments: &["--obsrve"],
        code: 2,
        words: &["--obsrve", "--observe"],
        ..PLAIN
    },
    Case {
        name: "a time that is none",
        arguments: &["--lock-timeout", "3 days"],
        code: 2,
        words: &["--lock-timeout", "units are ms, s and m"],
        ..PLAIN
    },
];

#[test]
fn bad_input_is_named_and_keeps_the_application_from_starting() {
    for case in BAD_INPUT {
        let fixture = Fixture::empty();
        (case.setup)(&fixture);
        let mut command = fixture.command();
        command
            .envs(case.variables.iter().copied())
            .args(case.arguments);
        let answer = answer(&mut command);
        eprintln!("{}", case.name);
        answer.says(case.code, case.words);
        assert!(!answer.all().contains("panicked"), "{}", answer.all());
        if case.code == 2 || !fixture.path("logs").exists() {
            continue;
        }
        assert!(
            fixture.report().contains("Success: NO"),
            "{}",
            fixture.report()
        );
    }
}

#[test]
fn a_configuration_that_is_not_understood_leaves_a_red_report() {
    let fixture = Fixture::healthy();
    fixture.write("boot.toml", "nmae = \"grace\"\n");
    fixture
        .boot(&[])
        .says(78, &["`nmae`", "boot.toml:1", "did you mean `name`?"]);
    let report = fixture.report();
    assert!(report.contains("Success: NO"), "{report}");
    assert!(
        report.contains("boot.toml:1") && report.contains("nmae"),
        "{report}"
    );
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!((code, &json["summary"]["exit_code"]), (78, &78.into()));
    assert_eq!(json["summary"]["verdict"], "config");
}

#[test]
fn a_root_that_is_none_is_named() {
    let fixture = Fixture::empty();
    let file = fixture.write("file", "").display().to_string();
    let missing = fixture.path("missing").display().to_string();
    for (root, why) in [
        (&file, "root is not a folder"),
        (&missing, "there is no such folder"),
    ] {
        let mut command = assert_cmd::Command::new(support::binary());
        command.env_clear().envs(fixture.environment());
        let answer = answer(command.args(["boot", "--root", root]));
        answer.says(
            78,
            &[root, why, "name the application's folder with --root"],
        );
    }
    assert_eq!(fixture.tree().len(), 1, "nothing was made");
}

#[test]
fn an_unreadable_env_is_named() {
    let Some(argv) = without_privileges() else {
        return;
    };
    let fixture = Fixture::empty();
    let env = fixture.write(".env", "A=1\n");
    fs::set_permissions(&env, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(fixture.root(), fs::Permissions::from_mode(0o777)).unwrap();
    as_user(&fixture, &argv, &[]).says(
        78,
        &[
            ".env",
            "Permission denied",
            "let the user that runs the boot read it",
        ],
    );
}

#[test]
fn a_read_only_root_is_looked_at_and_never_green() {
    let Some(argv) = without_privileges() else {
        return;
    };
    for healthy in [false, true] {
        let fixture = if healthy {
            Fixture::healthy()
        } else {
            Fixture::empty()
        };
        if healthy {
            fs::set_permissions(fixture.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let before = fixture.tree();
        let answer = as_user(&fixture, &argv, &[]);
        answer.says(
            1,
            &["Permission denied", "looking only", "cannot be written"],
        );
        assert_eq!(
            before.keys().collect::<Vec<_>>(),
            fixture.tree().keys().collect::<Vec<_>>()
        );
    }
}

#[test]
fn without_a_home_all_is_the_same() {
    let fixture = Fixture::empty();
    answer(fixture.command().env_remove("HOME")).says(0, &["8/8"]);
}

#[test]
fn a_locale_that_cannot_print_is_healed_for_the_application() {
    let fixture = Fixture::healthy();
    let boot = |name: &str, value: &str| {
        let mut command = fixture.command();
        command.env(name, value).args(["--format", "json"]);
        let answer = answer(&mut command);
        let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        (answer.code, json)
    };
    let (code, json) = boot("LC_ALL", "C");
    assert_eq!(code, 0, "PEP 538: Python takes the C locale for UTF-8");
    assert_eq!(
        step(&json, "schema_secrets::utf8_configured")["status"],
        "pass"
    );

    let (code, json) = boot("PYTHONIOENCODING", "latin-1");
    assert_eq!(code, 0, "only ASCII aborts");
    for (id, status) in [
        ("schema_secrets::utf8_configured", "warn"),
        ("startup_playbooks::fix_unicode_logging", "warn"),
        ("codec::ascii", "pass"),
        ("codec::emoji", "warn"),
        ("codec::unicode", "warn"),
    ] {
        assert_eq!(step(&json, id)["status"], status, "{id}");
    }
    let notes = step(&json, "schema_secrets::utf8_configured")["notes"].to_string();
    assert!(notes.contains("stronger than .env"), "{notes}");
    assert!(!fixture.read(".env").contains("PYTHONIOENCODING"));
    assert_eq!(json["metrics"]["startup.console_encoding"], "latin-1");

    let (code, json) = boot("LC_ALL", "de_DE.ISO-8859-1");
    assert_eq!(code, 0);
    assert_eq!(
        step(&json, "schema_secrets::utf8_configured")["status"],
        "fixed"
    );
    assert_eq!(step(&json, "codec::emoji")["status"], "pass");
    assert!(fixture.read(".env").contains("PYTHONIOENCODING=utf-8"));
    assert_eq!(json["metrics"]["startup.console_encoding"], "utf-8");
}

#[test]
fn an_encoding_that_nobody_knows_blocks() {
    let fixture = Fixture::healthy();
    let mut command = fixture.command();
    command.env("PYTHONIOENCODING", "utf-23");
    answer(&mut command).says(
        1,
        &[
            "unknown encoding 'utf-23'",
            "codec::ascii",
            "PYTHONIOENCODING",
        ],
    );
}

#[test]
fn an_output_that_takes_nothing_blocks_and_the_report_is_there() {
    for format in ["pretty", "json"] {
        let fixture = Fixture::healthy();
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut child = fixture.child();
        child
            .args(["--format", format])
            .stdout(full)
            .stderr(Stdio::piped());
        let output = child.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {stderr}");
        assert!(
            stderr.contains("cannot write to standard output"),
            "{format}: {stderr}"
        );
        assert!(fixture.report().contains("Exit Code"), "{format}");
    }
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let fixture = Fixture::healthy();
    let mut child = fixture.child();
    let mut child = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert_eq!(stderr, "");
    assert!(fixture.report().contains("Success: YES"));
}

#[test]
fn a_closed_output_does_no_harm() {
    let fixture = Fixture::healthy();
    let before = fs::read(fixture.database()).unwrap();
    let script = format!(
        "{} boot --root {} >&- 2>&-",
        support::binary().display(),
        fixture.root().display()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .env_clear()
        .envs(fixture.environment());
    let status = shell.status().unwrap();
    assert!(status.code().is_some_and(|code| code != 101), "{status}");
    assert!(fixture.report().contains("Exit Code"));
    assert_eq!(
        before,
        fs::read(fixture.database()).unwrap(),
        "no line went into the database"
    );
}

/// Holds an exclusive lock on a database until its standard input is closed. Not a test by itself:
/// the other tests run it in a process of its own.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn lock_holder() {
    use boot_checks::services::db::{Access, Connection};
    let Some(path) = std::env::var_os("LOCK_HOLDER_DATABASE") else {
        return;
    };
    let mut connection = Connection::open(path.as_ref(), Access::ReadWrite, PATIENCE).unwrap();
    connection.execute("BEGIN EXCLUSIVE").unwrap();
    println!("\nlocked");
    let _ = std::io::stdin().read_line(&mut String::new());
    connection.execute("ROLLBACK").unwrap();
}

/// A process that holds an exclusive lock on the fixture's database.
fn hold_lock(fixture: &Fixture) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock_holder", "--ignored", "--nocapture"])
        .env("LOCK_HOLDER_DATABASE", fixture.database())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"));
    child
}

fn release(mut holder: Child) {
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

#[test]
fn a_lock_is_waited_for_and_its_holder_is_named() {
    let fixture = Fixture::healthy();
    let before = fs::read(fixture.database()).unwrap();
    let holder = hold_lock(&fixture);
    let pid = format!("pid {}", holder.id());
    let started = Instant::now();
    let answer = fixture.boot(&["--lock-timeout", "700ms"]);
    assert!(
        started.elapsed() >= Duration::from_millis(700),
        "it waited as long as it was told"
    );
    answer.says(
        1,
        &[
            "[WAIT]",
            "waiting up to 700ms",
            &format!("var/grace.db is locked by {pid}"),
            "--lock-timeout waits longer",
            "removing it would lose rows",
        ],
    );
    let (code, json) = fixture.boot_json(&["--lock-timeout", "0s", "--observe"]);
    assert_eq!(code, 1);
    let step = step(&json, "preflight::database_readable");
    assert_eq!(step["problems"][0]["pattern"], "database_locked");
    release(holder);
    assert_eq!(before, fs::read(fixture.database()).unwrap());
    fixture.boot(&[]).says(0, &["8/8"]);
}

#[test]
fn a_lock_that_is_let_go_in_time_delays_only() {
    let fixture = Fixture::healthy();
    let holder = hold_lock(&fixture);
    let mut boot = fixture.child().stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(boot.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("[WAIT]") {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "it waits for the lock"
        );
    }
    release(holder);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(boot.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("Passed: 8/8"), "{rest}");
}

/// A boot that waits for a lock that nobody lets go.
fn waiting_boot(fixture: &Fixture) -> (Child, Child) {
    let holder = hold_lock(fixture);
    let mut boot = fixture.child();
    boot.args(["--lock-timeout", "10m"]);
    let mut boot = boot
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(boot.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("[WAIT]") {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "it waits for the lock"
        );
    }
    // The pipe is kept open by the process that reads on, so that the boot's last lines arrive.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    (boot, holder)
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn a_boot_that_is_asked_to_stop_says_so_in_its_report() {
    let fixture = Fixture::healthy();
    let (mut boot, holder) = waiting_boot(&fixture);
    signal(&boot, rustix::process::Signal::TERM);
    assert_eq!(boot.wait().unwrap().code(), Some(1));
    let report = fixture.report();
    assert!(
        report.contains("Success: NO") && report.contains("SIGTERM"),
        "{report}"
    );
    let record = fixture.records().pop().unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&fixture.read(&format!("grace_training/startup_failures/{record}")))
            .unwrap();
    assert_eq!(json["summary"]["ending"], "interrupted");
    release(holder);
    fixture.boot(&[]).says(0, &["8/8"]);
}

#[test]
fn a_boot_that_is_killed_leaves_nothing_half_written() {
    let fixture = Fixture::healthy();
    let (report, records) = (fixture.report(), fixture.records());
    let (mut boot, holder) = waiting_boot(&fixture);
    signal(&boot, rustix::process::Signal::KILL);
    assert_eq!(boot.wait().unwrap().code(), None);
    assert_eq!(fixture.report(), report, "whole or not at all");
    let left: Vec<String> = fixture.records();
    let finished: Vec<&String> = left.iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(finished, records.iter().collect::<Vec<_>>());
    release(holder);
    fixture.boot(&[]).says(0, &["8/8"]);
}

/// The delays are no synchronisation: they spread the kills over all that a first boot does.
#[test]
fn a_first_boot_that_is_killed_anywhere_is_made_up_for_by_the_next() {
    let whole = Instant::now();
    Fixture::healthy();
    let whole = whole.elapsed();
    for tenth in 1..=10 {
        let fixture = Fixture::empty();
        let mut boot = fixture.child().stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * tenth / 10);
        signal(&boot, rustix::process::Signal::KILL);
        boot.wait().unwrap();
        if fixture.database().exists() {
            assert!(
                fixture.tables().contains(&"playbooks".to_owned()),
                "{tenth}: complete"
            );
        }
        if fixture.path(".env").exists() {
            assert!(
                fixture.read(".env").contains("DATABASE_URL="),
                "{tenth}: whole"
            );
        }
        for name in fixture
            .records()
            .iter()
            .filter(|name| !name.starts_with('.'))
        {
            let record = fixture.read(&format!("grace_training/startup_failures/{name}"));
            serde_json::from_str::<serde_json::Value>(&record).unwrap();
        }
        fixture.boot(&[]).says(0, &["Passed: 8/8"]);
    }
}

#[test]
fn a_second_boot_waits_for_the_first() {
    let fixture = Fixture::healthy();
    let (mut first, holder) = waiting_boot(&fixture);
    let pid = format!("pid {}", first.id());
    let answer = fixture.boot(&["--lock-timeout", "0s"]);
    answer.says(7, &["another boot", &pid, "since", "7 (lock-held)"]);
    let report = fixture.report();
    assert!(
        report.contains("Success: YES"),
        "the report is the running boot's to write"
    );

    let mut second = fixture.child();
    let mut second = second
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(second.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(
        line.contains("waiting for another boot") && line.contains(&pid),
        "{line}"
    );
    release(holder);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn boots_at_once_all_come_to_an_answer() {
    let fixture = Fixture::empty();
    let boots: Vec<Child> = (0..4)
        .map(|_| {
            fixture
                .child()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut boot in boots {
        assert_eq!(boot.wait().unwrap().code(), Some(0));
    }
    assert_eq!(fixture.records().len(), 4);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(
        (
            code,
            steps(&json)
                .filter(|step| step["status"] == "fixed")
                .count()
        ),
        (0, 0)
    );
}

#[test]
fn no_secret_reaches_an_artefact() {
    const PLANTED: [&str; 6] = [
        "pl4nted-in-the-environment",
        "pl4nted-in-env-file",
        "pl4nted-in-url",
        "pl4nted-token",
        "pl4nted-by-the-tool",
        "pl4nted-in-option",
    ];
    let [process, file, url, token, tool, option] = PLANTED;
    let fixture = Fixture::empty();
    fixture.write(
        ".env",
        format!(
            "SECRET_KEY={file}\nMAILER_URL=smtp://me:{url}@mail.example\nTOOL_PASSWORD={tool}\n"
        ),
    );
    // What the tool prints is evidence of its failure, and stands in every artefact.
    let leak = format!("echo \"password {tool} refused; {process} {file} {token}\" >&2; exit 3");
    fixture.script("migrate", &leak);
    fixture.write(
        "boot.toml",
        "name = \"shop\"\n[database]\nurl = \"sqlite:///./shop.db\"\n\
         [migrations]\ncommand = [\"./migrate\"]\ncheck = [\"./migrate\"]\n",
    );
    let junit = format!("junit:{}", fixture.path("boot.xml").display());
    let json = format!("json:{}", fixture.path("boot.json").display());
    for format in ["pretty", "json", "junit"] {
        let mut command = fixture.command();
        command
            .env("API_TOKEN", token)
            .env("SESSION_SECRET", process);
        command.env(
            "DATABASE_URL",
            format!("sqlite:///./shop.db?password={option}&mode=rw"),
        );
        command.args(["--report", &junit, "--report", &json, "--format", format]);
        let answer = answer(&mut command);
        assert!(answer.code == 1 || answer.code == 3, "{}", answer.all());
        assert!(
            answer.all().contains("refused"),
            "the tool's words arrive: {}",
            answer.all()
        );
        for secret in PLANTED {
            assert!(
                !answer.all().contains(secret),
                "{secret} in {}",
                answer.all()
            );
        }
    }
    for (name, entry) in fixture.tree() {
        if matches!(name.as_str(), ".env" | "migrate") {
            continue;
        }
        let contents = String::from_utf8_lossy(&entry.contents.unwrap_or_default()).into_owned();
        for secret in PLANTED {
            assert!(!contents.contains(secret), "{secret} in {name}: {contents}");
        }
    }
}

#[test]
fn the_generated_key_stands_in_env_alone() {
    let fixture = Fixture::empty();
    let answer = fixture.boot(&[]);
    let env = fixture.read(".env");
    let key = env
        .lines()
        .find_map(|line| line.strip_prefix("SECRET_KEY="))
        .unwrap();
    assert!(!answer.all().contains(key));
    for (name, entry) in fixture.tree() {
        let contents = String::from_utf8_lossy(&entry.contents.unwrap_or_default()).into_owned();
        assert_eq!(contents.contains(key), name == ".env", "{name}");
    }
    std::io::stderr().flush().unwrap();
}
