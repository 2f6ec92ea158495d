//! What has been kept of what runs replaced, and whether it is still whole.

use std::io;
use std::path::{Path, PathBuf};

use super::backups::QUARANTINE;
use super::door::STATE_FOLDER;
use super::restore::Restore;
use super::touched::DATABASE_FILES;
use super::{Backups, Journal, Kind, Touched};
use crate::host::files;
use crate::services::db::side_file;

/// A copy of something that a run replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The run.
    pub run_id: String,
    /// What was copied.
    pub original: PathBuf,
    /// Where the copy stands.
    pub copy: PathBuf,
    /// Whether its contents are, by their digest, what was there before the run.
    pub is_whole: bool,
    /// How large it is, with what lies beside it; none where it is missing.
    pub bytes: Option<u64>,
    /// What it is a copy of.
    pub kind: Kind,
    /// Names exactly what was copied.
    pub(super) before: String,
}

/// Every copy that the journal knows of, oldest run first. Reads all of them.
///
/// # Errors
///
/// When the journal cannot be read.
pub fn kept(root: &Path) -> io::Result<Vec<Kept>> {
    let state_folder = root.join(STATE_FOLDER);
    let mut runs = files::names_in(&state_folder.join("backups"), usize::MAX)?;
    runs.extend(files::names_in(&state_folder.join(QUARANTINE), usize::MAX)?);
    runs.sort_unstable();
    runs.dedup();
    let mut all = Vec::new();
    for run_id in runs {
        all.extend(kept_by(root, &run_id)?);
    }
    Ok(all)
}

/// Every copy that one run made, in the order in which it made them. Reads all of them.
///
/// # Errors
///
/// When the journal cannot be read.
pub(super) fn kept_by(root: &Path, run_id: &str) -> io::Result<Vec<Kept>> {
    let state_folder = root.join(STATE_FOLDER);
    let backups = Backups::new(&state_folder, run_id);
    let restore = Restore {
        root,
        backups: &backups,
        is_at_once: false,
    };
    let mut of_run: Vec<Kept> = Vec::new();
    for entry in Journal::new(&state_folder, run_id).read()? {
        for touched in &entry.touched {
            let is_known = |copy| of_run.iter().any(|known| known.copy == copy);
            if restore.copy(touched).is_none_or(is_known) {
                continue;
            }
            of_run.extend(look(&restore, run_id, touched));
        }
    }
    Ok(of_run)
}

fn look(restore: &Restore<'_>, run_id: &str, touched: &Touched) -> Option<Kept> {
    let copy = restore.copy(touched)?;
    Some(Kept {
        run_id: run_id.to_owned(),
        original: touched.path.clone(),
        bytes: bytes(&copy),
        copy,
        is_whole: restore.check_copy(touched, touched.kind).is_ok(),
        kind: touched.kind,
        before: touched.before.clone(),
    })
}

fn bytes(copy: &Path) -> Option<u64> {
    let main = std::fs::metadata(copy).ok()?.len();
    let beside = DATABASE_FILES.iter().filter(|suffix| !suffix.is_empty());
    let beside = beside.filter_map(|suffix| std::fs::metadata(side_file(copy, suffix)).ok());
    Some(main + beside.map(|metadata| metadata.len()).sum::<u64>())
}
