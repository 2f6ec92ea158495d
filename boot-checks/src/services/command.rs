//! Runs the application's own tools, within a time limit.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::config::Environment;

/// As much of the output as a person reads.
const TAIL_BYTES: usize = 4 << 10;

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// The last bytes of what it printed.
    pub tail: String,
}

impl Done {
    /// Whether it ended with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }
}

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run `{command}`: {source}")]
    NotStarted {
        /// The command.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long and was ended.
    #[error("`{command}` did not end within {limit:?} and was stopped")]
    TimedOut {
        /// The command.
        command: String,
        /// How long it had.
        limit: Duration,
    },
}

/// Runs a command in this folder with this environment and waits for its end.
///
/// # Errors
///
/// When it cannot be started or takes too long.
pub fn run(
    argv: &[String],
    folder: &Path,
    environment: &Environment,
    limit: Duration,
) -> Result<Done, CommandError> {
    let command = argv.join(" ");
    let not_started = |source| CommandError::NotStarted {
        command: command.clone(),
        source,
    };
    let Some((program, arguments)) = argv.split_first() else {
        return Err(not_started(std::io::Error::from(
            std::io::ErrorKind::InvalidInput,
        )));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .envs(
            environment
                .iter()
                .map(|(name, variable)| (name, &variable.value)),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    let output = [
        child.stdout.take().map(|pipe| tail_of(Box::new(pipe))),
        child.stderr.take().map(|pipe| tail_of(Box::new(pipe))),
    ];
    let status = wait(&mut child, limit).map_err(not_started)?;
    let Some(status) = status else {
        return Err(CommandError::TimedOut { command, limit });
    };
    let tail = output
        .into_iter()
        .flatten()
        .filter_map(|reader| reader.join().ok());
    Ok(Done {
        status,
        tail: tail.collect::<Vec<_>>().join("\n").trim().to_owned(),
    })
}

/// None when the limit is over; the command is ended then.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// Reads to the end, so that the command never waits for a full pipe, and keeps the last bytes.
fn tail_of(mut pipe: Box<dyn Read + Send>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut chunk) {
            kept.extend_from_slice(&chunk[..read]);
            let excess = kept.len().saturating_sub(TAIL_BYTES);
            kept.drain(..excess);
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Done, CommandError> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        run(&argv, Path::new("/"), &Environment::default(), limit)
    }

    #[test]
    fn status_and_the_end_of_the_output_come_back() {
        let done = sh(
            "seq 1 100000; echo end >&2; exit 3",
            Duration::from_secs(20),
        )
        .unwrap();
        assert!(!done.succeeded());
        assert!(
            done.tail.ends_with("end") && done.tail.len() < 3 * TAIL_BYTES,
            "{}",
            done.tail
        );
    }

    #[test]
    fn a_command_that_hangs_or_is_missing_is_an_error() {
        let error = sh("sleep 600", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }));
        let argv = ["no-such-program".to_owned()];
        let error = run(
            &argv,
            Path::new("/"),
            &Environment::default(),
            Duration::ZERO,
        )
        .unwrap_err();
        assert!(matches!(error, CommandError::NotStarted { .. }));
    }
}
