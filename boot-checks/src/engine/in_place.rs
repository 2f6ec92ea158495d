//! One main file takes the place of another, and nobody gets at either meanwhile.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::aside;
use super::swap_error::{SwapError, at, at_place};
use crate::host::{self, files};

/// How long whoever has a database open without a lock may take to let go of it, and how often is looked.
const LET_GO: Duration = Duration::from_millis(300);
const POLL: Duration = Duration::from_millis(10);

/// Gives a main file the place of the one that is there, which the caller keeps everybody out of. As long as
/// what is answered lives, nobody gets at the one that came either.
///
/// Safety: a connection that is merely open holds no lock, and goes on with the file that it opened. Where
/// that has a write-ahead log, SQLite finds the log by the name, so that it would write into that of the file
/// that came, and both were lost. So nothing is replaced that another process has open. Who opens it between
/// the look and the rename is seen by the look after it, and what was there gets its place back before
/// anybody could read or write either; whoever had opened what came until then is told by SQLite that it is no
/// database, and opens what is there. Processes that the system does not show (of other users, where the gate
/// is not root's, and of other containers) are seen before, where the file system knows leases ([`LockedOut::take`]),
/// and not between; what they still write into a file without such a log is under its second name
/// ([`aside::give_second_name`]).
pub(super) fn put_in_place(
    staged: &Path,
    database: &Path,
    aside: &Path,
    is_there: bool,
) -> Result<LockedOut, SwapError> {
    if !is_there {
        let came = LockedOut::take(staged)?;
        // Somebody may make one at this very instant.
        return match files::rename_without_replacing(staged, database) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(SwapError::InUse(database.to_owned()))
            }
            put => put.map(|()| came).map_err(at(staged)),
        };
    }
    ensure_unopened(database, database)?;
    let came = LockedOut::take(staged)?;
    let second = aside::give_second_name(database, aside).map_err(at(database))?;
    fs::rename(staged, database).map_err(at_place(database))?;
    if let Some(second) = second
        && let Err(error) = ensure_unopened(&second, database)
    {
        came.copy_to(staged, database).map_err(at(staged))?;
        fs::rename(&second, database).map_err(at(database))?;
        came.spoil().map_err(at(staged))?;
        return Err(error);
    }
    Ok(came)
}

/// Moves a main file away where nothing comes, as [`put_in_place`] does where something does.
pub(super) fn take_away(database: &Path, aside: &Path) -> Result<(), SwapError> {
    ensure_unopened(database, database)?;
    let moved = aside::move_away(database, aside).map_err(at_place(database))?;
    if let Some(moved) = moved
        && let Err(error) = ensure_unopened(&moved, database)
    {
        files::rename_without_replacing(&moved, database).map_err(at(database))?;
        return Err(error);
    }
    Ok(())
}

/// Whether no other process has a file open, which `database` names for people. Where nothing is there, nobody
/// has, nor where the system keeps no list of what is open; where it keeps one that cannot be read, nobody knows.
pub(super) fn ensure_unopened(file: &Path, database: &Path) -> Result<(), SwapError> {
    match host::process_that_opened(file) {
        Ok(Some(pid)) => Err(SwapError::Opened {
            database: database.to_owned(),
            by: format!("pid {pid} ({})", host::process_description(pid)),
        }),
        Ok(None) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::Unsupported => Ok(()),
            _ => Err(at(database)(error)),
        },
    }
}

/// The same of a process that the system does not show, of a file that this process has open once.
fn ensure_unopened_out_of_sight(file: &File, database: &Path) -> Result<(), SwapError> {
    match host::is_open_elsewhere(file) {
        Some(true) => Err(SwapError::Opened {
            database: database.to_owned(),
            by: "a live process out of sight (another container or user)".to_owned(),
        }),
        Some(false) | None => Ok(()),
    }
}

/// Every other process is kept out of a database, also where SQLite cannot read it any more.
///
/// Safety: a lock over the whole file covers SQLite's own lock bytes, of which every connection that
/// reads or writes, and every open one with a write-ahead log, holds a part. This process must have no
/// connection of its own, and whoever reads the file meanwhile keeps its descriptors open ([`super::touched::KeptOpen`]):
/// closing one would drop the lock. Nor has another process it open then without a lock, see
/// [`put_in_place`].
#[derive(Debug)]
pub(super) struct LockedOut {
    file: Option<File>,
}

impl LockedOut {
    /// Whoever has it open without a lock is given a moment: a process that is just being started has the files of
    /// the one that starts it.
    pub(super) fn take(database: &Path) -> Result<LockedOut, SwapError> {
        let deadline = Instant::now() + LET_GO;
        loop {
            match LockedOut::take_now(database) {
                Err(SwapError::Opened { .. }) if Instant::now() < deadline => thread::sleep(POLL),
                taken => return taken,
            }
        }
    }

    fn take_now(database: &Path) -> Result<LockedOut, SwapError> {
        if host::is_mount_point(database) {
            return Err(SwapError::MountPoint(database.to_owned()));
        }
        let file = match File::options().read(true).write(true).open(database) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(file.map_err(at(database))?),
        };
        match &file {
            Some(file) if !host::lock_whole_file(file).map_err(at(database))? => {
                return Err(SwapError::InUse(database.to_owned()));
            }
            Some(file) => {
                ensure_unopened(database, database)?;
                ensure_unopened_out_of_sight(file, database)?;
            }
            None => {}
        }
        Ok(LockedOut { file })
    }

    /// Puts a copy of it where it was, for another try; `now` is its name. It is read where it is open: a second
    /// descriptor would drop the lock as it is closed, and what is committed by then would be destroyed with it.
    fn copy_to(&self, staged: &Path, now: &Path) -> io::Result<()> {
        let Some(mut came) = self.file.as_ref() else {
            return Ok(());
        };
        let mut copy = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(staged)?;
        came.seek(SeekFrom::Start(0))?;
        io::copy(&mut came, &mut copy)?;
        host::copy_owner_and_mode(now, &copy)?;
        copy.sync_all()
    }

    /// Makes the file one that SQLite takes for no database, whoever has it open.
    fn spoil(&self) -> io::Result<()> {
        let mut file = match &self.file {
            Some(file) => file,
            None => return Ok(()),
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(b"another file has this one's place")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn whoever_lets_go_in_a_moment_keeps_nobody_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        fs::write(&database, "").unwrap();
        for (seconds, is_free) in [("0.05", true), ("60", false)] {
            let held = Stdio::from(File::open(&database).unwrap());
            let mut other = Command::new("sleep")
                .arg(seconds)
                .stdin(held)
                .spawn()
                .unwrap();
            let taken = LockedOut::take(&database);
            let _ = other.kill();
            other.wait().unwrap();
            match taken {
                Err(SwapError::Opened { by, .. }) if !is_free => {
                    assert!(by.contains("sleep"), "{by}")
                }
                taken => assert!(is_free && taken.is_ok(), "{seconds}: {taken:?}"),
            }
        }
    }
}
