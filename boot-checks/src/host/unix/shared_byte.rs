//! A byte of a file that several hold in common, and none alone.

#[cfg(target_os = "linux")]
pub use of_open_files::{SharedByte, share_byte};
#[cfg(not(target_os = "linux"))]
pub use unknown::{SharedByte, share_byte};

#[cfg(target_os = "linux")]
mod of_open_files {
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    use crate::host::files::open_regular;

    /// A shared lock on a byte, beside whoever else holds it, until this is dropped.
    ///
    /// Safety: it is one of the open file, and not of the process: it keeps out what takes the byte alone in this very
    /// process too, and no other descriptor's end takes it away. Its own end takes this process's other locks on the
    /// file away, as every descriptor's does.
    #[derive(Debug)]
    pub struct SharedByte {
        file: File,
        byte: u64,
    }

    impl SharedByte {
        /// Lets go of the byte, and of no other lock of this process, which the end of this does. Where the system
        /// does not let it, its end does it too.
        pub fn let_go(&self) {
            let free = lock(libc::F_UNLCK, self.byte);
            let _ = free.map(|free| fcntl(&self.file, FcntlArg::F_OFD_SETLK(&free)));
        }
    }

    /// How often is asked again where somebody holds it alone, and what is waited between.
    const TRIES: u32 = 50;
    const PAUSE: Duration = Duration::from_millis(2);

    /// Joins those that hold a byte; none where nobody does, or there is no such file.
    ///
    /// # Errors
    ///
    /// The system's reason, or that somebody holds it alone.
    pub fn share_byte(path: &Path, byte: u64) -> io::Result<Option<SharedByte>> {
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let shared = lock(libc::F_RDLCK, byte)?;
        for left in (0..TRIES).rev() {
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&shared)) {
                Ok(_) => break,
                Err(Errno::EAGAIN | Errno::EACCES) if left > 0 => std::thread::sleep(PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
        let mut others = lock(libc::F_WRLCK, byte)?;
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut others))?;
        let is_free = libc::c_int::from(others.l_type) == libc::F_UNLCK;
        Ok((!is_free).then_some(SharedByte { file, byte }))
    }

    fn lock(kind: libc::c_int, byte: u64) -> io::Result<libc::flock> {
        let number = |value: libc::c_int| libc::c_short::try_from(value).map_err(io::Error::other);
        Ok(libc::flock {
            l_type: number(kind)?,
            l_whence: number(libc::SEEK_SET)?,
            l_start: i64::try_from(byte).map_err(io::Error::other)?,
            l_len: 1,
            l_pid: 0,
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod unknown {
    use std::io;
    use std::path::Path;

    /// As on Linux: the system knows no such locks.
    #[derive(Debug)]
    pub struct SharedByte {}

    impl SharedByte {
        /// As on Linux: nothing is held.
        pub fn let_go(&self) {}
    }

    /// As on Linux: nobody is joined.
    pub fn share_byte(_path: &Path, _byte: u64) -> io::Result<Option<SharedByte>> {
        Ok(None)
    }
}
