//! A command that waits at an instant of its own, where the fault library holds it (see `faults.c`).

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::boots::{Boot, with_library};
use crate::sandbox::Sandbox;
use crate::shim;

/// An instant, by the word behind `FAULTS_`.
pub(crate) type At = &'static str;

pub(crate) struct Held {
    child: Child,
    started: Instant,
    files: tempfile::TempDir,
}

impl Held {
    /// Starts it, to be held at each of these.
    pub(crate) fn start(command: &mut Command, sandbox: &Sandbox, instants: &[At]) -> Held {
        let files = tempfile::tempdir().unwrap();
        with_library(command, sandbox.root(), shim::library());
        for at in instants {
            command.env(format!("FAULTS_{at}"), files.path().join(at));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Held {
            child: command.spawn().unwrap(),
            started: Instant::now(),
            files,
        }
    }

    fn go(&self, at: At) -> PathBuf {
        self.files.path().join(at)
    }

    /// Waits until it is there. False where it ended before.
    pub(crate) fn comes_to(&mut self, at: At) -> bool {
        let reached = self.go(at).with_extension("reached");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let has_ended = self.child.try_wait().unwrap().is_some();
            if reached.exists() || has_ended {
                return reached.exists();
            }
            assert!(Instant::now() < deadline, "never at {at}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn let_go(&self, at: At) {
        std::fs::write(self.go(at), "").unwrap();
    }

    pub(crate) fn end(self) -> Boot {
        let output = self.child.wait_with_output().unwrap();
        Boot {
            code: output.status.code(),
            took: self.started.elapsed(),
            output,
        }
    }
}

/// A command that is held there until `other` has done what it does, which is over once the command has ended.
pub(crate) fn held<T>(
    command: &mut Command,
    sandbox: &Sandbox,
    at: At,
    other: impl FnOnce() -> T,
) -> Boot {
    let mut held = Held::start(command, sandbox, &[at]);
    assert!(held.comes_to(at), "it ended before {at}");
    let kept_open = other();
    held.let_go(at);
    let ended = held.end();
    drop(kept_open);
    ended
}
