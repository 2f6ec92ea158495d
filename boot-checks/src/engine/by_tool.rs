//! What the application's own tool makes of its database.

use std::fmt::Display;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::changes::{file_error, run_migrator};
use super::door::Part;
use super::in_database::locked;
use super::restore::{LOCK_WAIT, Restore};
use super::touched::{ABSENT, KeptOpen, Kind};
use super::{Backups, Door, DoorError, Journal, JournalEntry, Phase, STATE_FOLDER, Touched};
use crate::context::Context;
use crate::host::migration_command::{NotBegun, RunningCommand, ensure_none_is_under_way};
use crate::host::{self, PrivateFolder};
use crate::services::db::{
    Access, Connection, DbError, FileSet, MainFile, copy_for_looking, first_table_that_differs,
    holds_nothing_committed,
};

/// <https://www.sqlite.org/rescode.html#busy>
const SQLITE_BUSY: i32 = 5;

impl Door {
    /// Runs the application's own command on its database.
    ///
    /// Safety: the whole of the database is copied, flushed and in the journal before the command begins.
    /// While it runs nobody is kept out, the command itself least of all; so what it left is named, but
    /// whether all of that is its own is another question ([`Restore::ensure_nobody_loses`]).
    pub(super) fn run_tool(
        &self,
        cx: &Context,
        part: Part<'_>,
        argv: &[String],
        done: &mut Vec<Touched>,
    ) -> Result<(), DoorError> {
        let state_folder = self.root().join(STATE_FOLDER);
        if let Some(path) = cx.database_path() {
            self.take_turn(cx, path)?;
        }
        let running = RunningCommand::begin(&state_folder).map_err(not_begun)?;
        let mut touched = Vec::new();
        if let Some(path) = cx.database_path() {
            if path.exists() {
                cx.ensure_not_damaged()?;
            }
            touched.push(self.keep_for_tool(cx, path)?);
        }
        self.note(part, Phase::Begun, &touched)
            .map_err(file_error(&state_folder))?;
        let ran = run_migrator(cx, argv, running);
        for one in &mut touched {
            one.after = left(cx, &one.place(self.root()));
        }
        done.extend(touched.iter().cloned());
        ran?;
        // Without this line an undo is refused; what the command did is whole.
        let _ = self.note(part, Phase::Applied, &touched);
        Ok(())
    }

    /// Waits until no gate of another root runs a command on databases of this folder; what it has done then has to be
    /// looked at.
    ///
    /// Safety: the lock is on the folder, is kept until this process ends, and is the system's, so that no dead gate is
    /// waited for. Beside another gate, each would take the other's work for what its own command left in vain. Where
    /// the file system knows no such lock, what [`Restore::ensure_nobody_loses`] says has to do.
    fn take_turn(&self, cx: &Context, database: &Path) -> Result<(), DoorError> {
        let mut turn = self
            .tools_turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let folder = database.parent().unwrap_or(Path::new("."));
        let mut has_waited = false;
        while turn.is_none() {
            let Ok(file) = File::open(folder) else {
                return Ok(());
            };
            match file.try_lock() {
                Ok(()) => *turn = Some(file),
                Err(TryLockError::WouldBlock) => {
                    has_waited = true;
                    let error = DbError::Locked { code: SQLITE_BUSY };
                    let others = "the migration command of another application's gate".to_owned();
                    cx.wait_for(others, error)
                        .map_err(|source| locked(cx, source))?;
                }
                Err(TryLockError::Error(_)) => return Ok(()),
            }
        }
        match has_waited {
            true => Err(DoorError::Changed(database.to_owned())),
            false => Ok(()),
        }
    }

    fn keep_for_tool(&self, cx: &Context, path: &Path) -> Result<Touched, DoorError> {
        let files = FileSet::look(path);
        match files.main {
            MainFile::Missing if files.side_files().is_empty() => {
                Ok(self.touched(path, Kind::ByTool, ABSENT.to_owned(), None))
            }
            MainFile::Database(_) => self.keep_database(cx, path),
            // A log without its database: whatever opens it throws it away.
            _ => Err(DoorError::NotPossible(format!(
                "{} is no database that a copy could be kept of, so the command was not run",
                path.display()
            ))),
        }
    }

