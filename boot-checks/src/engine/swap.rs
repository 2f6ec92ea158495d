use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::in_place::{LockedOut, ensure_unopened, put_in_place, take_away};
pub(super) use super::swap_error::SwapError;
use super::swap_error::{at, damaged};
use super::touched::{ABSENT, KeptOpen, Kind};
use super::{STATE_FOLDER, aside, staged};
use crate::host;
use crate::host::files::{self, Durability};
use crate::services::db::side_file;

/// Puts other files in the place of a database with all that SQLite keeps beside it, which takes more
/// than one rename.
///
/// Safety: what is to be done is on the disk, in the gate's own folder, before the first step; whoever
/// has the gate's lock next takes it up where it was. The side files that are there are moved away
/// before the main file is replaced, because a log beside another main file would be taken for that
/// file's; those that come are put in place after it. Before the main file is replaced, it is compared
/// with what it was, and what comes with what was staged; after a kill, what came is compared before its
/// side files are put beside it. Where one of them is another by now, nothing more is done and every
/// file stays. What is replaced has been copied, byte for byte and flushed,
/// and stays under a second name for whoever has it open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Swap {
    /// The main file.
    pub(super) database: PathBuf,
    /// The main file that comes, with its side files beside it.
    pub(super) staged: PathBuf,
    /// Names exactly the main file that is there.
    pub(super) present: String,
    /// Names exactly all files that are there. An earlier version wrote down none.
    #[serde(default)]
    pub(super) before: String,
    /// Names exactly the files that come.
    pub(super) target: String,
    /// Whether the main file has come, and nobody had the one open that was there.
    #[serde(default)]
    pub(super) is_in_place: bool,
    /// Where the side files go that are there.
    pub(super) aside: PathBuf,
    /// What tells the root that began it from a copy; an earlier version wrote down nothing.
    #[serde(default)]
    pub(super) root: Option<(u64, u64)>,
}

/// Where side files were moved to, and from.
type Moved = Vec<(PathBuf, PathBuf)>;

/// The side files, in the order in which they are moved.
const SIDE_FILES: [&str; 3] = ["-wal", "-journal", "-shm"];

/// What is written down of one that is under way.
pub(super) fn manifest(state_folder: &Path) -> PathBuf {
    state_folder.join("swap.json")
}

impl Swap {
    /// Writes down what is to be done, and does it. The caller keeps everybody else out.
    pub(super) fn begin(&self, root: &Path) -> Result<(), SwapError> {
        self.write_down(root)?;
        let mut moved = Vec::new();
        // Open until all of it is back: closing one would drop the lock that keeps the others out.
        let mut kept = KeptOpen::default();
        match self.carry_out(root, &mut moved, &mut kept) {
            // Behind it, what was moved away belongs to what is there no more.
            Err(error) if error.is_for_good() && self.main_is_to_come(&mut kept)? => {
                self.give_up(&root.join(STATE_FOLDER), &moved)?;
                Err(error)
            }
            other => other,
        }
    }

    /// Safety: paths below the root are written down relative to it, so that whoever takes it up in a
    /// copy of the root, or where the root was moved to, works on the files of that one.
    fn write_down(&self, root: &Path) -> Result<(), SwapError> {
        let file = manifest(&root.join(STATE_FOLDER));
        let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_owned();
        let root = fs::metadata(root).map_err(at(root))?;
        let written = Swap {
            root: Some(host::file_identity(&root)),
            ..self.with_paths(below)
        };
        serde_json::to_vec_pretty(&written)
            .map_err(io::Error::from)
            .and_then(|text| files::write_atomic(&file, &text, Durability::Synced, None))
            .map_err(at(&file))
    }

    fn with_paths(&self, path: impl Fn(&Path) -> PathBuf) -> Swap {
        Swap {
            database: path(&self.database),
            staged: path(&self.staged),
            aside: path(&self.aside),
            ..self.clone()
        }
    }

