//! What has been kept of what runs replaced, and whether it is still whole.

use std::io;
use std::path::{Path, PathBuf};

use super::backups::{QUARANTINE, is_of_a_run};
use super::door::STATE_FOLDER;
use super::restore::Restore;
use super::touched::DATABASE_FILES;
use super::{Backups, Journal, Kind, Touched};
use crate::host::files;
use crate::services::db::salvage::KeptCopy;
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

/// The folders of copies of runs that the journal does not know, by name: what these are copies of, and whether they
/// are whole, is not known.
///
/// # Errors
///
/// When the journal cannot be read.
pub fn unnamed(root: &Path) -> io::Result<Vec<PathBuf>> {
    let state_folder = root.join(STATE_FOLDER);
    let entries = Journal::new(&state_folder, "").read_all_runs()?;
    let backups = state_folder.join("backups");
    let mut runs = files::names_in(&backups, usize::MAX)?;
    let is_named = |run_id: &String| entries.iter().any(|entry| entry.run_id == *run_id);
    runs.retain(|run_id| is_of_a_run(run_id) && !is_named(run_id));
    runs.sort_unstable();
    let folders = runs.into_iter().map(|run_id| backups.join(run_id));
    // What is no folder is no run's.
    let has_copies = |folder: &PathBuf| files::names_in(folder, 1).is_ok_and(|it| !it.is_empty());
    Ok(folders.filter(has_copies).collect())
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

/// The copies of one database, and of no other, that the journal names and that are there, the newest first: of each
/// run what was there before its first change. Each is read when its turn comes. What is in a quarantine was set
/// aside as it was, and is left out.
///
/// # Errors
///
/// When the journal cannot be read.
pub(super) fn copies_of(
    root: &Path,
    database: &Path,
) -> io::Result<Box<dyn Iterator<Item = KeptCopy>>> {
    let (root, state_folder) = (root.to_owned(), root.join(STATE_FOLDER));
    let wanted = resolved(database);
    let is_copied = |touched: &Touched| {
        matches!(touched.kind, Kind::Database | Kind::ByTool)
            && resolved(&touched.place(&root)) == wanted
    };
    let mut named: Vec<(String, Touched)> = Vec::new();
    for entry in Journal::new(&state_folder, "").read_all_runs()? {
        for touched in entry.touched.into_iter().filter(is_copied) {
            let is_known = named.iter().any(|(run_id, _)| *run_id == entry.run_id);
            if touched.saved.is_some() && !is_known {
                named.push((entry.run_id.clone(), touched));
            }
        }
    }
    let copies = named
        .into_iter()
        .rev()
        .filter_map(move |(run_id, touched)| {
            let backups = Backups::new(&state_folder, &run_id);
            let restore = Restore {
                root: &root,
                backups: &backups,
                is_at_once: false,
            };
            let path = restore.copy(&touched).filter(|path| path.exists())?;
            let is_whole = restore.check_copy(&touched, touched.kind).is_ok();
            Some(KeptCopy {
                run_id,
                path,
                is_whole,
            })
        });
    Ok(Box::new(copies))
}

/// A path by which two spellings of one place are equal; the last part may be missing.
fn resolved(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::super::touched::KeptOpen;
    use super::super::{JournalEntry, Phase};
    use super::*;

    /// Keeps a copy as a run does.
    fn keep(root: &Path, run_id: &str, name: &str, kind: Kind) {
        let (path, state_folder) = (root.join(name), root.join(STATE_FOLDER));
        let mut open = KeptOpen::default();
        let backups = Backups::new(&state_folder, run_id);
        let saved = match kind {
            Kind::DatabaseSet => backups.quarantine().save_set(&path, &mut open),
            _ => backups.save_database(&path, &mut open),
        };
        let entry = JournalEntry {
            run_id: run_id.to_owned(),
            step: String::new(),
            playbook: String::new(),
            fingerprint: String::new(),
            phase: Phase::Begun,
            changes: serde_json::Value::Null,
            touched: vec![Touched {
                path: PathBuf::from(name),
                kind,
                before: kind.state(&path, &mut open).unwrap(),
                after: None,
                planned: None,
                saved: Some(saved.unwrap()),
                really: None,
                owner: None,
            }],
        };
        Journal::new(&state_folder, run_id).write(&entry).unwrap();
    }

    #[test]
    fn the_copies_of_a_database_are_what_was_there_before_each_run_the_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("b")).unwrap();
        for name in ["a.db", "b-a.db", "b/a.db"] {
            std::fs::write(root.join(name), format!("of {name}")).unwrap();
        }
        // The clock went backwards between the first two.
        for (run_id, name, kind) in [
            ("run 8", "a.db", Kind::Database),
            ("run 8", "a.db", Kind::Database),
            ("run 1", "b/a.db", Kind::Database),
            ("run 1", "b-a.db", Kind::Database),
            ("run 1", "a.db", Kind::ByTool),
            ("run 9", "b/a.db", Kind::Database),
            ("run 9", "a.db", Kind::DatabaseSet),
        ] {
            keep(root, run_id, name, kind);
        }
        let backups = root.join(STATE_FOLDER).join("backups");
        let seen = || -> Vec<(PathBuf, bool)> {
            let copies = copies_of(root, &root.join("a.db")).unwrap();
            copies.map(|copy| (copy.path, copy.is_whole)).collect()
        };
        let (first, second) = (backups.join("run 1/2-a.db"), backups.join("run 8/0-a.db"));
        assert_eq!(seen(), [(first.clone(), true), (second.clone(), true)]);
        std::fs::write(&second, "another").unwrap();
        std::fs::remove_file(&first).unwrap();
        assert_eq!(seen(), [(second, false)]);
    }
}
