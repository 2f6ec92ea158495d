//! Where Python would find a module: folders in the order of `sys.path`, looked at once each.

use std::collections::{HashMap, HashSet};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a name in one folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A module or package with a source file.
    Source { file: PathBuf, is_package: bool },
    /// A folder without `__init__.py`.
    Namespace,
    /// Compiled code, whose names are not known.
    Compiled,
}

/// Looks up modules in folders; every folder is listed once.
#[derive(Debug, Default)]
pub(super) struct Finder {
    listings: Mutex<HashMap<PathBuf, Arc<HashSet<String>>>>,
    /// Folders that are there and that the system does not let be read, with its reason.
    closed: Mutex<HashMap<PathBuf, String>>,
}

impl Finder {
    /// The module `name` in `folder`.
    pub(super) fn find(&self, folder: &Path, name: &str) -> Option<Found> {
        let listing = self.listing(folder);
        let inner = folder.join(name);
        let is_folder = listing.contains(name) && inner.is_dir();
        if is_folder {
            let inside = self.listing(&inner);
            if inside.contains("__init__.py") {
                return Some(Found::Source {
                    file: inner.join("__init__.py"),
                    is_package: true,
                });
            }
            if inside.contains("__init__.pyc")
                || inside.iter().any(|one| is_extension(one, "__init__"))
            {
                return Some(Found::Compiled);
            }
        }
        if listing.iter().any(|one| is_extension(one, name)) {
            return Some(Found::Compiled);
        }
        let source = format!("{name}.py");
        if listing.contains(&source) {
            return Some(Found::Source {
                file: folder.join(source),
                is_package: false,
            });
        }
        if listing.contains(&format!("{name}.pyc")) {
            return Some(Found::Compiled);
        }
        is_folder.then_some(Found::Namespace)
    }

    /// Why a folder that modules were looked for in could not be read.
    pub(super) fn closed(&self, folder: &Path) -> Option<String> {
        let closed = self.closed.lock();
        let closed = closed.unwrap_or_else(std::sync::PoisonError::into_inner);
        closed.get(folder).cloned()
    }

    fn listing(&self, folder: &Path) -> Arc<HashSet<String>> {
        let mut listings = self
            .listings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(listing) = listings.get(folder) {
            return Arc::clone(listing);
        }
        let entries = std::fs::read_dir(folder).map_err(|error| {
            if let Some(reason) = is_closed(&error).then(|| error.to_string()) {
                let closed = self.closed.lock();
                let mut closed = closed.unwrap_or_else(std::sync::PoisonError::into_inner);
                closed.insert(folder.to_owned(), reason);
            }
        });
        let names = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        let listing = Arc::new(names);
        listings.insert(folder.to_owned(), Arc::clone(&listing));
        listing
    }
}

/// Whether a file or folder may be there, though the system says no.
pub(crate) fn is_closed(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
    )
}

/// `name.so`, `name.cpython-311-x86_64-linux-gnu.so`, `name.abi3.so`, `name.pyd`.
fn is_extension(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| {
        rest.starts_with('.') && (rest.ends_with(".so") || rest.ends_with(".pyd"))
    })
}
