use std::io;
use std::path::Path;

use crate::host::files::{Durability, write_atomic};
use crate::host::leftovers::remove_leftovers;
use crate::services::notices::{Notice, file, read};

/// Notices that are kept: whoever acknowledges none of so many reads none.
const NOTICES_MAX: usize = 100;

/// Leaves a notice, flushed to the disk. It replaces what the same run said of the same.
///
/// # Errors
///
/// The system's reason.
pub(super) fn leave(state_folder: &Path, notice: Notice) -> io::Result<()> {
    let mut all = others(state_folder, &notice);
    all.push(notice);
    let excess = all.len().saturating_sub(NOTICES_MAX);
    write(state_folder, &all[excess..])
}

/// Takes a notice back, of something that was taken back.
///
/// # Errors
///
/// The system's reason.
pub(super) fn withdraw(state_folder: &Path, notice: &Notice) -> io::Result<()> {
    write(state_folder, &others(state_folder, notice))
}

/// Removes what a killed boot left of its writing.
pub(super) fn tidy(state_folder: &Path) {
    remove_leftovers(&file(state_folder));
}

/// A file that cannot be understood says nothing that could be kept.
fn others(state_folder: &Path, notice: &Notice) -> Vec<Notice> {
    let mut all = read(state_folder).unwrap_or_default();
    let is_same = |one: &Notice| {
        (&one.run_id, &one.playbook, &one.summary)
            == (&notice.run_id, &notice.playbook, &notice.summary)
    };
    all.retain(|one| !is_same(one));
    all
}

/// Clears the notices of one run, or all of them, and gives those that were cleared.
///
/// # Errors
///
/// When they cannot be read or written. Nothing is cleared then.
pub fn acknowledge(state_folder: &Path, run_id: Option<&str>) -> io::Result<Vec<Notice>> {
    let is_meant = |notice: &Notice| run_id.is_none_or(|run_id| notice.run_id == run_id);
    let (cleared, left): (Vec<_>, Vec<_>) = read(state_folder)?.into_iter().partition(is_meant);
    if !cleared.is_empty() {
        write(state_folder, &left)?;
    }
    Ok(cleared)
}

fn write(state_folder: &Path, all: &[Notice]) -> io::Result<()> {
    if all.is_empty() {
        return match std::fs::remove_file(file(state_folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
    }
    std::fs::create_dir_all(state_folder)?;
    let text = serde_json::to_vec_pretty(all)?;
    write_atomic(&file(state_folder), &text, Durability::Synced, None)
}
