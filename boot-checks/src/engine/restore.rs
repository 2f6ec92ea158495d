use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::in_place::LockedOut;
use super::swap::{Swap, SwapError, main_of};
use super::touched::{ABSENT, DATABASE_FILES, KeptOpen, Kind, Touched};
use super::{Backups, RestoreError, STATE_FOLDER, half_way, put_file_back, staged};
use crate::context::LeftLog;
use crate::host::leftovers::remove_leftovers;
use crate::host::{self, LockHolder};
use crate::services::db::{self, Access, Connection, DbError, side_file};

/// How long a restore waits for whoever uses the database.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(2);

/// How often is asked whether it has let go.
const POLL: Duration = Duration::from_millis(50);

/// Puts one thing back. `announce` is told the state that will be there, before it is.
pub(super) struct Restore<'a> {
    /// The application's root.
    pub(super) root: &'a Path,
    /// The copies of the run.
    pub(super) backups: &'a Backups,
    /// Whether a run takes its own changes back.
    pub(super) is_at_once: bool,
}

type Announce<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

impl Restore<'_> {
    /// Whether it could be put back now; changes nothing.
    pub(super) fn check(&self, touched: &Touched) -> Result<(), RestoreError> {
        if let (Some(was), Some(is)) = (&touched.really, touched.has_moved_to(self.root)) {
            let (path, was) = (touched.path.clone(), was.clone());
            return Err(RestoreError::Moved { path, was, is });
        }
        let path = touched.place(self.root);
        let now = state(touched.kind, &path, &mut KeptOpen::default())?;
        let is_given_away =
            |was| now != ABSENT && !matches!(host::owner(&path), Ok(Some(is)) if is == was);
        if touched.kind != Kind::ByTool && touched.owner.is_some_and(is_given_away) {
            return Err(RestoreError::Changed(path));
        }
        if now == touched.before {
            return Ok(());
        }
        match (&touched.after, touched.kind) {
            (_, Kind::Folder) => Ok(()),
            // A kill came between the change and its line in the journal.
            (None, kind) if touched.is_planned(&now) => self.check_copy(touched, kind),
            (None, _) => Err(RestoreError::Uncertain(path)),
            (Some(after), _) if *after != now => Err(RestoreError::Changed(path)),
            (Some(_), kind) => self.check_copy(touched, kind),
        }
    }

    /// Whether it could be replaced: whether its folder may be written and has room, it is no mount point, and nobody uses
    /// a database; whoever does may let go within [`LOCK_WAIT`].
    pub(super) fn ensure_free(&self, touched: &Touched) -> Result<(), RestoreError> {
        let path = touched.place(self.root);
        let folder = path.parent().unwrap_or(Path::new("."));
        if folder.exists() {
            host::can_write_folder(folder).map_err(io_error(folder))?;
            self.ensure_room(touched, folder).map_err(io_error(&path))?;
        }
        if touched.kind != Kind::Folder && host::is_mount_point(&path) {
            return Err(RestoreError::MountPoint(path));
        }
        if !touched.kind.is_database() {
            return Ok(());
        }
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match LockedOut::take(&path) {
                Err(SwapError::InUse(_)) if Instant::now() < deadline => std::thread::sleep(POLL),
                Err(SwapError::InUse(_)) => return Err(in_use(&path)),
                taken => return taken.map(drop).map_err(failed(&path)),
            }
        }
    }

    /// What is there stays until what comes is whole beside it.
    fn ensure_room(&self, touched: &Touched, folder: &Path) -> io::Result<()> {
        let copy = self.copy(touched);
        let files = copy
            .iter()
            .flat_map(|copy| DATABASE_FILES.map(|suffix| side_file(copy, suffix)));
        let bytes: u64 = files
            .filter_map(|file| fs::metadata(file).ok())
            .map(|it| it.len())
            .sum();
        let free = host::free_bytes(folder)?;
        if free < bytes {
            let words = format!("what was there before needs {bytes} bytes, and {free} are free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, words));
        }
        Ok(())
    }

    /// Whether SQLite may open what is there: what it would make of a log or a journal that is not the database's own,
    /// or does not hold, cannot be taken back.
    pub(super) fn ensure_openable(&self, touched: &Touched) -> Result<(), RestoreError> {
        let path = touched.place(self.root);
        match touched.kind {
            Kind::Database => ensure_openable(&path, self.root),
            _ => Ok(()),
        }
    }

    /// Whether the copy is what was there before; where nothing was, none is needed.
    pub(super) fn check_copy(&self, touched: &Touched, kind: Kind) -> Result<(), RestoreError> {
        let missing = || {
            let path = self.root.join(&touched.path);
            match self.backups.folder().exists() || kind == Kind::DatabaseSet {
                true => RestoreError::Copy(path),
                false => RestoreError::Pruned(path),
            }
        };
        let Some(copy) = self.copy(touched) else {
            return match touched.before.as_str() {
                ABSENT => Ok(()),
                _ => Err(missing()),
            };
        };
        let saved = state(kind, &copy, &mut KeptOpen::default())?;
        // The copy is private, whatever the original is: only the digests are compared.
        let digests = |state: &str| {
            state
                .split_whitespace()
                .skip(2)
                .map(str::to_owned)
                .collect()
        };
        let (saved, before): (Vec<_>, Vec<_>) = (digests(&saved), digests(&touched.before));
        if saved == before {
            Ok(())
        } else {
            Err(missing())
        }
    }

    /// Puts it back; false where a folder stays because something is in it by now.
    pub(super) fn run(
        &self,
        touched: &Touched,
        announce: Announce<'_>,
    ) -> Result<bool, RestoreError> {
        self.check(touched)?;
        let path = touched.place(self.root);
        if touched.kind == Kind::File {
            remove_leftovers(&path);
        }
        let now = state(touched.kind, &path, &mut KeptOpen::default())?;
        if now == touched.before {
            return Ok(true);
        }
        let io = io_error(&path);
        match touched.kind {
            Kind::Folder => Ok(fs::remove_dir(&path).is_ok()),
            Kind::File => {
                let contents = self.copy(touched).map(fs::read).transpose();
                let contents = contents.map_err(&io)?;
                announce(&touched.before).map_err(&io)?;
                match contents {
                    Some(contents) => put_file_back::rewrite(&path, &now, &contents)?,
                    None => put_file_back::remove(&path, &now, &self.aside(touched))?,
                }
                Ok(true)
            }
            Kind::Database | Kind::DatabaseSet | Kind::ByTool => {
                self.replace(&path, touched, announce).map(|()| true)
            }
        }
    }

    /// Where the copy stands; none where nothing was there.
    pub(super) fn copy(&self, touched: &Touched) -> Option<PathBuf> {
        let name = touched.saved.as_ref()?;
        let folder = match touched.kind {
            Kind::DatabaseSet => self.backups.quarantine().folder(),
            _ => self.backups.folder(),
        };
        Some(folder.join(name))
    }

    /// Where what is replaced keeps a name. Among the copies, of which the oldest make room, goes what a run made of a
    /// database, and nothing else is in it; and what a run takes back by itself, as it may at every start of the
    /// application. The quarantine, which nothing is removed from, would grow for ever.
    pub(super) fn aside(&self, touched: &Touched) -> PathBuf {
        match touched.kind {
            Kind::Database if touched.before != ABSENT => self.backups.folder(),
            Kind::Database | Kind::ByTool if self.is_at_once => self.backups.folder(),
            _ => self.backups.quarantine().folder(),
        }
    }

    /// Puts back what was there in the place of a database, or moves the database away where nothing was
    /// (see [`Swap`]).
    fn replace(
        &self,
        path: &Path,
        touched: &Touched,
        announce: Announce<'_>,
    ) -> Result<(), RestoreError> {
        let staged = match self.copy(touched) {
            // Nothing was there: nothing comes.
            None if touched.before == ABSENT => staged::name_of(self.root, path),
            None => return Err(RestoreError::Copy(path.to_owned())),
            Some(copy) if touched.kind == Kind::Database => {
                staged::stage(self.root, &copy, path, &touched.before)?
            }
            Some(copy) => {
                staged::stage_set(self.root, &copy, path, touched).map_err(io_error(path))?
            }
        };
        let replaced = self.swap(path, &staged, touched, announce);
        if replaced.is_err() && !half_way::may_be(&self.root.join(STATE_FOLDER)) {
            // The reason itself is reported; the next run removes what stays.
            let _ = staged::remove(&staged);
        }
        replaced
    }

    fn swap(
        &self,
        path: &Path,
        staged: &Path,
        touched: &Touched,
        announce: Announce<'_>,
    ) -> Result<(), RestoreError> {
        let changed = || RestoreError::Changed(path.to_owned());
        let folded = match touched.kind {
            Kind::Database => {
                let connection = open_openable(path, self.root)?;
                Some(fold_what_is_left(connection, path, touched)?)
            }
            _ => None,
        };
        let lock = LockedOut::take(path).map_err(failed(path))?;
        let mut kept = KeptOpen::default();
        let now = state(Kind::DatabaseSet, path, &mut kept)?;
        let is_expected = match &folded {
            Some(main) => main_of(&now) == main && staged::is_one_file(path),
            None => Some(&now) == touched.after.as_ref(),
        };
        if !is_expected {
            return Err(changed());
        }
        let target = state(Kind::DatabaseSet, staged, &mut KeptOpen::default())?;
        announce(&target).map_err(io_error(path))?;
        let swap = Swap {
            database: path.to_owned(),
            staged: staged.to_owned(),
            present: main_of(&now).to_owned(),
            before: now.clone(),
            target,
            is_in_place: false,
            root: None,
            aside: self.aside(touched),
        };
        let swapped = swap.begin(self.root).map_err(failed(path));
        drop(kept);
        drop(lock);
        swapped
    }
}