    /// Under the write lock, as before any other change ([`super::Backups::save_database`]).
    fn keep_database(&self, cx: &Context, path: &Path) -> Result<Touched, DoorError> {
        let mut kept = KeptOpen::default();
        let saved = cx.look(|connection| {
            let _transaction = connection.begin_immediate()?;
            // What it comes to is no answer of the database.
            Ok(self.save_locked(path, Kind::ByTool, &mut kept))
        });
        cx.forget_connection();
        drop(kept);
        saved.unwrap_or_else(|error| {
            Err(match error.is_locked() {
                true => locked(cx, error),
                false => DoorError::Database(error),
            })
        })
    }
}

fn not_begun(error: NotBegun) -> DoorError {
    match error {
        NotBegun::Io { path, source } => DoorError::File { path, source },
        NotBegun::UnderWay(_) => {
            DoorError::NotPossible(format!("{error}; let it finish or end it, then try again"))
        }
    }
}

/// Names what a command left, with the log folded in where nobody needs it, as the next look does it.
fn left(cx: &Context, path: &Path) -> Option<String> {
    cx.refresh();
    if matches!(FileSet::look(path).main, MainFile::Database(_)) {
        // What cannot be opened is named as it lies there.
        let _ = cx.look(|connection| connection.scalar("SELECT count(*) FROM sqlite_schema"));
        cx.refresh();
    }
    Kind::ByTool.state(path, &mut KeptOpen::default()).ok()
}

/// Why what a command did is not taken back without a person's word.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
    /// The command goes on, or whether it does cannot be told.
    #[error("{0}")]
    UnderWay(String),
    /// Somebody has it open.
    #[error("process {0} has it open")]
    Open(u32),
    /// Somebody may have it open.
    #[error("whether another process has it open cannot be seen: {0}")]
    OutOfSight(io::Error),
    /// Rows came, went or changed.
    #[error(
        "rows of {0} are not those from before, and whether all of that is the command's cannot be told"
    )]
    Rows(String),
    /// It cannot be compared.
    #[error("it cannot be compared with what was there before: {0}")]
    NotCompared(DbError),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is another's by now.
    #[error("it is another user's by now and cannot be given back to its owner: {0}")]
    Owner(io::Error),
}

impl Restore<'_> {
    /// Whether taking back what a command did takes nothing along that anybody else committed.
    ///
    /// Safety: while the command ran, anybody may have written, and SQLite does not tell who did. So it is
    /// taken back only where nobody is seen to have the database open, and where every row is as it was
    /// before: then what goes is structure alone, and no migration was recorded as finished, by whomever.
    /// What was compared is what [`Restore::run`] finds, or it refuses: everybody is kept out then, and
    /// the bytes are compared with those that were named here. Processes of other containers are not seen,
    /// nor those of other users but by root; what they hold a lock on is not taken back either, and into
    /// what they have merely open they write under its second name among the copies.
    pub(super) fn ensure_nobody_loses(&self, touched: &mut Touched) -> Result<(), Doubt> {
        let path = touched.place(self.root);
        ensure_it_has_ended(&self.root.join(STATE_FOLDER))?;
        let now = Kind::ByTool
            .state(&path, &mut KeptOpen::default())
            .map_err(Doubt::Unreadable)?;
        if now == touched.before {
            let Some(owner) = touched.owner else {
                return Ok(());
            };
            let given = File::open(&path).and_then(|file| host::give_to(&file, owner));
            return given.map_err(Doubt::Owner);
        }
        let files = FileSet::look(&path);
        match files.main {
            // The command removed it, and what was in it.
            MainFile::Missing if files.side_files().is_empty() => {}
            _ if touched.before == ABSENT && holds_nothing_committed(&files) => {
                ensure_not_open(&path)?;
            }
            MainFile::Database(_) => {
                ensure_not_open(&path)?;
                let kept = self.copy(touched);
                let differs = compare(&files, kept.as_deref()).map_err(Doubt::NotCompared)?;
                if let Some(table) = differs {
                    return Err(Doubt::Rows(table));
                }
            }
            _ => return Err(Doubt::NotCompared(DbError::NotADatabase)),
        }
        touched.after = Some(now);
        Ok(())
    }

    /// Says that what a command did stays, and what a person can do about it.
    pub(super) fn left_by_tool(&self, touched: &Touched, why: &dyn Display) -> String {
        let name = touched.path.display();
        let run = self.backups.folder();
        let run = run.file_name().unwrap_or_default().to_string_lossy();
        match self.copy(touched) {
            Some(copy) => {
                let copy = copy.strip_prefix(self.root).unwrap_or(&copy).display();
                let again = match touched.has_moved_to(self.root) {
                    Some(_) => " when it is again where it was",
                    None => "",
                };
                format!(
                    "{name} is as the command left it, since {why}; what was there before is kept in {copy}, \
                     and `cargo xtask undo {run}` puts it back{again}"
                )
            }
            None => format!(
                "{name} is as the command left it, since {why}; there was none before, and `cargo xtask undo \
                 {run}` moves it away"
            ),
        }
    }
}

