//! Names of files that are being written, and what killed processes left under them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::files::{folder_of, names_in};

/// What ends the name of a file that is being written.
const TEMPORARY_END: &str = ".tmp";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// `.<name>.<pid>.<count>.tmp`: no other live process, and no other call in this one, has it.
pub(super) fn next_temporary_name(name: &OsStr) -> OsString {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{count}{TEMPORARY_END}", std::process::id()));
    temporary
}

/// Removes what killed processes left beside this file under temporary names. It may hold a key, and
/// it never had the final name, so nothing was ever promised of it.
///
/// Safety: only names that carry the id of a process that is gone, or this process's id with a count
/// that it has not reached yet (in a container every boot has the same id).
pub(crate) fn remove_leftovers(path: &Path) {
    if let Some(name) = path.file_name() {
        let name = name.to_string_lossy();
        remove_leftovers_of(folder_of(path), |of| of == name);
    }
}

/// The same for every file of a folder.
pub(crate) fn remove_leftovers_in(folder: &Path) {
    remove_leftovers_of(folder, |_| true);
}

fn remove_leftovers_of(folder: &Path, is_meant: impl Fn(&str) -> bool) {
    // Tidying only: what cannot be listed or removed today is found by the next write.
    for found in names_in(folder, LEFTOVER_NAMES_MAX).unwrap_or_default() {
        let Some((of, pid, count)) = parts_of_temporary(&found) else {
            continue;
        };
        let is_ours = pid == std::process::id();
        let in_use = is_ours && count < COUNT.load(Ordering::Relaxed);
        if is_meant(of) && !in_use && (is_ours || !super::process_is_alive(pid)) {
            let _ = fs::remove_file(folder.join(&found));
        }
    }
}

/// The file, the process and its count in a name of [`next_temporary_name`].
fn parts_of_temporary(name: &str) -> Option<(&str, u32, u32)> {
    let rest = name.strip_prefix('.')?.strip_suffix(TEMPORARY_END)?;
    let (rest, count) = rest.rsplit_once('.')?;
    let (of, pid) = rest.rsplit_once('.')?;
    Some((of, pid.parse().ok()?, count.parse().ok()?))
}

/// Names that are looked at beside a file; a leftover in a larger folder stays and harms nobody.
pub(crate) const LEFTOVER_NAMES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::files::create_atomic;

    #[test]
    fn what_killed_processes_left_is_removed_and_what_live_ones_write_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let own = std::process::id();
        let left = [
            format!(".x.{dead}.0.tmp"),
            format!(".x.{own}.{}.tmp", u32::MAX),
        ];
        let kept = [
            ".x.1.0.tmp".to_owned(),
            format!(".y.{dead}.0.tmp"),
            format!(".x.{dead}.tmp"),
        ];
        for name in left.iter().chain(&kept) {
            fs::write(folder.path().join(name), "a key").unwrap();
        }
        create_atomic(&folder.path().join("x"), b"new", 0o600).unwrap();
        let mut expected = [&kept[..], &["x".to_owned()]].concat();
        expected.sort();
        let mut found = names_in(folder.path(), usize::MAX).unwrap();
        found.sort();
        assert_eq!(found, expected);
    }
}
