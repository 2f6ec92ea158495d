//! What the run before left under temporary names, because it was killed or its disk failed.

use std::path::Path;

use super::door::STATE_FOLDER;
use super::{Journal, Kind};
use crate::host::files::{remove_leftovers, remove_leftovers_in};

/// Removes temporary files beside what the last run was about to change, and in the gate's own folder.
/// Whether anybody ever writes those files again is a person's decision; what is left must not wait for
/// it. Under the gate's lock, and before the first change.
pub(super) fn tidy(root: &Path) {
    let state_folder = root.join(STATE_FOLDER);
    remove_leftovers_in(&state_folder);
    // A journal that cannot be read stops whoever wants to change something.
    let last_run = Journal::new(&state_folder, "").read_last_run();
    for touched in last_run
        .unwrap_or_default()
        .iter()
        .flat_map(|it| &it.touched)
    {
        if touched.kind == Kind::File {
            let path = root.join(&touched.path);
            // Beside the file that a link leads to.
            remove_leftovers(&path.canonicalize().unwrap_or(path));
        }
    }
}
