//! New contents for a file that is there.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::files::{create_temporary, folder_of, sync_folder};

/// Replaces the contents of a file whole or not at all, flushed to the disk; owner and permissions
/// stay. A link is followed.
///
/// # Errors
///
/// The system's reason. The file holds what it held then.
pub fn rewrite_atomic(path: &Path, contents: &[u8]) -> io::Result<()> {
    let path = path.canonicalize()?;
    let (temporary, file) = create_temporary(&path, 0o600)?;
    let made = Ok(file).and_then(|mut file| {
        super::copy_owner_and_mode(&path, &file)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    });
    if made.is_err() {
        // Ours alone; a name that stays says what it is.
        let _ = fs::remove_file(&temporary);
        return made;
    }
    sync_folder(folder_of(&path))
}

/// As [`rewrite_atomic`], of a file that holds what is expected; false where it holds something else, and it stays
/// as it is then.
///
/// Safety: the two change places, and what was there is compared once more when nobody finds it by its name any
/// more. Where somebody has written into it between, it gets its place back.
///
/// # Errors
///
/// The system's reason. The file holds what it held then.
pub fn rewrite_expected(path: &Path, expected: &[u8], contents: &[u8]) -> io::Result<bool> {
    let path = path.canonicalize()?;
    if fs::read(&path)? != expected {
        return Ok(false);
    }
    let (temporary, file) = create_temporary(&path, 0o600)?;
    let made = Ok(file).and_then(|mut file| {
        super::copy_owner_and_mode(&path, &file)?;
        file.write_all(contents)?;
        file.sync_all()?;
        change_places(&temporary, &path)
    });
    let is_expected = made.and_then(|has_changed| match has_changed {
        true if fs::read(&temporary)? != expected => {
            change_places(&temporary, &path)?;
            Ok(false)
        }
        _ => Ok(true),
    });
    // Ours alone, or what was replaced; a name that stays says what it is.
    let _ = fs::remove_file(&temporary);
    sync_folder(folder_of(&path))?;
    is_expected
}

/// Gives two files each other's name. False where the system cannot: the first has the second one's then.
fn change_places(one: &Path, other: &Path) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            // Old kernels and some network file systems know no such flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            done => return Ok(done.map(|()| true)?),
        }
    }
    fs::rename(one, other).map(|()| false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::files::names_in;

    /// Where the file system keeps any.
    #[cfg(target_os = "linux")]
    #[test]
    fn attributes_stay_with_a_file_that_is_replaced() {
        use rustix::fs::{XattrFlags, getxattr, setxattr};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "old").unwrap();
        if setxattr(&path, "user.kept", b"word", XattrFlags::empty()).is_err() {
            return;
        }
        rewrite_atomic(&path, b"new").unwrap();
        assert!(rewrite_expected(&path, b"new", b"newer").unwrap());
        assert!(!rewrite_expected(&path, b"new", b"newest").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        let mut value = [0; 8];
        assert_eq!(getxattr(&path, "user.kept", &mut value), Ok(4));
        assert_eq!(names_in(folder.path(), usize::MAX).unwrap(), ["x"]);
    }
}
