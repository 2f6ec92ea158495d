//! Runs the gate as a process.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::shim::Fault;

/// A boot that has ended.
pub(crate) struct Boot {
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) took: Duration,
    pub(crate) output: Output,
}

impl Boot {
    pub(crate) fn text(&self) -> String {
        let out = String::from_utf8_lossy(&self.output.stdout).into_owned();
        out + &String::from_utf8_lossy(&self.output.stderr)
    }

    /// The same with whatever was wrapped on one line again.
    pub(crate) fn unwrapped(&self) -> String {
        let text = self.text();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The lines that say what was wrong.
    pub(crate) fn complaints(&self) -> String {
        let text = self.text();
        let wanted = |line: &&str| {
            ["FAIL", "WARN", "ERROR", "error", "FIX", "Exit"]
                .iter()
                .any(|word| line.contains(word))
        };
        text.lines().filter(wanted).collect::<Vec<_>>().join("\n")
    }
}

/// A command that boots this root and knows nothing of the machine's environment.
pub(crate) fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "de_DE.ISO-8859-1")
        .args(["boot", "--root"])
        .arg(root)
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Boot {
    let started = Instant::now();
    let output = command.output().unwrap();
    Boot {
        code: output.status.code(),
        took: started.elapsed(),
        output,
    }
}

pub(crate) fn boot(root: &Path) -> Boot {
    run(&mut command(root))
}

/// A boot with a fault at its `at`-th change of the file system.
pub(crate) fn boot_with(root: &Path, library: &Path, fault: Fault, at: usize) -> Boot {
    let (kind, error) = fault.variables();
    run(with_library(&mut command(root), root, library)
        .env("FAULTS_AT", at.to_string())
        .env("FAULTS_KIND", kind)
        .env("FAULTS_ERRNO", error))
}

/// How many changes of the file system a boot makes.
pub(crate) fn count_changes(root: &Path, library: &Path) -> usize {
    count_changes_of(&mut command(root), root, library)
}

/// How many changes of the file system this boot makes.
pub(crate) fn count_changes_of(boot: &mut Command, root: &Path, library: &Path) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count");
    let boot = run(with_library(boot, root, library).env("FAULTS_COUNT", &file));
    assert_eq!(boot.code, Some(0), "{}", boot.text());
    let text = std::fs::read_to_string(&file).unwrap();
    text.trim().parse().unwrap()
}

/// Loads the library that counts the process's changes below this root.
pub(crate) fn with_library<'a>(
    command: &'a mut Command,
    root: &Path,
    library: &Path,
) -> &'a mut Command {
    command
        .env("LD_PRELOAD", library)
        .env("FAULTS_ROOT", format!("{}/", root.display()))
}
