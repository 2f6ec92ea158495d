use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::door::STATE_FOLDER;
use super::memory::forget_integrity;
use super::restore::{LOCK_WAIT, Restore};
use super::touched::{ABSENT, KeptOpen};
use super::{
    Backups, Journal, JournalEntry, Kind, Phase, RestoreError, Touched, half_way, notices,
    put_file_back,
};
use super::{aside, swap};
use crate::host;
use crate::host::leftovers::{remove_leftovers, remove_leftovers_in};
use crate::host::lock::{GateLock, LockError};
use crate::host::migration_command::ensure_none_is_under_way;
use crate::services::SeenDatabases;
use crate::services::db::{self, Access, Connection, FileSet};

/// A run that was taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// What is again as it was before the run, and where a database is now that it took the place of, where others may
    /// have written into that.
    pub restored: Vec<(PathBuf, Option<PathBuf>)>,
    /// What the run had made, and is gone again.
    pub removed: Vec<PathBuf>,
    /// Databases that the run had made: moved away, with whatever is in them by now, and where they are now.
    pub set_aside: Vec<(PathBuf, Option<PathBuf>)>,
    /// Folders that the run had made and that hold something by now; they stay.
    pub stayed: Vec<PathBuf>,
    /// Whether an earlier undo had taken it back, and nothing was done: what is there since is others'.
    pub was_before: bool,
}