    /// Where files are set aside is always below the root that began it. A database elsewhere is another
    /// matter: several roots may know it, and what they do not find there another one has finished.
    fn is_of_another_root(&self, root: &Path) -> Result<bool, SwapError> {
        if !self.aside.starts_with(root) {
            return Ok(true);
        }
        let itself = fs::metadata(root).map_err(at(root))?;
        let is_itself = self.root == Some(host::file_identity(&itself));
        if is_itself || self.database.starts_with(root) || staged::is_there(&self.staged) {
            return Ok(false);
        }
        Ok(main_now(&self.database, &mut KeptOpen::default())? != main_of(&self.target))
    }

    /// Whether all files are as they were before it began. Where that cannot be seen, it is not so.
    pub(super) fn has_changed_nothing(&self) -> bool {
        let now = Kind::DatabaseSet.state(&self.database, &mut KeptOpen::default());
        now.is_ok_and(|now| now == self.before)
    }

    fn carry_out(
        &self,
        root: &Path,
        moved: &mut Moved,
        kept: &mut KeptOpen,
    ) -> Result<(), SwapError> {
        let state_folder = &root.join(STATE_FOLDER);
        let folder = self.database.parent().unwrap_or(Path::new("."));
        let mut came = None;
        if self.main_is_to_come(kept)? {
            self.compare(state_folder, kept)?;
            for suffix in SIDE_FILES {
                let file = side_file(&self.database, suffix);
                let name = self.move_away(&file)?;
                moved.extend(name.map(|name| (name, file)));
            }
            // On the disk before the main file is: it must never be found beside another's log.
            files::sync_folder(folder).map_err(at(folder))?;
            if self.target_has_main() {
                let is_there = self.present != ABSENT;
                let put = put_in_place(&self.staged, &self.database, &self.aside, is_there);
                came = Some(put?);
            } else {
                take_away(&self.database, &self.aside)?;
            }
            files::sync_folder(folder).map_err(at(folder))?;
            let is_in_place = true;
            Swap {
                is_in_place,
                ..self.clone()
            }
            .write_down(root)?;
        } else {
            self.ensure_its_own(state_folder, kept)?;
            if !self.compare_what_came(state_folder, kept)? {
                // They say nothing, and are nothing to what is there by now.
                staged::remove(&self.staged).map_err(at(&self.staged))?;
            }
        }
        for suffix in SIDE_FILES {
            let waiting = side_file(&self.staged, suffix);
            if !waiting.exists() {
                continue;
            }
            let put = files::rename_without_replacing(&waiting, &side_file(&self.database, suffix));
            match put.map_err(|error| (error.kind(), error)) {
                Ok(()) => {}
                Err((io::ErrorKind::AlreadyExists, _)) if says_something(suffix, &waiting) => {
                    return Err(self.overtaken(&waiting, state_folder));
                }
                Err((io::ErrorKind::AlreadyExists, _)) => {
                    fs::remove_file(&waiting).map_err(at(&waiting))?;
                }
                Err((_, error)) => return Err(at(&waiting)(error)),
            }
        }
        files::sync_folder(folder).map_err(at(folder))?;
        drop(came);
        remove_manifest(state_folder)
    }

    /// Everything stays, or is again, what and where it was.
    fn give_up(&self, state_folder: &Path, moved: &[(PathBuf, PathBuf)]) -> Result<(), SwapError> {
        for (name, file) in moved {
            files::rename_without_replacing(name, file).map_err(at(file))?;
        }
        let folder = self.database.parent().unwrap_or(Path::new("."));
        files::sync_folder(folder).map_err(at(folder))?;
        remove_manifest(state_folder)?;
        // A copy of what is kept elsewhere.
        staged::remove(&self.staged).map_err(at(&self.staged))
    }

