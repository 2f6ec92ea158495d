//! A byte of a file that several hold in common, and none alone.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A shared lock on a byte, beside whoever else holds it, until this is dropped.
///
/// Safety: it is one of the open file, and not of the process: it keeps out what takes the byte alone in this very
/// process too, and no other descriptor's end takes it away. Its own end takes this process's other locks on the file
/// away, as every descriptor's does.
#[derive(Debug)]
pub struct SharedByte {
    file: File,
    byte: u64,
}

impl SharedByte {
    /// Lets go of the byte, and of no other lock of this process, which the end of this does. Where the system does
    /// not let it, its end does it too.
    pub fn let_go(&self) {
        let _ = set(&self.file, Kind::None, self.byte);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Shared,
    None,
}

/// How often is asked again where somebody holds it alone, and what is waited between.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// Joins those that hold a byte; none where nobody does, or there is no such file.
///
/// # Errors
///
/// The system's reason, or that somebody holds it alone.
#[cfg(target_os = "linux")]
pub fn share_byte(path: &Path, byte: u64) -> io::Result<Option<SharedByte>> {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    let file = match crate::host::files::open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    for left in (0..TRIES).rev() {
        match set(&file, Kind::Shared, byte) {
            Ok(()) => break,
            Err(error) if left > 0 && is_held_alone(&error) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    let mut others = lock(libc::F_WRLCK, byte)?;
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut others))?;
    let is_free = libc::c_int::from(others.l_type) == libc::F_UNLCK;
    Ok((!is_free).then_some(SharedByte { file, byte }))
}

#[cfg(target_os = "linux")]
fn is_held_alone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied
    )
}

#[cfg(target_os = "linux")]
fn set(file: &File, kind: Kind, byte: u64) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    let kind = match kind {
        Kind::Shared => libc::F_RDLCK,
        Kind::None => libc::F_UNLCK,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock(kind, byte)?))?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn lock(kind: nix::libc::c_int, byte: u64) -> io::Result<nix::libc::flock> {
    use nix::libc;

    let number = |value: libc::c_int| libc::c_short::try_from(value).map_err(io::Error::other);
    Ok(libc::flock {
        l_type: number(kind)?,
        l_whence: number(libc::SEEK_SET)?,
        l_start: i64::try_from(byte).map_err(io::Error::other)?,
        l_len: 1,
        l_pid: 0,
    })
}

/// As on Linux: the system knows no such locks.
#[cfg(not(target_os = "linux"))]
pub fn share_byte(_path: &Path, _byte: u64) -> io::Result<Option<SharedByte>> {
    Ok(None)
}

#[cfg(not(target_os = "linux"))]
fn set(_file: &File, _kind: Kind, _byte: u64) -> io::Result<()> {
    Ok(())
}
