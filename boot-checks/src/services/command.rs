//! Runs the application's own tools, within a time limit.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Environment;
use crate::host;

/// As much of the output as a person reads.
const TAIL_BYTES: usize = 4 << 10;

/// How long a command may take without a word.
const SLOW: Duration = Duration::from_secs(2);

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(10);

/// How long the end of the output is waited for once the command has ended: what it left running in
/// the background may keep the pipe open for ever.
const OUTPUT_WAIT: Duration = Duration::from_millis(500);

/// The command that runs now, so that whoever ends this process can end it too.
static RUNNING: Mutex<Option<u32>> = Mutex::new(None);

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

impl CommandError {
    /// What to do about it, for one that boot.toml names under `[migrations]` by this key.
    pub fn hint(&self, key: &str) -> String {
        match self {
            CommandError::NotStarted { .. } => {
                format!(
                    "let `{key}` under [migrations] in boot.toml name a program that is there and may be run: one \
                     that is not in PATH by where it is, as `.venv/bin/alembic`"
                )
            }
            CommandError::TimedOut { .. } => format!(
                "run it by hand and see what it waits for, or raise `timeout_seconds` under [migrations] in \
                 boot.toml (`{key}`)"
            ),
        }
    }
}

/// Runs a command in this folder with this environment and this standard input, and waits for its end;
/// `on_slow` is called once where that takes more than two seconds.
///
/// # Errors
///
/// When it cannot be started or takes too long.
pub fn run(
    argv: &[String],
    folder: &Path,
    environment: &Environment,
    input: Stdio,
    limit: Duration,
    on_slow: &dyn Fn(),
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
    let mut prepared = Command::new(program);
    host::in_a_group_of_its_own(&mut prepared);
    let mut child = prepared
        .args(arguments)
        .current_dir(folder)
        .envs(
            environment
                .iter()
                .map(|(name, variable)| (name, &variable.value)),
        )
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    set_running(Some(child.id()));
    let output = [
        child.stdout.take().map(|pipe| Tail::of(Box::new(pipe))),
        child.stderr.take().map(|pipe| Tail::of(Box::new(pipe))),
    ];
    let status = wait(&mut child, limit, on_slow);
    set_running(None);
    let status = status.map_err(not_started)?;
    let Some(status) = status else {
        return Err(CommandError::TimedOut { command, limit });
    };
    let end = Instant::now() + OUTPUT_WAIT;
    let tails = output.into_iter().flatten().map(|tail| tail.text(end));
    Ok(Done {
        status,
        tail: tails.collect::<Vec<_>>().join("\n").trim().to_owned(),
    })
}

/// Ends the command that runs now, with everything that it started, because this process ends.
pub fn stop_running() {
    let running = *RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid) = running {
        host::stop_group(pid);
    }
}

fn set_running(pid: Option<u32>) {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = pid;
}

/// None when the limit is over; the command is ended then.
fn wait(
    child: &mut Child,
    limit: Duration,
    on_slow: &dyn Fn(),
) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    let (deadline, mut slow) = (started + limit, Some(started + SLOW));
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            host::stop_group(child.id());
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        if slow.take_if(|slow| Instant::now() >= *slow).is_some() {
            on_slow();
        }
        std::thread::sleep(POLL);
    }
}

/// The last bytes that come out of a pipe.
struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Tail {
    /// Reads to the end, so that the command never waits for a full pipe.
    fn of(mut pipe: Box<dyn Read + Send>) -> Tail {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = channel();
        let shared = Arc::clone(&kept);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut chunk) {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&chunk[..read]);
                let excess = kept.len().saturating_sub(TAIL_BYTES);
                kept.drain(..excess);
            }
            // Nobody may be waiting any more.
            let _ = end.send(());
        });
        Tail { kept, ended }
    }

    /// What there is when the pipe is closed, or at `latest`.
    fn text(&self, latest: Instant) -> String {
        // Late or closed, it is the same: what came is what there is.
        let left = latest.saturating_duration_since(Instant::now());
        let _ = self.ended.recv_timeout(left);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        // A line of which only the end is left says little, but where it is all that there is.
        let whole = text.split_once('\n').map(|(_, rest)| rest);
        let whole = whole.filter(|rest| kept.len() == TAIL_BYTES && !rest.trim().is_empty());
        whole.unwrap_or(&text).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Done, CommandError> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        run(
            &argv,
            Path::new("/"),
            &Environment::default(),
            Stdio::null(),
            limit,
            &|| {},
        )
    }

    #[test]
    fn what_is_kept_begins_with_a_whole_line_where_there_is_one() {
        let tail = |script| sh(script, Duration::from_secs(20)).unwrap().tail;
        let lines = tail("seq 1000000000 1000009999");
        let first = lines.lines().next().unwrap();
        assert!(
            first.len() == 10 && lines.ends_with("1000009999"),
            "{lines}"
        );
        let line = tail("seq 1 100000 | tr '\\n' ' '; echo end");
        assert!(
            line.len() > TAIL_BYTES / 2 && line.ends_with("end"),
            "{line}"
        );
        assert_eq!(tail("echo short; echo end"), "short\nend");
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
            Stdio::null(),
            Duration::ZERO,
            &|| {},
        )
        .unwrap_err();
        assert!(matches!(error, CommandError::NotStarted { .. }));
    }

    #[test]
    fn what_is_left_in_the_background_is_not_waited_for() {
        let started = Instant::now();
        let done = sh("sleep 60 & echo done", Duration::from_secs(20)).unwrap();
        assert!(done.succeeded() && done.tail == "done", "{}", done.tail);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_hanging_command_started_is_stopped_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", pid_file.display());
        sh(&script, Duration::from_secs(2)).unwrap_err();
        let pid: u32 = std::fs::read_to_string(pid_file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        // Whoever adopts it may take a moment to bury it; a dead one has no command line.
        while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty()) {
            assert!(Instant::now() < deadline, "pid {pid} goes on");
            std::thread::sleep(POLL);
        }
    }
}
