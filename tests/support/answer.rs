//! What a run of the gate said, and how long it took.

use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;

/// How long a boot may take that finds at once what is wrong. It takes milliseconds; whoever opens a pipe that
/// nobody writes into, or reads a device to its end, never comes back.
pub(crate) const AT_ONCE_MAX: Duration = Duration::from_secs(2);

/// What a boot answered.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From its start to its end, as whoever started it saw it.
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn new(output: Output, took: Duration) -> Answer {
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took,
        }
    }

    /// Both streams, for the message of a failing assertion.
    pub(crate) fn all(&self) -> String {
        format!("exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }

    /// As [`Answer::says`], of a boot that has nothing to wait for and ends in good time.
    #[track_caller]
    pub(crate) fn says_at_once(&self, code: i32, words: &[&str]) {
        self.says(code, words);
        let took = self.took;
        assert!(took <= AT_ONCE_MAX, "it took {took:.1?}: {}", self.all());
    }

    /// Asserts the exit code and that each of these is said somewhere.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.all());
        let unwrapped = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = unwrapped(&self.all());
        for word in words {
            assert!(
                all.contains(&unwrapped(word)),
                "no `{word}` in {}",
                self.all()
            );
        }
    }
}

/// Runs a command to its end.
pub(crate) fn answer(command: &mut Command) -> Answer {
    let started = Instant::now();
    let output = command.output().unwrap();
    Answer::new(output, started.elapsed())
}
