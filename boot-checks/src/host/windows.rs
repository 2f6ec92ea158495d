//! What only Windows has, or has in its own way.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{LockHolder, RecordLock};

/// Windows does not tell who holds a byte range.
///
/// # Errors
///
/// Never.
pub fn lock_holder(_path: &Path, _range: RecordLock) -> io::Result<Option<LockHolder>> {
    Ok(None)
}

/// As [`lock_holder`].
///
/// # Errors
///
/// Never.
pub fn exclusive_lock_holder(_path: &Path, _range: RecordLock) -> io::Result<Option<LockHolder>> {
    Ok(None)
}

/// What is known of a process.
pub fn process_description(pid: u32) -> String {
    format!("process {pid}")
}

/// Without a way to ask, a process is taken to be alive: nothing is ever done on the strength of
/// its death.
pub fn process_is_alive(_pid: u32) -> bool {
    true
}

/// Another process that has this file open: the system is not asked.
///
/// # Errors
///
/// Always.
pub fn process_that_opened(_path: &Path) -> io::Result<Option<u32>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Another process that was started with this variable in its environment: the system is not asked.
///
/// # Errors
///
/// Always.
pub fn process_with_variable(_name: &str, _value: &str) -> io::Result<Option<u32>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Another process that listens on this TCP port: the system is not asked.
///
/// # Errors
///
/// Always.
pub fn process_that_listens(_port: u16) -> io::Result<Option<u32>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Free space is not asked for on Windows.
///
/// # Errors
///
/// Always: so that the caller reports that it could not look.
pub fn free_bytes(_path: &Path) -> io::Result<u64> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Whether this process may make files in this folder, by its read-only attribute.
///
/// # Errors
///
/// When it may not, or the folder cannot be looked at.
pub fn can_write_folder(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.permissions().readonly() {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(())
}

/// As [`can_write_folder`], of a file.
///
/// # Errors
///
/// As [`can_write_folder`].
pub fn can_write_file(path: &Path) -> io::Result<()> {
    can_write_folder(path)
}

/// Windows has no such error of its own.
pub fn is_link_loop(_error: &io::Error) -> bool {
    false
}

/// Windows has no permission bits.
///
/// # Errors
///
/// Never.
pub fn unix_mode(_path: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Windows inherits the folder's access list, which in a profile is the owner's alone.
///
/// # Errors
///
/// Never.
pub fn restrict_to_owner(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Windows inherits the access list of the folder for temporary files, which in a profile is the owner's alone.
pub fn only_the_owner_may_enter(_folder: &mut tempfile::Builder<'_, '_>) {}

/// On Windows the folder for temporary files is one user's.
pub fn is_own(_metadata: &std::fs::Metadata) -> bool {
    true
}

/// Windows has no permission bits.
///
/// # Errors
///
/// Never.
pub fn set_unix_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Windows gives a new file the folder's access list.
///
/// # Errors
///
/// Never.
pub fn owner(_path: &Path) -> io::Result<Option<(u32, u32)>> {
    Ok(None)
}

/// Windows gives a new file the folder's access list.
///
/// # Errors
///
/// Never.
pub fn give_to(_file: &File, _owner: (u32, u32)) -> io::Result<()> {
    Ok(())
}

/// Windows gives a new file the folder's access list.
///
/// # Errors
///
/// Never.
pub fn copy_owner_and_mode(_from: &Path, _to: &File) -> io::Result<()> {
    Ok(())
}

/// Windows gives a new file the folder's access list.
///
/// # Errors
///
/// Never.
pub fn give_to_owner_of(_folder: &Path, _mode: Option<u32>, _to: &File) -> io::Result<()> {
    Ok(())
}

/// Columns of the terminal at standard output; not asked for on Windows.
pub fn terminal_width() -> Option<usize> {
    None
}

/// Takes an exclusive lock on a whole file; false where another process holds one.
///
/// # Errors
///
/// The system's reason.
pub fn lock_whole_file(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A file is no mount point here.
pub fn is_mount_point(_path: &Path) -> bool {
    false
}

/// As on a Unix without leases: the system does not tell.
pub fn is_open_elsewhere(_file: &File) -> Option<bool> {
    None
}

/// Windows has no groups of processes; a console's children are left to themselves.
pub fn in_a_group_of_its_own(_command: &mut std::process::Command) {}

/// Stops the process with this id and its descendants.
pub fn stop_group(pid: u32) {
    let mut command = std::process::Command::new("taskkill.exe");
    // Gone already, then.
    let _ = command
        .args(["/T", "/F", "/PID", &pid.to_string()])
        .output();
}

/// Reads at a place, whatever others read of the same file.
///
/// # Errors
///
/// The system's reason.
pub fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

/// Without inodes the beginning of a file tells it from another.
pub fn file_identity(_metadata: &std::fs::Metadata) -> (u64, u64) {
    (0, 0)
}

/// When a file was last changed, as far as Windows says it.
pub fn last_change(metadata: &std::fs::Metadata) -> std::time::SystemTime {
    metadata.modified().unwrap_or(std::time::UNIX_EPOCH)
}

/// Names this run of the system; here nothing does.
pub fn system_boot() -> &'static str {
    ""
}

/// When this run of the system began; here nothing tells.
pub fn system_start() -> Option<std::time::SystemTime> {
    None
}

/// This machine's name.
pub fn hostname() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this machine".to_owned())
}

/// The number of this process's user: there is none.
pub fn user_number() -> Option<u32> {
    None
}

/// The console's code page, as `chcp` tells it.
pub fn console_code_page() -> Option<u32> {
    let output = std::process::Command::new("chcp.com").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split(|c: char| !c.is_ascii_digit())
        .rfind(|word| !word.is_empty())?
        .parse()
        .ok()
}

/// Whether no signal has come that asks this process to stop: it goes on to take them.
pub fn hand_over() -> bool {
    true
}

/// No limit ends a process here.
pub fn outlive_file_size_limit() {}

/// Runs `action` when the process is asked to stop, once.
///
/// # Errors
///
/// When the handler cannot be set.
pub fn on_termination(action: impl FnOnce(&'static str) + Send + 'static) -> io::Result<()> {
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, stop.clone())?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            action("SIGINT");
        })?;
    Ok(())
}

/// Runs a program in the place of this process: Windows cannot replace a process, so it is waited for, and its
/// exit code is answered.
///
/// # Errors
///
/// The system's reason.
pub fn become_program(mut command: std::process::Command) -> io::Result<u8> {
    let code = command.status()?.code().unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// As on Unix: the system knows no such locks.
#[derive(Debug)]
pub struct SharedByte {}

impl SharedByte {
    /// As on Unix: nothing is held.
    pub fn let_go(&self) {}
}

/// As on Unix: nobody is joined.
pub fn share_byte(_path: &Path, _byte: u64) -> io::Result<Option<SharedByte>> {
    Ok(None)
}
