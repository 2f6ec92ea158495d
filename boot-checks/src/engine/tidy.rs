//! What the run before left under temporary names, because it was killed or its disk failed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::by_tool::take_back_unfinished;
use super::door::STATE_FOLDER;
use super::{Journal, Kind, half_way, rebuild, staged};
use crate::host::leftovers::{remove_leftovers, remove_leftovers_in};
use crate::services::db::remove_unfinished;

/// Removes temporary files beside what the last run was about to change, beside the database, and in the
/// gate's own folder. Whether anybody ever writes those files again is a person's decision; what is left
/// must not wait for it. Under the gate's lock, and before the first change.
///
/// Safety: what waits beside the database is a copy of what is kept elsewhere. It is needed only while a
/// swap is half-way, and that has been finished by now, or is not touched.
pub(super) fn tidy(root: &Path, database: Option<&Path>) {
    let state_folder = root.join(STATE_FOLDER);
    remove_leftovers_in(&state_folder);
    let is_half_way = half_way::may_be(&state_folder);
    if let Some(database) = database.filter(|_| !is_half_way) {
        for waiting in [
            staged::name_of(root, database),
            rebuild::staged_name(root, database),
        ] {
            // Nearly always nothing is there, and a look costs less than a removal.
            if staged::is_there(&waiting) {
                let _ = staged::remove(&waiting);
            }
        }
        rebuild::remove_workshops(database);
        remove_unfinished(database);
    }
    // A journal that cannot be read stops whoever wants to change something.
    let last_run = Journal::new(&state_folder, "").read_last_run();
    let last_run = last_run.unwrap_or_default();
    if !is_half_way {
        take_back_unfinished(root, &last_run);
    }
    let touched = last_run.iter().flat_map(|entry| &entry.touched);
    let files = touched.filter(|touched| touched.kind == Kind::File);
    // A file is touched more than once in a run: begun, applied, verified.
    let paths: BTreeSet<PathBuf> = files.map(|touched| root.join(&touched.path)).collect();
    for path in paths {
        // Beside the file that a link leads to.
        remove_leftovers(&path.canonicalize().unwrap_or(path));
    }
}
