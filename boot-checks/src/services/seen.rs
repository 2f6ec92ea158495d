//! Which databases earlier runs saw, so that one that vanished is told from one that never was.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::host::files::{Durability, write_atomic};

/// Where the names stand, below the application's root. Twice: where a disk is not mounted, all that it holds is
/// gone with the database, and often it is the whole of `var`.
const FILES: [&str; 2] = [
    "var/boot/database_seen",
    "grace_training/startup_failures/_database_seen",
];

/// The databases that earlier runs saw.
#[derive(Clone, Debug)]
pub struct SeenDatabases {
    files: [PathBuf; 2],
}

impl SeenDatabases {
    /// Those of the application in this root.
    pub fn below(root: &Path) -> SeenDatabases {
        SeenDatabases {
            files: FILES.map(|name| root.join(name)),
        }
    }

    /// Their names. Whatever stands in a file was a database, also where it is no text.
    ///
    /// # Errors
    ///
    /// When one of the files cannot be read: then nobody knows.
    pub fn names(&self) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for file in &self.files {
            names.extend(read(file)?);
        }
        Ok(names)
    }

    /// Adds a name where it does not stand yet. A folder that is not there is not made for it.
    ///
    /// # Errors
    ///
    /// The system's reason.
    pub fn add(&self, name: &str) -> io::Result<()> {
        for file in &self.files {
            let mut names = read(file)?;
            let has_folder = file.parent().is_some_and(Path::is_dir);
            if has_folder && names.insert(name.to_owned()) {
                write(file, &names)?;
            }
        }
        Ok(())
    }

    /// Takes names away.
    ///
    /// # Errors
    ///
    /// The system's reason.
    pub fn forget(&self, gone: &[String]) -> io::Result<()> {
        for file in &self.files {
            let mut names = read(file)?;
            let count = names.len();
            names.retain(|name| !gone.contains(name));
            if names.len() != count {
                write(file, &names)?;
            }
        }
        Ok(())
    }
}

fn read(file: &Path) -> io::Result<BTreeSet<String>> {
    let bytes = match crate::host::files::read_regular(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        bytes => bytes?,
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().map(str::to_owned).collect())
}

fn write(file: &Path, names: &BTreeSet<String>) -> io::Result<()> {
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    write_atomic(file, text.as_bytes(), Durability::Synced, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_two_files_is_enough_and_both_are_kept() {
        let root = tempfile::tempdir().unwrap();
        for name in FILES {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
        }
        let seen = SeenDatabases::below(root.path());
        assert!(seen.names().unwrap().is_empty());
        seen.add("var/a.db").unwrap();
        std::fs::remove_dir_all(root.path().join("var")).unwrap();
        assert!(seen.names().unwrap().contains("var/a.db"));
        seen.add("var/b.db").unwrap();
        assert_eq!(seen.names().unwrap().len(), 2);
        assert!(!root.path().join("var").exists());
        seen.forget(&["var/a.db".to_owned()]).unwrap();
        assert_eq!(seen.names().unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_text_was_a_database_and_what_cannot_be_read_is_unknown() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/boot")).unwrap();
        let file = root.path().join(FILES[0]);
        std::fs::write(&file, b"caf\xe9.db\n").unwrap();
        let seen = SeenDatabases::below(root.path());
        assert_eq!(seen.names().unwrap().len(), 1);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        seen.names().unwrap_err();
    }
}
