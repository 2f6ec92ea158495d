//! A file that a run wrote or made, as an undo takes it back.

use std::fs;
use std::io;
use std::path::Path;

use super::RestoreError;
use super::aside;
use super::restore::{io_error, state};
use super::touched::{ABSENT, KeptOpen, Kind, Touched, digest_of};
use crate::host::files;
use crate::host::rewrite::rewrite_expected;

/// Rewrites a file that is as it was looked at, see [`rewrite_expected`].
pub(super) fn rewrite(path: &Path, looked_at: &str, contents: &[u8]) -> Result<(), RestoreError> {
    let left = files::read_regular(path).map_err(io_error(path))?;
    let is_left = looked_at.split_whitespace().nth(2) == Some(digest_of(&left).as_str());
    let is_rewritten = match is_left {
        true => rewrite_expected(path, &left, contents).map_err(io_error(path))?,
        false => false,
    };
    match is_rewritten {
        true => Ok(()),
        false => Err(RestoreError::Changed(path.to_owned())),
    }
}

/// Removes a file that is as it was looked at; what is removed has a name in `folder` until then.
///
/// Safety: it is compared once more when nobody finds it by its name any more. Where somebody has written into
/// it between, it gets its name back; where another file has that by now, both stay.
pub(super) fn remove(path: &Path, looked_at: &str, folder: &Path) -> Result<(), RestoreError> {
    let io = io_error(path);
    let Some(moved) = aside::move_away(path, folder).map_err(&io)? else {
        return Err(RestoreError::Changed(path.to_owned()));
    };
    let is_as_it_was = state(Kind::File, &moved, &mut KeptOpen::default())? == looked_at;
    match is_as_it_was {
        true => fs::remove_file(&moved).map_err(&io)?,
        false => match files::rename_without_replacing(&moved, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let path = path.to_owned();
                return Err(RestoreError::Followed { path, kept: moved });
            }
            back => back.map_err(&io)?,
        },
    }
    remove_empty(folder);
    files::sync_folder(path.parent().unwrap_or(path)).map_err(&io)?;
    match is_as_it_was {
        true => Ok(()),
        false => Err(RestoreError::Changed(path.to_owned())),
    }
}

/// Removes what [`remove`] moved into `folder` and was killed before it removed it, where it is what the run left.
pub(super) fn remove_what_was_removed(path: &Path, touched: &Touched, folder: &Path) {
    if touched.before != ABSENT {
        return;
    }
    for moved in aside::names_of(path, folder) {
        let state = Kind::File.state(&moved, &mut KeptOpen::default());
        let is_the_runs = |state: &String| match &touched.after {
            Some(after) => state == after,
            None => touched.is_planned(state),
        };
        if state.is_ok_and(|state| is_the_runs(&state)) {
            // Tidying only: it is kept, and nothing of it is lost.
            let _ = fs::remove_file(&moved);
        }
    }
    remove_empty(folder);
}

/// Removes a run's folder in the quarantine, and the quarantine itself, where nothing is kept in them.
fn remove_empty(folder: &Path) {
    let both = [Some(folder), folder.parent()];
    let _ = both.into_iter().flatten().try_for_each(fs::remove_dir);
}
