use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Access, Connection, DbError, FileSet, MainFile, Structure};
use crate::host;
use crate::services::migrations::MigrationSet;

/// Makes a database with every migration applied, under a temporary name, and moves it into place.
///
/// Safety: the final name appears by one rename that replaces nothing, after the contents were
/// verified and flushed. A kill before it leaves a temporary file that the next call removes; a kill
/// after it leaves the complete database. There is no instant at which an empty or partial file has
/// the final name.
///
/// # Errors
///
/// When something has this name already, or the database cannot be written or does not verify.
pub fn create_complete(path: &Path, migrations: &MigrationSet) -> Result<(), DbError> {
    let files = FileSet::look(path);
    if files.main != MainFile::Missing || !files.side_files().is_empty() {
        return Err(DbError::other(format!(
            "{} is no free name any more",
            path.display()
        )));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    remove_leftovers(folder, path).map_err(io_error(folder))?;
    let temporary = temporary_name(path);
    let made = build(&temporary, migrations)
        .and_then(|()| sync(&temporary).map_err(io_error(&temporary)))
        .and_then(|()| {
            host::files::rename_without_replacing(&temporary, path).map_err(io_error(path))
        });
    if made.is_err() {
        // Ours alone, and known to be of no use; a name that stays is removed by the next call.
        let _ = remove_leftovers(folder, path);
        return made;
    }
    sync(folder).map_err(io_error(folder))
}

fn build(path: &Path, migrations: &MigrationSet) -> Result<(), DbError> {
    let mut connection = Connection::open(path, Access::Create, Duration::ZERO)?;
    migrations.apply_all(&mut connection)?;
    let structure = Structure::read(&mut connection, &[])?;
    connection.close();
    if structure.fingerprint() != migrations.expected().fingerprint() {
        return Err(DbError::other(
            "the new database does not have the expected structure",
        ));
    }
    Ok(())
}

fn sync(path: &Path) -> io::Result<()> {
    if cfg!(windows) && path.is_dir() {
        return Ok(());
    }
    File::open(path)?.sync_all()
}

const TEMPORARY_INFIX: &str = ".creating-";

fn temporary_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}{TEMPORARY_INFIX}")
}

fn temporary_name(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}{}", temporary_prefix(path), std::process::id()))
}

/// Removes what killed calls left under temporary names. Such a file never had the final name, so no
/// row was ever committed to it.
fn remove_leftovers(folder: &Path, path: &Path) -> io::Result<()> {
    let prefix = temporary_prefix(path);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> DbError {
    move |error| DbError::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_is_complete_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(folder.path().join(".a.db.creating-1"), "left by a kill").unwrap();
        create_complete(&path, &MigrationSet::built_in()).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a.db"]);
    }

    #[test]
    fn nothing_is_ever_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.db", "a.db-wal", "a.db-journal"] {
            let there = folder.path().join(name);
            std::fs::write(&there, "rows").unwrap();
            let error = create_complete(&folder.path().join("a.db"), &MigrationSet::built_in());
            assert!(error.is_err(), "{name}");
            assert_eq!(std::fs::read_to_string(&there).unwrap(), "rows");
            std::fs::remove_file(&there).unwrap();
        }
    }
}
