//! What only Unix has, or has in its own way.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::process::FlockType;

use super::{LockHolder, RecordLock};

mod lease;
mod owner;
mod process;
mod shared_byte;

pub use lease::is_open_elsewhere;
use owner::copy_attributes;
pub use owner::{give_to, owner, set_unix_mode};
pub use process::{
    in_a_group_of_its_own, process_description, process_is_alive, process_that_listens,
    process_that_opened, process_with_variable, stop_group,
};
pub use shared_byte::{SharedByte, share_byte};

/// Who holds a lock on these bytes that a writer would have to wait for.
///
/// Must not be called while this process has the file open in SQLite: closing any descriptor of a
/// file drops all of this process's POSIX locks on it.
///
/// # Errors
///
/// When the file cannot be opened or asked.
pub fn lock_holder(path: &Path, range: RecordLock) -> io::Result<Option<LockHolder>> {
    holder_in_the_way_of(FlockType::WriteLock, path, range)
}

/// Who holds a lock on these bytes that a reader too would have to wait for. As [`lock_holder`].
///
/// # Errors
///
/// As [`lock_holder`].
pub fn exclusive_lock_holder(path: &Path, range: RecordLock) -> io::Result<Option<LockHolder>> {
    holder_in_the_way_of(FlockType::ReadLock, path, range)
}

fn holder_in_the_way_of(
    typ: FlockType,
    path: &Path,
    range: RecordLock,
) -> io::Result<Option<LockHolder>> {
    use rustix::process::{Flock, FlockOffsetType, fcntl_getlk};

    let file = File::options().read(true).open(path)?;
    let question = Flock {
        start: range.start,
        length: range.length,
        pid: None,
        typ,
        offset_type: FlockOffsetType::Set,
    };
    let Some(answer) = fcntl_getlk(&file, &question)? else {
        return Ok(None);
    };
    Ok(Some(match answer.pid {
        Some(pid) => {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            LockHolder::Process {
                pid,
                description: process_description(pid),
            }
        }
        None => LockHolder::OutOfSight,
    }))
}

/// Takes an exclusive POSIX lock on a whole file, which lasts until any descriptor of it is closed in
/// this process; false where another process holds a lock on any byte of it.
///
/// # Errors
///
/// The system's reason.
pub fn lock_whole_file(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// Bytes that an unprivileged process may still write on the file system of this path.
///
/// # Errors
///
/// When the path cannot be looked at.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the kernel lets this process make files in this folder. Creates nothing.
///
/// # Errors
///
/// The kernel's reason why not.
pub fn can_write_folder(path: &Path) -> io::Result<()> {
    rustix::fs::accessat(
        CWD,
        path,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )?;
    Ok(())
}

/// Whether the kernel lets this process write to this file. Opens nothing.
///
/// # Errors
///
/// The kernel's reason why not.
pub fn can_write_file(path: &Path) -> io::Result<()> {
    rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS)?;
    Ok(())
}

/// Whether a file is mounted where it stands, so that no other can take its place. Not where the system does not
/// tell.
#[cfg(target_os = "linux")]
pub fn is_mount_point(path: &Path) -> bool {
    use rustix::fs::{StatxFlags, statx};
    let mount = |path: &Path| {
        let seen = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
        let is_told = seen.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        is_told.then_some(seen.stx_mnt_id)
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    matches!((mount(path), mount(folder)), (Some(own), Some(of_folder)) if own != of_folder)
}

/// As on Linux where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn is_mount_point(_path: &Path) -> bool {
    false
}

/// Whether a path led back to itself.
pub fn is_link_loop(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

/// The permission bits of a file.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn unix_mode(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    Ok(Some(std::fs::metadata(path)?.permissions().mode() & 0o7777))
}