fn ensure_openable(path: &Path, root: &Path) -> Result<(), RestoreError> {
    match LeftLog::of(path, &root.join(STATE_FOLDER)).refusal() {
        Some(reason) => Err(RestoreError::LeftBeside {
            path: path.to_owned(),
            reason,
        }),
        None => Ok(()),
    }
}

/// Opens what SQLite may open.
///
/// Safety: it is judged between the opening and the first question. Whoever has its log open then is joined, and stays
/// the one whose index counts; where nobody has, what lies there is a crash's.
fn open_openable(path: &Path, root: &Path) -> Result<Connection, RestoreError> {
    let opened = Connection::open(path, Access::ReadWrite, LOCK_WAIT);
    let connection = opened.map_err(|source| RestoreError::Database {
        path: path.to_owned(),
        source,
    })?;
    match ensure_openable(path, root) {
        Ok(()) => Ok(connection),
        Err(error) => {
            connection.close();
            Err(error)
        }
    }
}

/// Moves the log of what a run left into its main file, where that is what the run left, and names the main
/// file then.
///
/// Safety: SQLite's exclusive lock is held from the comparison until the log is empty, so that nothing is in
/// the main file but what was compared. Who writes after it has another main file, or a log.
fn fold_what_is_left(
    mut connection: Connection,
    path: &Path,
    touched: &Touched,
) -> Result<String, RestoreError> {
    let db = |source| RestoreError::Database {
        path: path.to_owned(),
        source,
    };
    let mut kept = KeptOpen::default();
    let folded = (|| {
        lock_alone(&mut connection).map_err(db)?;
        if Some(state(Kind::Database, path, &mut kept)?) != touched.after {
            return Err(RestoreError::Changed(path.to_owned()));
        }
        staged::empty_log(&mut connection, path).map_err(db)?;
        Ok(main_of(&state(Kind::Database, path, &mut kept)?).to_owned())
    })();
    connection.close();
    folded
}

