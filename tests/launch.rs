//! `launch` and `history`: what comes after the gate.
#![cfg(unix)]

mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Fixture, binary};

/// A command that is launched, with the gate's own words on standard output before its own.
fn launch(fixture: &Fixture, options: &[&str], command: &[&str]) -> (i32, String) {
    let mut child = Command::new(binary());
    child.env_clear().envs(fixture.environment());
    child.arg("launch").args(options).arg("--root");
    let output = child.arg(fixture.root()).arg("--").args(command).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap_or(-1);
    (code, String::from_utf8(said).unwrap())
}

const TELL: &str = "echo \"in $(pwd -P), key of ${#SECRET_KEY}, $PYTHONIOENCODING\"; exit 7";

#[test]
fn the_application_starts_in_its_root_with_what_the_boot_prepared() {
    let fixture = Fixture::empty();
    let mut child = Command::new(binary());
    // A console that is no UTF-8, so that there is something to prepare.
    child.env_clear().envs(fixture.environment());
    child.env("LC_ALL", "de_DE.ISO-8859-1");
    child.arg("launch").arg("--root").arg(fixture.root());
    let output = child.args(["--", "sh", "-c", TELL]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{said}");
    let root = fixture.root().canonicalize().unwrap();
    let line = format!("in {}, key of 64, utf-8", root.display());
    assert!(said.contains(&line), "{line}: {said}");
    assert!(fixture.report().contains("Success: YES"));
}

#[test]
fn the_application_opens_the_database_that_was_checked() {
    let fixture = Fixture::healthy();
    let url = "sqlite:///./var/other.db";
    let options = ["--database-url", url, "--allow-create"];
    let (code, said) = launch(
        &fixture,
        &options,
        &["sh", "-c", "echo \"url $DATABASE_URL\""],
    );
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with(&format!("url {url}\n")), "{said}");

    fixture.write(
        "boot.toml",
        "name = \"x\"\n[database]\nurl = \"sqlite:///./var/third.db\"\n",
    );
    fixture.write(".env", "SECRET_KEY=0123456789abcdef0123456789abcdef\n");
    std::fs::rename(fixture.path("var/other.db"), fixture.path("var/third.db")).unwrap();
    let (code, said) = launch(&fixture, &[], &["sh", "-c", "echo \"url $DATABASE_URL\""]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("url sqlite:///./var/third.db\n"), "{said}");
}

#[test]
fn what_stands_in_the_environment_arrives_as_it_is() {
    use std::os::unix::ffi::OsStringExt as _;

    let fixture = Fixture::healthy();
    let env = fixture.read(".env");
    fixture.write(".env", format!("{env}\nHASH=$2b$12$abc\n"));
    let mut child = Command::new(binary());
    child.env_clear().envs(fixture.environment());
    child.env("LATIN", std::ffi::OsString::from_vec(b"caf\xe9".to_vec()));
    child.arg("launch").arg("--root").arg(fixture.root());
    let tell = "printf '%s|%s' \"$HASH\" \"$LATIN\" > told";
    let status = child
        .args(["--", "sh", "-c", tell])
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    let told = std::fs::read(fixture.path("told")).unwrap();
    assert_eq!(told, b"$2b$12$abc|caf\xe9");
}

