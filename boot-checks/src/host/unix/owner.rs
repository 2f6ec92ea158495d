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

/// Gives an open file the extended attributes of another, access lists among them. What only the system itself may
/// give away (`security.`, `trusted.`) goes along where it lets this process.
#[cfg(target_os = "linux")]
pub(super) fn copy_attributes(from: &Path, to: &File) -> io::Result<()> {
    use rustix::fs::{XattrFlags, fsetxattr, getxattr, listxattr};
    use rustix::io::Errno;
    const BYTES_MAX: usize = 1 << 16;
    let mut names = vec![0_u8; BYTES_MAX];
    let length = match listxattr(from, &mut names[..]) {
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(()),
        length => length?,
    };
    let mut value = vec![0_u8; BYTES_MAX];
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        let length = getxattr(from, name, &mut value[..])?;
        match fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Err(_) if name.starts_with(b"security.") || name.starts_with(b"trusted.") => {}
            given => given?,
        }
    }
    Ok(())
}

/// Other systems keep such attributes in ways of their own.
#[cfg(not(target_os = "linux"))]
pub(super) fn copy_attributes(_from: &Path, _to: &File) -> io::Result<()> {
    Ok(())
}
