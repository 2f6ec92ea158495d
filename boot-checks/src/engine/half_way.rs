//! A replacement of a database that a killed run left half-way, before another run looks at that database.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{STATE_FOLDER, swap};
use crate::model::Mode;

/// Takes it up in a run that may write, under the gate's lock; one that only looks is refused, for what it would
/// see is neither what was there nor what comes. `again` is as [`crate::model::Start::again`].
///
/// # Errors
///
/// Why the run must not begin, and what is next.
pub(super) fn settle(root: &Path, mode: Mode, again: &str) -> Result<(), String> {
    if mode == Mode::Heal {
        return swap::finish(root)
            .map(drop)
            .map_err(|error| error.to_string());
    }
    ensure_none(&root.join(STATE_FOLDER)).map_err(|reason| {
        format!(
            "{reason}; nothing was looked at; next: `cargo xtask boot{again}` without --observe, by a user who may \
             write there, takes it up"
        )
    })
}

/// Changes nothing.
///
/// # Errors
///
/// That there is one, or why it cannot be told whether there is.
pub(super) fn ensure_none(state_folder: &Path) -> Result<(), String> {
    let file = swap::manifest(state_folder);
    let shown = file.display();
    match fs::metadata(&file) {
        Ok(_) => Err(format!(
            "another run is replacing a database, or was killed as it did, which is half-way ({shown})"
        )),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(())
        }
        Err(error) => Err(format!(
            "it cannot be told whether an earlier run left a database half replaced: {shown}: {error}"
        )),
    }
}

/// Whether there is one, or it cannot be told.
pub(super) fn may_be(state_folder: &Path) -> bool {
    ensure_none(state_folder).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_is_not_none() {
        let root = tempfile::tempdir().unwrap();
        let observe = || settle(root.path(), Mode::Observe, " --root x");
        assert_eq!(observe(), Ok(()));
        let state_folder = root.path().join(STATE_FOLDER);
        fs::create_dir(state_folder.parent().unwrap()).unwrap();
        fs::write(&state_folder, "no folder").unwrap();
        assert_eq!(observe(), Ok(()));
        fs::remove_file(&state_folder).unwrap();
        fs::create_dir(&state_folder).unwrap();
        assert_eq!(observe(), Ok(()));
        fs::write(swap::manifest(&state_folder), "").unwrap();
        let reason = observe().unwrap_err();
        assert!(reason.contains("which is half-way"), "{reason}");
        assert!(reason.contains("boot --root x` without"), "{reason}");
        #[cfg(unix)]
        {
            let file = swap::manifest(&state_folder);
            fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink(&file, &file).unwrap();
            let reason = observe().unwrap_err();
            assert!(reason.contains("it cannot be told whether"), "{reason}");
            assert!(may_be(&state_folder));
        }
    }
}
