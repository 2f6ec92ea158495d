//! Standard output that takes nothing, or not all.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::support::{self, Fixture};

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