#[test]
fn a_command_with_a_slash_is_one_of_the_application() {
    let fixture = Fixture::healthy();
    fixture.script("bin/start", "echo started; exit 3");
    let (code, said) = launch(&fixture, &[], &["bin/start"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.ends_with("started\n"), "{said}");
}

#[test]
fn an_application_that_may_not_start_is_not_started() {
    let fixture = Fixture::healthy();
    std::fs::write(fixture.database(), [b'x'; 4096]).unwrap();
    let (code, said) = launch(&fixture, &[], &["touch", "started"]);
    assert_eq!(code, 1, "{said}");
    assert!(!fixture.path("started").exists());
}

#[test]
fn a_part_of_the_checks_starts_nothing() {
    let fixture = Fixture::healthy();
    for options in [
        &["codec"][..],
        &["--skip", "smoke"],
        &["--stage", "1"],
        &["--list"],
        &["--plan"],
    ] {
        let (code, said) = launch(&fixture, options, &["touch", "started"]);
        assert_eq!(code, 2, "{options:?}: {said}");
        assert!(said.contains("no reason to start"), "{said}");
        assert!(!fixture.path("started").exists());
    }
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let fixture = Fixture::healthy();
    for (command, code) in [("no-such-program", 127), (".env", 126)] {
        let command = match command {
            ".env" => fixture.path(".env").display().to_string(),
            name => name.to_owned(),
        };
        let (seen, said) = launch(&fixture, &[], &[&command]);
        assert_eq!(seen, code, "{said}");
        assert!(said.contains(&format!("cannot run `{command}`")), "{said}");
    }
}

#[test]
fn a_command_that_only_the_virtual_environment_has_is_pointed_at() {
    let fixture = Fixture::healthy();
    fixture.write(".venv/bin/serve-it", "#!/bin/sh\n");
    let (code, said) = launch(&fixture, &[], &["serve-it", "--port", "1"]);
    assert_eq!(code, 127, "{said}");
    let next = "next: `cargo xtask launch -- .venv/bin/serve-it ...`";
    assert!(said.contains(next), "{said}");
}

#[test]
fn signals_reach_the_application() {
    let fixture = Fixture::healthy();
    let mut child = Command::new(binary());
    child.env_clear().envs(fixture.environment());
    child.arg("launch").arg("--root").arg(fixture.root());
    // It tells its process id once it runs, and ends by the signal that it sends to that id.
    let child = child.args(["--", "sh", "-c", "echo $$ > pid; kill -TERM $(cat pid)"]);
    let child = child.stdout(Stdio::null()).spawn().unwrap();
    let launched = child.id().to_string();
    let status = child.wait_with_output().unwrap().status;
    assert_eq!(status.signal(), Some(15));
    assert_eq!(fixture.read("pid").trim(), launched);
}

/// At whatever instant it comes: the boot ends by it, or the application does, and never well.
/// The instants between the two, which no sleep meets, are tried in `faults/signals.rs`.
#[test]
fn no_signal_is_lost_on_the_way() {
    let fixture = Fixture::healthy();
    for _ in 0..40 {
        let mut child = Command::new(binary());
        child.env_clear().envs(fixture.environment());
        child.arg("launch").arg("--root").arg(fixture.root());
        child.args(["--", "sleep", "20"]).stdout(Stdio::null());
        let child = child.stderr(Stdio::null()).spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        // Sooner and later in each round: from the first instruction to the command itself.
        let delay = std::time::Duration::from_millis(3) * (child.id() % 40);
        std::thread::sleep(delay);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let started = std::time::Instant::now();
        let status = child.wait_with_output().unwrap().status;
        assert!(started.elapsed().as_secs() < 15, "the signal was lost");
        let well = status.code() == Some(0);
        assert!(!well, "after {delay:?}: {status}");
    }
}

#[test]
fn the_history_tells_how_boots_ended() {
    let fixture = Fixture::empty();
    let none = fixture.run(&["history"]);
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "there is no boot yet\n")
    );
    for _ in 0..2 {
        assert_eq!(fixture.boot(&[]).code, 0);
    }
    assert_eq!(fixture.boot(&["codec"]).code, 0);
    std::fs::write(fixture.database(), [b'x'; 4096]).unwrap();
    assert_eq!(fixture.boot(&[]).code, 1);
    fixture.write(
        "grace_training/startup_failures/boot_20990101_000000.json",
        "{",
    );

    let shown = fixture.run(&["history"]);
    shown.says(
        0,
        &[
            "3 (2 may start, 1 may not)",
            "Left out:      1",
            "Failed in a row: 1",
            "boot_20990101_000000.json` is damaged",
        ],
    );
    let json = fixture.run(&["history", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["boots"], 3);
    assert_eq!(json["runs"].as_array().unwrap().len(), 4);
    assert_eq!(json["runs"][0]["summary"]["verdict"], "blocked");
    assert!(
        json["issues"]
            .as_array()
            .unwrap()
            .iter()
            .any(|issue| issue["boots"] == 1)
    );
    // Healed, healthy, failed: 0, 100 and 80, the newer ones weighing more.
    assert_eq!(json["health_score"], 58);
}