    /// After a kill before the main file came: whether somebody has used the database since, so that what was
    /// to come is to come no more.
    ///
    /// Safety: what was committed since is nowhere else. Where a log of what was there had been moved away by
    /// then, it was committed without that log's rows; which of the two is to be is not told by the files. So
    /// it is where a log lay there alone: SQLite throws it away when it makes the main file anew.
    fn is_overtaken(&self, state_folder: &Path, kept: &mut KeptOpen) -> Result<bool, SwapError> {
        if self.before.is_empty() || !self.main_is_to_come(kept)? {
            return Ok(false);
        }
        let now = Kind::DatabaseSet
            .state(&self.database, kept)
            .map_err(at(&self.database))?;
        let log_then = |suffix| side_of(&self.before, suffix);
        let is_known = |suffix| {
            let log = side_of(&now, suffix);
            log.is_none() || log == log_then(suffix)
        };
        let logs = ["-wal", "-journal"];
        if main_of(&now) == self.present && logs.into_iter().all(is_known) {
            return Ok(false);
        }
        let was_alone = self.present == ABSENT;
        for suffix in logs {
            if log_then(suffix).is_some() && (was_alone || self.has_moved(suffix)?) {
                return Err(self.changed(state_folder));
            }
        }
        Ok(true)
    }

    /// After a kill behind the rename: whether what lies beside the main file that came can be its own.
    ///
    /// Safety: who had opened the file that was there, before the rename and after the look, goes on in it, and
    /// its log gets the name of a log of the file that came. Whose it is, its pages do not tell; and what was
    /// written into the file that was there is in no other.
    fn ensure_its_own(&self, state_folder: &Path, kept: &mut KeptOpen) -> Result<(), SwapError> {
        if self.is_in_place || !self.target_has_main() {
            return Ok(());
        }
        let names = aside::names_of(&self.database, &self.aside);
        let mut is_as_it_was = names.is_empty();
        for name in names {
            ensure_unopened(&name, &self.database)?;
            is_as_it_was |= main_now(&name, &mut KeptOpen::default())? == self.present;
        }
        let now = Kind::DatabaseSet
            .state(&self.database, kept)
            .map_err(at(&self.database))?;
        let log = side_of(&now, "-wal");
        let has_its_own_log = log.is_none() || log == side_of(&self.target, "-wal");
        match is_as_it_was && has_its_own_log {
            true => Ok(()),
            false => Err(SwapError::Unclear {
                database: self.database.clone(),
                aside: self.aside.clone(),
                manifest: manifest(state_folder),
            }),
        }
    }

