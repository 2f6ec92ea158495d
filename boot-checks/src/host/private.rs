//! Folders for copies of what may be private, among everybody's temporary files.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::files::names_in;

/// A folder that only its owner may enter. It is removed when this is dropped; where a kill comes before
/// that, the next one that is made removes it.
#[derive(Debug)]
pub struct PrivateFolder {
    // Dropped in this order: nobody takes the folder for abandoned while it is being removed.
    folder: tempfile::TempDir,
    _alive: File,
}

/// How the names begin.
const PREFIX: &str = "grace-boot-copy-";

/// The file in such a folder that its process has locked for as long as it lives. The system lets go of
/// it, however the process ends; a process id would not tell across containers.
const ALIVE: &str = ".alive";

/// Names that are looked at for leftovers; in a larger folder they stay until it is smaller.
const NAMES_MAX: usize = 10_000;

/// How long a folder may lack its lock file, which is made within milliseconds.
const UNFINISHED_AGE_MAX: Duration = Duration::from_secs(60 * 60);

impl PrivateFolder {
    /// Makes one in the system's folder for temporary files, and removes what killed processes of the same
    /// user left there.
    ///
    /// # Errors
    ///
    /// The system's reason.
    pub fn new() -> io::Result<PrivateFolder> {
        PrivateFolder::new_in(&std::env::temp_dir())
    }

    /// As [`PrivateFolder::new`], elsewhere.
    ///
    /// # Errors
    ///
    /// The system's reason.
    pub fn new_in(place: &Path) -> io::Result<PrivateFolder> {
        remove_leftovers(place);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        super::only_the_owner_may_enter(&mut builder);
        let folder = builder.tempdir_in(place)?;
        // Under its name it is never there without its lock.
        let unlocked = folder.path().join(".new");
        let alive = File::create_new(&unlocked)?;
        // Where the file system knows no locks, nothing is ever taken for abandoned.
        let _ = alive.try_lock();
        fs::rename(unlocked, folder.path().join(ALIVE))?;
        Ok(PrivateFolder {
            folder,
            _alive: alive,
        })
    }

    /// Removes what killed processes of the same user left in a place.
    pub fn tidy(place: &Path) {
        remove_leftovers(place);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Tidying only: what cannot be listed or removed today is found by the next one.
fn remove_leftovers(place: &Path) {
    let names = names_in(place, NAMES_MAX).unwrap_or_default();
    for name in names.iter().filter(|name| name.starts_with(PREFIX)) {
        let folder = place.join(name);
        if is_abandoned(&folder).unwrap_or(false) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Safety: only a folder of this user, reached by no link, whose lock nobody holds. Anybody may make such
/// names among everybody's temporary files.
fn is_abandoned(folder: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(folder)?;
    if !metadata.is_dir() || !super::is_own(&metadata) {
        return Ok(false);
    }
    match File::open(folder.join(ALIVE)) {
        Ok(alive) => Ok(alive.try_lock().is_ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            Ok(age > UNFINISHED_AGE_MAX)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_live_one_has_is_not() {
        let place = tempfile::tempdir().unwrap();
        let live = PrivateFolder::new_in(place.path()).unwrap();
        let abandoned = place.path().join(format!("{PREFIX}dead"));
        let unfinished = place.path().join(format!("{PREFIX}new"));
        let others = place.path().join("other");
        for folder in [&abandoned, &unfinished, &others] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(abandoned.join(ALIVE), "").unwrap();
        fs::write(abandoned.join("a.db"), "private").unwrap();
        let next = PrivateFolder::new_in(place.path()).unwrap();
        assert!(!abandoned.exists());
        for folder in [live.path(), next.path(), &unfinished, &others] {
            assert!(folder.is_dir(), "{}", folder.display());
        }
        let path = live.path().to_owned();
        drop(live);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_enter_and_no_link_is_followed() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let theirs = tempfile::tempdir().unwrap();
        fs::write(theirs.path().join(ALIVE), "").unwrap();
        std::os::unix::fs::symlink(theirs.path(), place.path().join(format!("{PREFIX}link")))
            .unwrap();
        let folder = PrivateFolder::new_in(place.path()).unwrap();
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(theirs.path().join(ALIVE).exists());
    }
}
