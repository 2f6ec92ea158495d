//! Whose a file is, and what others may do with it.

use std::fs::File;
use std::io;
use std::path::Path;

/// Sets the permission bits of an open file.
///
/// # Errors
///
/// When the system refuses.
pub fn set_unix_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// The user and the group that a file belongs to.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn owner(path: &Path) -> io::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    Ok(Some((metadata.uid(), metadata.gid())))
}

/// Gives an open file to this user and group, where it is not theirs already.
///
/// # Errors
///
/// When the system refuses.
pub fn give_to(file: &File, (user, group): (u32, u32)) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    match (metadata.uid(), metadata.gid()) == (user, group) {
        true => Ok(()),
        false => std::os::unix::fs::fchown(file, Some(user), Some(group)),
    }
}