/// Why a run was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// A boot is under way.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal cannot be read.
    #[error("cannot read the journal: {0}")]
    Journal(#[source] io::Error),
    /// The journal knows of no change by this run.
    #[error("the journal knows of no change by a run `{0}`")]
    NoChange(String),
    /// Something is no longer as the run left it. Nothing was touched.
    #[error("nothing was touched: {}", words(.0))]
    Refused(Vec<RestoreError>),
    /// Somebody uses the database, or the system does not let it be replaced. Nothing was touched.
    #[error("nothing was touched: {0}")]
    NotPossible(#[source] RestoreError),
    /// Whether a migration command is under way cannot be told, or one is.
    #[error("nothing was touched: {0}")]
    UnderWay(String),
    /// Files that an earlier run was replacing are no longer what they were.
    #[error("{0}")]
    HalfWay(String),
    /// Some of it is taken back, and the rest could not be; the same command goes on.
    #[error("stopped half-way, the same command goes on: {0}")]
    Stopped(#[source] RestoreError),
}

impl UndoError {
    /// What a program that is gone left beside a database that is not as the run left it: SQLite settles that
    /// with the next boot, and the database may be as it was then.
    pub fn left_behind(&self) -> Option<PathBuf> {
        let UndoError::Refused(errors) = self else {
            return None;
        };
        let changed = errors.iter().filter_map(|error| match error {
            RestoreError::Changed(path) => Some(path),
            _ => None,
        });
        let mut left = changed
            .filter(|path| matches!(host::lock_holder(path, db::LOCK_BYTES), Ok(None)))
            .flat_map(|path| ["-journal", "-wal"].map(|suffix| db::side_file(path, suffix)));
        left.find(|side| side.metadata().is_ok_and(|metadata| metadata.len() > 0))
    }
}

fn words(errors: &[RestoreError]) -> String {
    let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// Takes back what a run changed: byte for byte and with its permissions, and the rows of a database
/// that keeps a write-ahead log, with the log folded in.
///
/// Safety: under the gate's lock, everything is compared with what the run left before anything is
/// touched, so that nothing that was written since is lost; each thing is put back by one atomic
/// step. What will be there is in the journal before it is, so that after a kill the same command
/// knows what is done already. That it came to its end is there too: what looks as the run left it
/// after that was made so by somebody else.
///
/// # Errors
///
/// Why nothing was taken back, or not all of it.
pub fn undo(
    root: &Path,
    run_id: &str,
    holder: &str,
    lock_budget: Duration,
    on_wait: impl FnMut(&str),
) -> Result<Undone, UndoError> {
    let state_folder = root.join(STATE_FOLDER);
    let journal = Journal::new(&state_folder, run_id);
    // Before the lock is taken: its file would be made for a run that never was.
    let all = history(&journal.read().map_err(UndoError::Journal)?);
    if all.is_empty() {
        return Err(UndoError::NoChange(run_id.to_owned()));
    }
    let _lock = GateLock::acquire(&state_folder.join("lock"), holder, lock_budget, on_wait)?;
    remove_leftovers_in(&state_folder);
    ensure_none_is_under_way(&state_folder).map_err(|it| UndoError::UnderWay(it.to_string()))?;
    swap::finish(root).map_err(|error| UndoError::HalfWay(error.to_string()))?;
    let entries = journal.read().map_err(UndoError::Journal)?;
    if entries.last().is_some_and(|it| it.phase == Phase::Undone) {
        return Ok(Undone {
            was_before: true,
            ..Undone::default()
        });
    }
    let all = history(&entries);
    let backups = Backups::new(&state_folder, run_id);
    let restore = Restore {
        root,
        backups: &backups,
        is_at_once: false,
    };
    let changed: Vec<&Past> = all
        .iter()
        .filter(|past| !past.touched.is_as_before())
        .collect();
    let against = changed
        .iter()
        .filter_map(|past| restore.ensure_openable(&past.touched).err());
    let against: Vec<RestoreError> = against.collect();
    if !against.is_empty() {
        return Err(UndoError::Refused(against));
    }
    for past in changed {
        roll_back(root, &past.touched);
    }
    let is_left = |past: &&Past| !past.touched.is_as_before() && !past.is_done(root);
    let left: Vec<&Past> = all.iter().filter(is_left).collect();
    let refusals: Vec<RestoreError> = left
        .iter()
        .filter_map(|past| restore.check(&past.touched).err())
        .collect();
    if !refusals.is_empty() {
        return Err(UndoError::Refused(refusals));
    }
    for past in &left {
        restore
            .ensure_free(&past.touched)
            .map_err(UndoError::NotPossible)?;
    }
    forget_integrity(root);
    let mut undone = Undone::default();
    // A copy that took the place of one that had vanished is no beginning: that one was there.
    let is_made_by_run = |past: &&&Past| {
        let is_made = matches!(past.touched.kind, Kind::Database | Kind::ByTool);
        is_made && past.touched.before == ABSENT
    };
    let never_was = left.iter().filter(is_made_by_run);
    let never_was: Vec<PathBuf> = never_was.map(|past| past.touched.path.clone()).collect();
    // Before it goes: where a kill comes between, it is there, and the next boot sees it.
    forget_databases(root, &never_was).map_err(|source| {
        UndoError::Stopped(RestoreError::Io {
            path: state_folder.clone(),
            source,
        })
    })?;
    for past in left.into_iter().rev() {
        let is_back = put_back(&restore, &journal, past).map_err(|error| {
            let is_begun = undone != Undone::default() || half_way::may_be(&state_folder);
            match error {
                error if is_begun => UndoError::Stopped(error),
                error @ RestoreError::Followed { .. } => UndoError::Stopped(error),
                error @ (RestoreError::Changed(_) | RestoreError::Moved { .. }) => {
                    UndoError::Refused(vec![error])
                }
                error => UndoError::NotPossible(error),
            }
        })?;
        let path = past.touched.path.clone();
        let kept = || {
            let names = aside::names_of(&past.touched.place(root), &restore.aside(&past.touched));
            names.into_iter().max()
        };
        match (is_back, past.touched.before.as_str(), past.touched.kind) {
            (false, _, _) => undone.stayed.push(path),
            (true, ABSENT, kind) if kind.is_database() => undone.set_aside.push((path, kept())),
            (true, ABSENT, _) => undone.removed.push(path),
            (true, _, Kind::ByTool | Kind::DatabaseSet) => undone.restored.push((path, kept())),
            (true, _, Kind::Database | Kind::File | Kind::Folder) => {
                undone.restored.push((path, None));
            }
        }
    }
    // An undo that was killed may have left what it replaced.
    for past in all.iter().filter(|past| past.touched.kind == Kind::File) {
        let path = past.touched.place(root);
        put_file_back::remove_what_was_removed(&path, &past.touched, &restore.aside(&past.touched));
        remove_leftovers(&path.canonicalize().unwrap_or(path));
    }
    // What was taken back needs nobody's eye. Where the notice stays, it says where to look.
    let _ = notices::acknowledge(&state_folder, Some(run_id));
    notices::tidy(&state_folder);
    // Where it cannot be written, the same command looks again.
    let _ = journal.write(&entry_of(&journal, Phase::Undone, Vec::new()));
    Ok(undone)
}

/// Lets SQLite roll back what a killed run had begun, as the next reader would. What it cannot do is
/// seen by the comparison that follows.
fn roll_back(root: &Path, touched: &Touched) {
    let path = touched.place(root);
    let journal = FileSet::look(&path).journal_bytes;
    if touched.kind != Kind::Database || journal.is_none_or(|bytes| bytes == 0) {
        return;
    }
    if let Ok(mut connection) = Connection::open(&path, Access::ReadWrite, LOCK_WAIT) {
        let _ = connection.query("SELECT count(*) FROM sqlite_schema", &[]);
        connection.close();
    }
}

/// What a run made of one thing, from its first change of it to its last.
#[derive(Debug)]
struct Past {
    touched: Touched,
    /// States that an earlier undo was about to leave.
    announced: Vec<String>,
    /// Whether somebody else wrote between two changes of the run.
    is_mixed: bool,
}

impl Past {
    fn is_done(&self, root: &Path) -> bool {
        let path = self.touched.place(root);
        let now = self.touched.kind.state(&path, &mut KeptOpen::default());
        now.is_ok_and(|now| self.announced.contains(&now))
    }
}

/// Whether something is not as it was before a run, as far as the journal knows; so it is where the journal knows
/// nothing of the run.
pub(super) fn leaves_something<'a>(of_run: impl Iterator<Item = &'a JournalEntry>) -> bool {
    let all = history(of_run);
    all.is_empty() || !all.iter().all(|past| past.touched.is_as_before())
}

/// In the order in which the things were first touched.
fn history<'a>(entries: impl IntoIterator<Item = &'a JournalEntry>) -> Vec<Past> {
    let mut all: Vec<Past> = Vec::new();
    for entry in entries {
        for touched in &entry.touched {
            let known = all
                .iter()
                .position(|past| past.touched.path == touched.path);
            match (known, entry.phase) {
                (None, _) => all.push(Past {
                    touched: touched.clone(),
                    announced: Vec::new(),
                    is_mixed: false,
                }),
                (Some(at), Phase::Undoing) => all[at].announced.extend(touched.after.clone()),
                (Some(at), phase) => go_on(&mut all[at], phase, touched),
            }
        }
    }
    all
}

/// The first state and the first copy stay, the last state counts. Where a change found something
/// else than the one before had left, somebody else has written in between: what is there is then
/// not the run's alone, whatever its later changes left.
fn go_on(past: &mut Past, phase: Phase, next: &Touched) {
    if phase == Phase::Begun {
        past.is_mixed |= past.touched.after.as_ref() != Some(&next.before);
    }
    past.touched.planned = match past.is_mixed {
        true => None,
        false => next.planned.clone(),
    };
    past.touched.after = match phase {
        Phase::Begun => None,
        _ if past.is_mixed => None,
        _ => next.after.clone(),
    };
}

fn put_back(restore: &Restore<'_>, journal: &Journal, past: &Past) -> Result<bool, RestoreError> {
    restore.run(&past.touched, &mut |state| {
        let touched = Touched {
            after: Some(state.to_owned()),
            ..past.touched.clone()
        };
        journal.write(&entry_of(journal, Phase::Undoing, vec![touched]))
    })
}

fn entry_of(journal: &Journal, phase: Phase, touched: Vec<Touched>) -> JournalEntry {
    JournalEntry {
        run_id: journal.run_id().to_owned(),
        step: String::new(),
        playbook: "undo".to_owned(),
        fingerprint: String::new(),
        phase,
        changes: Value::Null,
        touched,
    }
}

/// A database that the run had made and that is gone again was never there, as far as the next boot
/// is concerned. Only what this very undo took away: what an earlier one did may have come again since.
fn forget_databases(root: &Path, gone: &[PathBuf]) -> io::Result<()> {
    let names: Vec<String> = gone
        .iter()
        .map(|path| {
            let path = root.join(path);
            let name = path.strip_prefix(root).unwrap_or(&path);
            name.display().to_string()
        })
        .collect();
    SeenDatabases::below(root).forget(&names)
}
