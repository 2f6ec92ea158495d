//! Files that make room, under names of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::host::{files, links};

/// More names than one run ever asks for.
const NAMES_MAX: u32 = 1_000;

/// Moves a file into a folder, or beside where it was when the folder is on another device.
pub(super) fn move_away(path: &Path, folder: &Path) -> io::Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let moved = under_a_free_name(path, folder, |name| {
        files::rename_without_replacing(path, name)
    });
    moved.map(Some)
}

/// Gives a file that is about to be replaced a second name, as [`move_away`] would. It may have it
/// already, from a run that was killed.
///
/// Safety: whoever has the file open and takes no lock while idle, as with its journal in memory, may
/// still commit after the replacement. Under this name, what is committed then is there. Where the file
/// system knows no second names, there is the copy alone, as it was before the replacement.
pub(super) fn give_second_name(path: &Path, folder: &Path) -> io::Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    match under_a_free_name(path, folder, |name| links::add_name(path, name)) {
        Err(error) if has_no_links(&error) => Ok(None),
        named => named.map(Some),
    }
}

/// Names under which [`move_away`] may have put a file of this path.
pub(super) fn names_of(path: &Path, folder: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mark = folder.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.parent().unwrap_or(Path::new("."));
    let forms = [
        (folder, "aside-".to_owned(), format!("-{name}")),
        (beside, format!(".{name}.aside-"), format!("-{mark}")),
    ];
    let mut found = Vec::new();
    for (folder, begins, ends) in forms {
        let names = files::names_in(folder, usize::MAX).unwrap_or_default();
        let is_one = |it: &String| it.starts_with(&begins) && it.ends_with(&ends);
        found.extend(
            names
                .iter()
                .filter(|it| is_one(it))
                .map(|it| folder.join(it)),
        );
    }
    found
}

fn has_no_links(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::Unsupported
            | io::ErrorKind::TooManyLinks
            | io::ErrorKind::CrossesDevices
    )
}

fn under_a_free_name(
    path: &Path,
    folder: &Path,
    put: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mark = folder.file_name().unwrap_or_default().to_string_lossy();
    let within = |number| folder.join(format!("aside-{number}-{name}"));
    let beside = |number| path.with_file_name(format!(".{name}.aside-{number}-{mark}"));
    fs::create_dir_all(folder)?;
    match first_free(within, &put) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => first_free(beside, &put),
        other => other,
    }
}

/// Flushed, so that the name is there whatever happens next.
fn first_free(
    name: impl Fn(u32) -> PathBuf,
    put: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    for number in 1..=NAMES_MAX {
        let name = name(number);
        match put(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => {
                other?;
                files::sync_folder(name.parent().unwrap_or(Path::new(".")))?;
                return Ok(name);
            }
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::host;

    fn names(folder: &Path) -> Vec<String> {
        let mut names = files::names_in(folder, usize::MAX).unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_second_name_is_given_once_to_each_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("x.db"), folder.path().join("run"));
        for contents in ["first", "second"] {
            let _ = fs::remove_file(&path);
            fs::write(&path, contents).unwrap();
            for _ in 0..2 {
                give_second_name(&path, &aside).unwrap();
            }
        }
        assert_eq!(names(&aside), ["aside-1-x.db", "aside-2-x.db"]);
        let read = |name: &str| fs::read_to_string(aside.join(name)).unwrap();
        assert_eq!(read("aside-1-x.db"), "first");
        assert_eq!(read("aside-2-x.db"), "second");
        move_away(&path, &aside).unwrap();
        assert!(!path.exists() && aside.join("aside-3-x.db").exists());
    }

    #[test]
    fn on_another_device_it_is_beside() {
        let (here, there) = (tempfile::tempdir().unwrap(), Path::new("/dev/shm"));
        let device = |path: &Path| fs::metadata(path).map(|it| host::file_identity(&it).0).ok();
        if device(there).is_none() || device(there) == device(here.path()) {
            return;
        }
        let there = tempfile::tempdir_in(there).unwrap();
        let path = here.path().join("x.db");
        fs::write(&path, "x").unwrap();
        give_second_name(&path, &there.path().join("run")).unwrap();
        give_second_name(&path, &there.path().join("run")).unwrap();
        assert_eq!(names(here.path()), [".x.db.aside-1-run", "x.db"]);
    }
}
