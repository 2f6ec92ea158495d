//! The application's own migration command, as a process that outlives whoever began it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use super::files::{open_own, open_regular};
use super::{file_identity, process_description, process_that_opened, process_with_variable};

/// What whatever the command starts has in its environment.
const VARIABLE: &str = "GRACE_BOOT_MIGRATION";

/// Who only looks has the lock for an instant.
const LOCK_TRIES: u32 = 10;

/// How long is waited between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A migration command that is being run.
///
/// Safety: a command outlives a gate that is killed, and beside another one each would take the other's work for
/// its own. So there is a file from before a command begins until its end is seen. The command has it as its
/// standard input, locked and empty, and its number in its environment, and so has what it starts: the lock ends
/// with the last process that has the file, and who gave the file away is told by the environment. Not seen is
/// who gave away both.
#[derive(Debug)]
pub(crate) struct RunningCommand {
    path: PathBuf,
    file: File,
    number: String,
}

/// Why no command may be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBegun {
    /// Another one is under way, and who that is.
    #[error("the migration command of another run is still under way{0}")]
    UnderWay(String),
    /// Whether one is cannot be told.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl RunningCommand {
    /// Notes that a command is about to be run.
    pub(crate) fn begin(state_folder: &Path) -> Result<RunningCommand, NotBegun> {
        let path = path(state_folder);
        let file = open_own(&path).map_err(io_error(&path))?;
        for tries in (0..LOCK_TRIES).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries > 0 => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(under_way_by_file(&path)),
                Err(TryLockError::Error(source)) => return Err(io_error(&path)(source)),
            }
        }
        let number = number(&file, &path)?;
        ensure_nobody_has(&number, &path)?;
        Ok(RunningCommand { path, file, number })
    }

    /// What the command is to have as its standard input.
    pub(crate) fn input(&self) -> io::Result<Stdio> {
        self.file.try_clone().map(Stdio::from)
    }

    /// What the command is to have in its environment: name and value.
    pub(crate) fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.number)
    }

    /// Notes that the command has ended. What it left running is no migration any more.
    pub(crate) fn end(self) {
        // Where it stays, it is nobody's.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a command is under way, and who that is.
///
/// # Errors
///
/// When it cannot be told.
pub(crate) fn ensure_none_is_under_way(state_folder: &Path) -> Result<(), NotBegun> {
    let path = path(state_folder);
    let file = match open_regular(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(io_error(&path))?,
    };
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(under_way_by_file(&path)),
        Err(TryLockError::Error(source)) => return Err(io_error(&path)(source)),
    }
    ensure_nobody_has(&number(&file, &path)?, &path)
}

fn path(state_folder: &Path) -> PathBuf {
    state_folder.join("tool")
}

/// No other file has it, nor had one that is gone.
fn number(file: &File, path: &Path) -> Result<String, NotBegun> {
    let metadata = file.metadata().map_err(io_error(path))?;
    let (device, inode) = file_identity(&metadata);
    // A file that is gone gives its number to a new one.
    let made = metadata.created().ok();
    let made = made.and_then(|made| made.duration_since(SystemTime::UNIX_EPOCH).ok());
    let made = made.map_or(0, |made| made.as_nanos());
    Ok(format!("{device}:{inode}:{made}"))
}

fn ensure_nobody_has(number: &str, path: &Path) -> Result<(), NotBegun> {
    match process_with_variable(VARIABLE, number) {
        Ok(None) => Ok(()),
        Ok(found) => Err(under_way(found)),
        Err(error) => match error.kind() {
            // Where the system keeps no list of processes, the lock alone tells.
            io::ErrorKind::NotFound | io::ErrorKind::Unsupported => Ok(()),
            _ => Err(io_error(path)(error)),
        },
    }
}

fn under_way_by_file(path: &Path) -> NotBegun {
    under_way(process_that_opened(path).ok().flatten())
}

fn under_way(pid: Option<u32>) -> NotBegun {
    let named = pid.map(|pid| format!(", pid {pid} ({})", process_description(pid)));
    NotBegun::UnderWay(named.unwrap_or_default())
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> NotBegun + use<'_> {
    |source| NotBegun::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;

    use super::*;

    /// Something that a command started, and that goes on when the gate does not.
    fn left_by(running: RunningCommand, script: &str) -> std::process::Child {
        let (name, value) = running.variable();
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).env(name, value);
        shell.stdin(running.input().unwrap()).spawn().unwrap()
    }

    #[test]
    fn whatever_a_command_gave_away_it_is_seen_until_it_ends() {
        for script in [
            "exec sleep 60",
            "exec sleep 60 < /dev/null",
            "exec env -i sleep 60",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let begin = || RunningCommand::begin(folder.path());
            let mut left = left_by(begin().unwrap(), script);
            let pid = format!("pid {} (", left.id());
            for refused in [begin().err(), ensure_none_is_under_way(folder.path()).err()] {
                let refused = refused.unwrap().to_string();
                assert!(refused.contains(&pid), "{script}: {refused}");
            }
            left.kill().unwrap();
            left.wait().unwrap();
            ensure_none_is_under_way(folder.path()).unwrap();
            begin().unwrap();
        }
    }

    #[test]
    fn what_a_command_left_that_ended_is_no_migration() {
        let folder = tempfile::tempdir().unwrap();
        let running = RunningCommand::begin(folder.path()).unwrap();
        let mut left = Command::new("sleep");
        let mut left = left
            .arg("60")
            .stdin(running.input().unwrap())
            .spawn()
            .unwrap();
        running.end();
        ensure_none_is_under_way(folder.path()).unwrap();
        RunningCommand::begin(folder.path()).unwrap().end();
        left.kill().unwrap();
        left.wait().unwrap();
    }
}
