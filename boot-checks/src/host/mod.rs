//! The only door to the machine: clock, environment, files, console, locks. What differs by system
//! sits in `unix.rs` and `windows.rs` and nowhere else.

mod clock;
#[cfg(unix)]
mod command_line;
pub mod encoding;
pub mod files;
pub(crate) mod leftovers;
pub mod links;
pub mod lock;
pub(crate) mod migration_command;
mod private;
pub mod rewrite;
pub mod shell;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use clock::Clock;
pub use private::PrivateFolder;
#[cfg(unix)]
pub use unix::{
    SharedByte, become_program, can_write_file, can_write_folder, console_code_page,
    copy_owner_and_mode, exclusive_lock_holder, file_identity, free_bytes, give_to,
    give_to_owner_of, hand_over, hostname, in_a_group_of_its_own, is_link_loop, is_mount_point,
    is_open_elsewhere, is_own, last_change, lock_holder, lock_whole_file, on_termination,
    only_the_owner_may_enter, outlive_file_size_limit, owner, process_description,
    process_is_alive, process_that_listens, process_that_opened, process_with_variable, read_at,
    restrict_to_owner, set_unix_mode, share_byte, stop_group, system_boot, system_start,
    terminal_width, unix_mode, user_number,
};
#[cfg(windows)]
pub use windows::{
    SharedByte, become_program, can_write_file, can_write_folder, console_code_page,
    copy_owner_and_mode, exclusive_lock_holder, file_identity, free_bytes, give_to,
    give_to_owner_of, hand_over, hostname, in_a_group_of_its_own, is_link_loop, is_mount_point,
    is_open_elsewhere, is_own, last_change, lock_holder, lock_whole_file, on_termination,
    only_the_owner_may_enter, outlive_file_size_limit, owner, process_description,
    process_is_alive, process_that_listens, process_that_opened, process_with_variable, read_at,
    restrict_to_owner, set_unix_mode, share_byte, stop_group, system_boot, system_start,
    terminal_width, unix_mode, user_number,
};

/// Fills a buffer from a place, whatever others read of the same file.
///
/// # Errors
///
/// [`std::io::ErrorKind::UnexpectedEof`] where the file ends before, else the system's reason.
pub fn read_exact_at(
    file: &std::fs::File,
    mut buffer: &mut [u8],
    mut at: u64,
) -> std::io::Result<()> {
    while !buffer.is_empty() {
        match read_at(file, buffer, at)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                at += read as u64;
                buffer = &mut buffer[read..];
            }
        }
    }
    Ok(())
}

/// A process that holds a lock on a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockHolder {
    /// This one.
    Process {
        /// Its process id.
        pid: u32,
        /// What is known of it: command line, state, start time.
        description: String,
    },
    /// A live process that this one cannot see: in another container, or on another machine.
    OutOfSight,
}

/// A byte range to ask about.
#[derive(Clone, Copy, Debug)]
pub struct RecordLock {
    /// First byte.
    pub start: u64,
    /// How many.
    pub length: u64,
}

/// The machine as a boot sees it: the real one, or the one that an incident describes.
#[derive(Clone, Debug)]
pub struct Host {
    /// What time it is.
    pub clock: Clock,
    /// The environment of this process.
    pub variables: BTreeMap<String, String>,
    /// Where relative paths begin.
    pub current_dir: PathBuf,
    output_broken: Arc<AtomicBool>,
}

impl Host {
    /// The machine at hand.
    ///
    /// # Errors
    ///
    /// When the current folder is gone.
    pub fn real() -> std::io::Result<Host> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .collect();
        Ok(Host::new(
            Clock::System,
            variables,
            std::env::current_dir()?,
        ))
    }

    /// A machine with this clock and this environment.
    pub fn new(clock: Clock, variables: BTreeMap<String, String>, current_dir: PathBuf) -> Host {
        Host {
            clock,
            variables,
            current_dir,
            output_broken: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Remembers that the real output could not be written. A reader that went away is no such
    /// case: it chose to.
    pub fn note_output_error(&self, error: &std::io::Error) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            self.output_broken.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the real output could not be written.
    pub fn output_is_broken(&self) -> bool {
        self.output_broken.load(Ordering::Relaxed)
    }
}

/// The user of this process, as the environment names them, else by number.
pub fn user(host: &Host) -> Option<String> {
    let names = ["SUDO_USER", "USER", "LOGNAME", "USERNAME"].iter();
    let mut set = names.filter_map(|name| host.variables.get(*name));
    let named = set.find(|name| !name.is_empty()).cloned();
    named.or_else(|| user_number().map(|number| format!("user {number}")))
}

/// This process, as whoever waits for it should be told: its id, its machine, and since when.
pub fn self_description(host: &Host) -> String {
    format!(
        "{}{} on {} since {}",
        lock::HOLDER,
        std::process::id(),
        hostname(),
        host.clock.timestamp()
    )
}
