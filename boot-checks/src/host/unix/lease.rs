//! Leases: the kernel's own word for whether a file is open anywhere else.

use std::fs::File;
use std::io;

/// Whether anybody else has a file open, in whatever container, and whether or not this process may look into
/// theirs. None where the kernel does not tell: of a file of another user's, without `CAP_LEASE`, and on file systems
/// without leases. This process must have it open once.
///
/// Safety: the kernel gives a write lease only on a file that nobody else has open
/// (<https://man7.org/linux/man-pages/man2/f_getlease.2const.html>), and it is given back at once. Whoever opens the
/// file between waits that long, and the signal that would tell is one that is passed over unless asked for.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no crate has a safe call for leases")]
pub fn is_open_elsewhere(file: &File) -> Option<bool> {
    use std::os::fd::AsRawFd as _;
    let command = |command, argument: libc::c_int| {
        // SAFETY: with these commands fcntl reads and writes no memory of this process, and the descriptor is open
        // as long as `file` is borrowed.
        match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    command(F_SETSIG, libc::SIGURG).ok()?;
    match command(libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => {
            // What cannot be given back ends with the descriptor.
            let _ = command(libc::F_SETLEASE, libc::F_UNLCK);
            Some(false)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(true),
        Err(_) => None,
    }
}

/// As [`is_open_elsewhere`] on Linux: the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn is_open_elsewhere(_file: &File) -> Option<bool> {
    None
}

/// Which signal tells that a lease is wanted back; the C library's crate does not name it.
#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::host::files;

    #[test]
    fn a_file_is_open_elsewhere_as_long_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let one = file.as_file();
        assert_eq!(is_open_elsewhere(one), Some(false));
        for is_writer in [true, false] {
            let other = File::options()
                .read(true)
                .write(is_writer)
                .open(file.path())
                .unwrap();
            assert_eq!(is_open_elsewhere(one), Some(true));
            drop(other);
            assert_eq!(is_open_elsewhere(one), Some(false));
        }
        // Nobody waits for what was given back.
        files::open_regular(file.path()).unwrap();
    }

    /// The signal that a lease is wanted back by ends a process that did not ask for another.
    #[test]
    fn who_opens_the_file_as_it_is_asked_ends_nobody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let opens = scope.spawn(|| {
                let mut opened = 0;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    opened += usize::from(files::open_regular(file.path()).is_ok());
                }
                opened
            });
            for _ in 0..200_000 {
                is_open_elsewhere(file.as_file());
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(opens.join().unwrap() > 0);
        });
    }
}
