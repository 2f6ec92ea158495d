//! What is in an application's root: every file with its bytes and permissions, and every row.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::path::Path;
use std::time::Duration;

use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection, Row, quoted};

/// What every boot writes, whatever it sees: its report, its record, its metrics and its own state.
/// It is no part of the application, and is compared with nothing.
pub(super) const NOT_COMPARED: [&str; 4] = [
    "grace_training/startup_failures",
    "logs/last_boot_report.txt",
    "logs/startup_metrics.prom",
    "var/boot",
];

/// Everything below a folder, as it was at one instant.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    permissions: Permissions,
    /// None for a folder.
    contents: Option<Vec<u8>>,
}

impl Tree {
    /// Reads everything that is compared.
    pub(super) fn of_application(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree::default();
        tree.walk(root, root, &|name| !NOT_COMPARED.contains(&name))?;
        Ok(tree)
    }

    /// Reads everything but what `is_wanted` leaves out; a folder is left out with all that is in it.
    pub(super) fn of(root: &Path, is_wanted: &dyn Fn(&str) -> bool) -> io::Result<Tree> {
        let mut tree = Tree::default();
        tree.walk(root, root, is_wanted)?;
        Ok(tree)
    }

    fn walk(
        &mut self,
        root: &Path,
        folder: &Path,
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(root).unwrap_or(&path);
            let name = name.to_string_lossy().replace('\\', "/");
            if !is_wanted(&name) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path)?;
            let contents = metadata.is_file().then(|| fs::read(&path)).transpose()?;
            let permissions = metadata.permissions();
            self.entries.insert(
                name,
                Entry {
                    permissions,
                    contents,
                },
            );
            if metadata.is_dir() {
                self.walk(root, &path, is_wanted)?;
            }
        }
        Ok(())
    }

    /// Without the database and what SQLite keeps beside it.
    pub(super) fn without_database(mut self, database: &str) -> Tree {
        self.entries.retain(|name, _| !name.starts_with(database));
        self
    }

    /// Names of what differs, in order.
    pub(super) fn differences(&self, other: &Tree) -> Vec<String> {
        let names = self.entries.keys().chain(other.entries.keys());
        let mut differing: Vec<String> = names
            .filter(|name| self.entries.get(*name) != other.entries.get(*name))
            .cloned()
            .collect();
        differing.sort();
        differing.dedup();
        differing
    }

    /// How many files and folders there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes the folder hold exactly this again, where it is compared.
    pub(super) fn put_back(&self, root: &Path) -> io::Result<()> {
        let now = Tree::of_application(root)?;
        for name in self.differences(&now).iter().rev() {
            if self.entries.contains_key(name) {
                continue;
            }
            let path = root.join(name);
            if path.is_dir() {
                fs::remove_dir(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        self.lay_out(root)
    }

    /// Writes everything of this that is not there as it is here.
    pub(super) fn lay_out(&self, root: &Path) -> io::Result<()> {
        for (name, entry) in &self.entries {
            let path = root.join(name);
            match &entry.contents {
                None => fs::create_dir_all(&path)?,
                Some(contents) if fs::read(&path).is_ok_and(|there| there == *contents) => {}
                Some(contents) => fs::write(&path, contents)?,
            }
            fs::set_permissions(&path, entry.permissions.clone())?;
        }
        Ok(())
    }
}

/// Every row of every table, in the order of its rowid.
pub(super) type Rows = BTreeMap<String, Vec<Row>>;

/// Reads every row, from a copy: reading could fold a write-ahead log in or roll a journal back.
///
/// # Errors
///
/// SQLite's reason; a damaged database cannot be read.
pub(super) fn rows(database: &Path, scratch: &Path) -> Result<Rows, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let copy = scratch.join("rows.db");
    for suffix in ["", "-wal", "-journal"] {
        let side = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            name
        };
        let (from, to) = (side(database), side(&copy));
        match fs::read(&from) {
            Ok(bytes) => fs::write(&to, bytes).map_err(|error| words(&error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // What an earlier copy left is none of this one's.
                let _ = fs::remove_file(&to);
            }
            Err(error) => return Err(words(&error)),
        }
    }
    let mut connection = Connection::open(&copy, Access::ReadWrite, Duration::ZERO)
        .map_err(|error| words(&error))?;
    let rows = read(&mut connection).map_err(|error| words(&error));
    connection.close();
    rows
}

fn read(connection: &mut Connection) -> Result<Rows, boot_checks::services::db::DbError> {
    let tables = connection.query(
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
        &[],
    )?;
    let mut all = Rows::new();
    for table in tables {
        let Some(SqlValue::Text(name)) = table.into_iter().next() else {
            continue;
        };
        let sql = format!("SELECT * FROM {}", quoted(&name));
        let rows = connection.query(&sql, &[])?;
        all.insert(name, rows);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_tells_every_difference_and_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/var/boot")).unwrap();
        fs::write(root.join("a/x"), "1").unwrap();
        let before = Tree::of_application(root).unwrap();
        fs::write(root.join("a/x"), "2").unwrap();
        fs::write(root.join("a/y"), "new").unwrap();
        fs::create_dir(root.join("b")).unwrap();
        fs::create_dir_all(root.join("var/boot")).unwrap();
        let after = Tree::of_application(root).unwrap();
        assert_eq!(before.differences(&after), ["a/x", "a/y", "b", "var"]);
        fs::remove_dir_all(root.join("var")).unwrap();
        before.put_back(root).unwrap();
        let again = Tree::of_application(root).unwrap();
        assert!(before.differences(&again).is_empty());
    }
}