    fn has_moved(&self, suffix: &str) -> Result<bool, SwapError> {
        let log = side_file(&self.database, suffix);
        let then = side_of(&self.before, suffix);
        for name in aside::names_of(&log, &self.aside) {
            let state = Kind::File.state(&name, &mut KeptOpen::default());
            let state = state.map_err(at(&name))?;
            if state.split_whitespace().last() == then {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn target_has_main(&self) -> bool {
        main_of(&self.target) != ABSENT
    }

    fn main_is_to_come(&self, kept: &mut KeptOpen) -> Result<bool, SwapError> {
        let now = main_now(&self.database, kept)?;
        if !self.target_has_main() {
            return Ok(now == self.present);
        }
        // What came may have the other name too, where it was about to make room again.
        let has_come = now == main_of(&self.target) && now != self.present;
        Ok(self.staged.exists() && !has_come)
    }

    fn compare(&self, state_folder: &Path, kept: &mut KeptOpen) -> Result<(), SwapError> {
        let staged = Kind::DatabaseSet
            .state(&self.staged, &mut KeptOpen::default())
            .map_err(at(&self.staged))?;
        if main_now(&self.database, kept)? != self.present || staged != self.target {
            return Err(self.changed(state_folder));
        }
        Ok(())
    }

    /// After a kill: whether the main file that is there is the one that was put in place. Otherwise nothing
    /// waits that says anything.
    ///
    /// Safety: nobody was kept out in between. A log beside a main file that has changed since would be
    /// replayed over those changes. Where no side file waits, nothing of that can happen any more, and
    /// what was committed since is the database's own.
    fn compare_what_came(
        &self,
        state_folder: &Path,
        kept: &mut KeptOpen,
    ) -> Result<bool, SwapError> {
        let now = main_now(&self.database, kept)?;
        if now == main_of(&self.target) {
            return Ok(true);
        }
        let waiting = SIDE_FILES.map(|suffix| (suffix, side_file(&self.staged, suffix)));
        let mut waiting = waiting.into_iter();
        match waiting.find(|(suffix, file)| says_something(suffix, file)) {
            Some((_, waiting)) => Err(self.overtaken(&waiting, state_folder)),
            // It never came, and somebody has taken it away.
            None if now == self.present => Err(self.changed(state_folder)),
            None => Ok(false),
        }
    }

    fn changed(&self, state_folder: &Path) -> SwapError {
        SwapError::Changed {
            database: self.database.clone(),
            aside: self.aside.clone(),
            manifest: manifest(state_folder),
        }
    }

    fn overtaken(&self, waiting: &Path, state_folder: &Path) -> SwapError {
        SwapError::Overtaken {
            database: self.database.clone(),
            waiting: waiting.to_owned(),
            aside: self.aside.clone(),
            manifest: manifest(state_folder),
        }
    }

    /// A copy of it was kept before; still it is moved and not removed.
    fn move_away(&self, path: &Path) -> Result<Option<PathBuf>, SwapError> {
        aside::move_away(path, &self.aside).map_err(at(path))
    }
}

/// Takes up what a killed run left. Under the gate's lock, before anything looks at the database.
pub(super) fn finish(root: &Path) -> Result<bool, SwapError> {
    let state_folder = root.join(STATE_FOLDER);
    let file = manifest(&state_folder);
    let text = match files::read_regular(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        text => text.map_err(at(&file))?,
    };
    let written = serde_json::from_slice::<Swap>(&text).map_err(damaged(&file))?;
    let swap = written.with_paths(|path| root.join(path));
    if swap.is_of_another_root(root)? {
        return Err(SwapError::Elsewhere {
            manifest: file,
            database: swap.database,
            staged: swap.staged,
        });
    }
    let lock = LockedOut::take(&swap.database)?;
    let mut kept = KeptOpen::default();
    let finished = match swap.is_overtaken(&state_folder, &mut kept)? {
        true => swap.give_up(&state_folder, &[]),
        false => swap.carry_out(root, &mut Vec::new(), &mut kept),
    };
    drop(kept);
    drop(lock);
    finished.map(|()| true)
}

/// Whether a side file holds what is nowhere else. An empty one says what a missing one says, and the index of a
/// log is a cache.
fn says_something(suffix: &str, file: &Path) -> bool {
    suffix != "-shm" && fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0)
}

fn remove_manifest(state_folder: &Path) -> Result<(), SwapError> {
    let file = manifest(state_folder);
    fs::remove_file(&file).map_err(at(&file))?;
    files::sync_folder(state_folder).map_err(at(state_folder))
}

/// The part of a state that names a side file.
fn side_of<'a>(state: &'a str, suffix: &str) -> Option<&'a str> {
    let mut words = state.split_whitespace();
    words.find(|word| *word == suffix)?;
    words.next()
}

/// The main file's part of a state.
pub(super) fn main_of(state: &str) -> &str {
    state.split_whitespace().nth(2).unwrap_or(ABSENT)
}

fn main_now(database: &Path, kept: &mut KeptOpen) -> Result<String, SwapError> {
    let state = Kind::DatabaseSet
        .state(database, kept)
        .map_err(at(database))?;
    Ok(main_of(&state).to_owned())
}

#[cfg(test)]
#[path = "swap_tests.rs"]
mod tests;