/// Named, where the system tells who it is.
fn in_use(path: &Path) -> RestoreError {
    match db::lock_holder(path) {
        Some(LockHolder::Process { pid, description }) => RestoreError::Opened {
            path: path.to_owned(),
            by: format!("pid {pid} ({description})"),
        },
        Some(LockHolder::OutOfSight) | None => RestoreError::InUse(path.to_owned()),
    }
}

fn failed(path: &Path) -> impl Fn(SwapError) -> RestoreError + use<'_> {
    |error| match error {
        SwapError::Changed { .. }
        | SwapError::Overtaken { .. }
        | SwapError::Unclear { .. }
        | SwapError::Elsewhere { .. } => RestoreError::Changed(path.to_owned()),
        SwapError::InUse(_) => RestoreError::InUse(path.to_owned()),
        SwapError::Opened { by, .. } => RestoreError::Opened {
            path: path.to_owned(),
            by,
        },
        SwapError::MountPoint(path) => RestoreError::MountPoint(path),
        SwapError::Io { path, source } => RestoreError::Io { path, source },
    }
}

pub(super) fn io_error(path: &Path) -> impl Fn(io::Error) -> RestoreError + use<'_> {
    |source| RestoreError::Io {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn state(kind: Kind, path: &Path, kept: &mut KeptOpen) -> Result<String, RestoreError> {
    kind.state(path, kept).map_err(io_error(path))
}

/// Locks everybody else out, readers too, until the connection is closed.
fn lock_alone(connection: &mut Connection) -> Result<(), DbError> {
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")?;
    connection.execute("BEGIN EXCLUSIVE")?;
    connection.execute("COMMIT")
}