/// Takes away what a command left of a database that it was making, where it was killed together with its gate before
/// its first commit: with it, no boot could make one.
///
/// Safety: as where a run takes back what its command did in vain, and only where nothing was ever committed. It is
/// moved to the run's copies.
pub(super) fn take_back_unfinished(root: &Path, last_run: &[JournalEntry]) {
    let state_folder = root.join(STATE_FOLDER);
    let is_begun = |touched: &&Touched| {
        let is_new = touched.kind == Kind::ByTool && touched.before == ABSENT;
        is_new && touched.after.is_none()
    };
    let Some(entry) = last_run.last().filter(|it| it.phase == Phase::Begun) else {
        return;
    };
    for touched in entry.touched.iter().filter(is_begun) {
        let files = FileSet::look(&touched.place(root));
        let is_there = files.main != MainFile::Missing;
        if !is_there
            || !holds_nothing_committed(&files)
            || ensure_none_is_under_way(&state_folder).is_err()
        {
            continue;
        }
        let restore = Restore {
            root,
            backups: &Backups::new(&state_folder, &entry.run_id),
            is_at_once: true,
        };
        let mut touched = touched.clone();
        let is_back = restore.ensure_nobody_loses(&mut touched).is_ok()
            && restore.run(&touched, &mut |_| Ok(())).is_ok();
        if is_back {
            touched.after = Some(touched.before.clone());
            // Where it cannot be written, an undo finds that nothing is there.
            let _ = Journal::new(&state_folder, &entry.run_id).write(&JournalEntry {
                phase: Phase::TakenBack,
                touched: vec![touched],
                ..entry.clone()
            });
        }
    }
}

/// A command that was stopped may have left something running in a session of its own. What was stopped takes a
/// moment to be gone.
fn ensure_it_has_ended(state_folder: &Path) -> Result<(), Doubt> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match ensure_none_is_under_way(state_folder) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(Doubt::UnderWay(error.to_string()));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// The same of one that has the database open.
fn ensure_not_open(path: &Path) -> Result<(), Doubt> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match host::process_that_opened(path) {
            Ok(None) => return Ok(()),
            Ok(Some(pid)) if Instant::now() >= deadline => return Err(Doubt::Open(pid)),
            Ok(Some(_)) => std::thread::sleep(POLL),
            Err(error) => return Err(Doubt::OutOfSight(error)),
        }
    }
}

/// How often is asked who has it open.
const POLL: Duration = Duration::from_millis(50);

/// The first table whose rows differ; where there was no database, every row is one too many.
fn compare(now: &FileSet, kept: Option<&Path>) -> Result<Option<String>, DbError> {
    let (now, _now) = undisturbed(now)?;
    let kept = kept
        .map(|kept| undisturbed(&FileSet::look(kept)))
        .transpose()?;
    let mut connection = Connection::open(&now, Access::ReadWrite, LOCK_WAIT)?;
    let kept = kept.as_ref().map(|(kept, _)| kept.as_path());
    let differs = first_table_that_differs(&mut connection, kept);
    connection.close();
    differs
}

/// Where it can be read without a byte of it being written, and what has to be kept for as long.
fn undisturbed(files: &FileSet) -> Result<(PathBuf, Option<PrivateFolder>), DbError> {
    if !files.reading_may_write() {
        return Ok((files.path.clone(), None));
    }
    let folder = copy_for_looking(files)?;
    let copy = folder
        .path()
        .join(files.path.file_name().unwrap_or_default());
    Ok((copy, Some(folder)))
}
