//! Every file of an application, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The main file and what SQLite keeps beside it. The index of a log is left out: it is made anew.
pub(crate) const DATABASE: [&str; 3] = ["var/grace.db", "var/grace.db-wal", "var/grace.db-journal"];

const INDEX: &str = "var/grace.db-shm";

/// What the gate keeps for itself, and what it tells.
const OWN: [&str; 2] = ["var/boot", "logs/"];

/// By their names below the root; a folder has no bytes.
#[derive(PartialEq, Eq)]
pub(crate) struct Files(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Files {
    pub(crate) fn read(root: &Path) -> Files {
        let mut files = BTreeMap::new();
        collect(root, root, &mut files);
        let is_own = |name: &Path| {
            let name = name.to_str().unwrap();
            name == INDEX || OWN.iter().any(|own| name.starts_with(own))
        };
        files.retain(|name, _| !is_own(name));
        Files(files)
    }

    /// Names of what is another now, came, or is gone.
    pub(crate) fn changed(&self, now: &Files) -> BTreeSet<PathBuf> {
        let names = self.0.keys().chain(now.0.keys());
        let is_other = |name: &&PathBuf| self.0.get(*name) != now.0.get(*name);
        names.filter(is_other).cloned().collect()
    }

    /// What holds something of the database.
    pub(crate) fn of_database(&self) -> impl Iterator<Item = &[u8]> {
        let files = DATABASE
            .iter()
            .filter_map(|name| self.0.get(Path::new(name)));
        let bytes = files.filter_map(|bytes| bytes.as_deref());
        bytes.filter(|bytes| !bytes.is_empty())
    }
}

/// Whether a file below this folder has exactly these bytes.
pub(crate) fn has_copy(folder: &Path, bytes: &[u8]) -> bool {
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files);
    files.values().flatten().any(|copy| copy == bytes)
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if path.is_dir() {
            files.insert(name, None);
            collect(root, &path, files);
        } else {
            files.insert(name, Some(std::fs::read(&path).unwrap()));
        }
    }
}