/// Lets only the owner read and write an open file.
///
/// # Errors
///
/// When the file system refuses.
pub fn restrict_to_owner(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// Makes a temporary folder one that only its owner may enter, whatever the permissions of what is in it.
pub fn only_the_owner_may_enter(folder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    folder.permissions(std::fs::Permissions::from_mode(0o700));
}

/// Whether a file is this process's user's.
pub fn is_own(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Gives an open file the owner and the permissions that another has.
///
/// # Errors
///
/// When the system refuses.
pub fn copy_owner_and_mode(from: &Path, to: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let model = std::fs::metadata(from)?;
    give_to(to, (model.uid(), model.gid()))?;
    to.set_permissions(model.permissions())?;
    copy_attributes(from, to)
}

/// Gives an open file the owner of a folder, and permissions where they are known: for a file that takes
/// the place of one that is gone.
///
/// # Errors
///
/// When the system refuses.
pub fn give_to_owner_of(folder: &Path, mode: Option<u32>, to: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let model = std::fs::metadata(folder)?;
    give_to(to, (model.uid(), model.gid()))?;
    match mode {
        Some(mode) => to.set_permissions(std::fs::Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

/// Columns of the terminal at standard output; none where it is no terminal.
pub fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Reads at a place, whatever others read of the same file.
///
/// # Errors
///
/// The system's reason.
pub fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

/// When a file was last changed, its contents or what the system knows of it. No copy takes this time along.
pub fn last_change(metadata: &std::fs::Metadata) -> std::time::SystemTime {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    std::time::UNIX_EPOCH + std::time::Duration::new(seconds, nanoseconds)
}

/// What tells a file from any other: its device and its inode.
pub fn file_identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Names this run of the system, from its start to its end; empty where the system does not tell.
pub fn system_boot() -> &'static str {
    static ID: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    ID.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

/// When this run of the system began; none where it does not tell.
pub fn system_start() -> Option<std::time::SystemTime> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let since = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    std::time::SystemTime::now().checked_sub(since)
}

/// This machine's name.
pub fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The number of this process's user.
pub fn user_number() -> Option<u32> {
    Some(rustix::process::getuid().as_raw())
}

/// The console's code page: Unix has none, the locale decides.
pub fn console_code_page() -> Option<u32> {
    None
}

/// Whether this process ends by a signal as any other would.
static HANDED_OVER: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Whether a signal came that asks this process to stop.
static ASKED_TO_STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on a signal ends this process at once, whatever [`on_termination`] was told, so that none is lost
/// on the way to the program that takes its place. False where one has come already.
pub fn hand_over() -> bool {
    HANDED_OVER.store(true, Ordering::SeqCst);
    !ASKED_TO_STOP.load(Ordering::SeqCst)
}

/// From now on a write beyond the limit on the size of files fails, and does not end the process: what was begun
/// is taken back, and the report says why. Programs that are started from here have the signal as before.
pub fn outlive_file_size_limit() {
    let signal = rustix::process::Signal::XFSZ.as_raw();
    // Where even that is refused, the next boot takes up what the end of this one left.
    let _ = signal_hook::flag::register(signal, Arc::default());
}

/// Runs `action` with the signal's name when the process is asked to stop, once.
///
/// # Errors
///
/// When the signals cannot be had.
pub fn on_termination(action: impl FnOnce(&'static str) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;

    for signal in [SIGTERM, SIGINT, SIGHUP] {
        flag::register_conditional_default(signal, Arc::clone(&HANDED_OVER))?;
        flag::register(signal, Arc::clone(&ASKED_TO_STOP))?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                action(match signal {
                    SIGTERM => "SIGTERM",
                    SIGINT => "SIGINT",
                    _ => "SIGHUP",
                });
            }
        })?;
    Ok(())
}

/// Puts a program in the place of this process. It keeps the process id, so that signals reach it; and it
/// answers only where it could not.
///
/// # Errors
///
/// The system's reason.
pub fn become_program(mut command: std::process::Command) -> io::Result<u8> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}
