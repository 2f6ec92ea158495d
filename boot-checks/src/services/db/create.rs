use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Access, Connection, DbError, FileSet, MainFile, Structure, side_file};
use crate::host;
use crate::host::leftovers::LEFTOVER_NAMES_MAX;
use crate::services::migrations::MigrationSet;

/// Makes a database with every migration applied, under a temporary name, and moves it into place; `made` is told the
/// temporary name once all is in it.
///
/// Safety: the final name appears by one rename that replaces nothing, after the contents were
/// verified and flushed. A kill before it leaves a temporary file that the next boot removes, and no boot removes
/// one that another is still writing; a kill after it leaves the complete database. There is no instant at which an
/// empty or partial file has the final name.
///
/// # Errors
///
/// [`DbError::Changed`] where something has this name by now; or the database cannot be written or does not verify.
pub fn create_complete(
    path: &Path,
    migrations: &MigrationSet,
    made: impl FnOnce(&Path),
) -> Result<(), DbError> {
    let files = FileSet::look(path);
    if files.main != MainFile::Missing || !files.side_files().is_empty() {
        return Err(DbError::Changed);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    remove_unfinished(path);
    let (temporary, held) = create_temporary(path).map_err(io_error(folder))?;
    let moved = build(&temporary, migrations)
        .and_then(|()| sync(&temporary).map_err(io_error(&temporary)))
        .and_then(|()| {
            made(&temporary);
            host::files::rename_without_replacing(&temporary, path).map_err(|error| {
                match error.kind() {
                    io::ErrorKind::AlreadyExists => DbError::Changed,
                    _ => io_error(path)(error),
                }
            })
        });
    drop(held);
    if moved.is_err() {
        // Ours alone, and known to be of no use; a name that stays is removed by the next boot.
        remove_unfinished(path);
        return moved;
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

const SIDE_ENDS: [&str; 3] = ["-journal", "-wal", "-shm"];

const TEMPORARY_INFIX: &str = ".creating-";

fn temporary_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}{TEMPORARY_INFIX}")
}

/// An empty file that is locked while it is written.
///
/// Safety: a leftover is locked before it is removed, so that none is that somebody writes. One that was removed between
/// its making and its lock is no longer what has the name, and another is made.
fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut count = 0;
    loop {
        let name = format!("{}{}.{count}", temporary_prefix(path), std::process::id());
        let temporary = path.with_file_name(name);
        count += 1;
        let file = match host::files::create_new(&temporary, None) {
            // In another container, or left by a killed process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &temporary) => return Ok((temporary, file)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let found = std::fs::metadata(path).map(|it| host::file_identity(&it));
    let own = file.metadata().map(|it| host::file_identity(&it));
    matches!((found, own), (Ok(found), Ok(own)) if found == own)
}

/// Removes what killed calls left under temporary names. Such a file never had the final name, so no
/// row was ever committed to it. What cannot be removed today is found by the next boot.
///
/// Safety: only what is locked here and has its name still. What lies beside it goes first, so that nothing ever lies
/// there alone, under a name that somebody may take.
pub fn remove_unfinished(path: &Path) {
    let folder = path.parent().unwrap_or(Path::new("."));
    let prefix = temporary_prefix(path);
    let names = host::files::names_in(folder, LEFTOVER_NAMES_MAX).unwrap_or_default();
    let is_beside = |name: &String| SIDE_ENDS.iter().any(|end| name.ends_with(end));
    for name in names
        .iter()
        .filter(|it| it.starts_with(&prefix) && !is_beside(it))
    {
        let place = folder.join(name);
        let Ok(main) = host::files::open_regular(&place) else {
            continue;
        };
        if main.try_lock().is_ok() && is_at(&main, &place) {
            for end in SIDE_ENDS {
                let _ = std::fs::remove_file(side_file(&place, end));
            }
            let _ = std::fs::remove_file(&place);
        }
    }
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
        create_complete(&path, &MigrationSet::built_in(), |_| ()).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a.db"]);
    }

    #[test]
    fn what_another_call_still_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (written, held) = create_temporary(&path).unwrap();
        let journal = folder.path().join(format!(
            "{}-journal",
            written.file_name().unwrap().display()
        ));
        std::fs::write(&journal, "").unwrap();
        create_complete(&path, &MigrationSet::built_in(), |_| ()).unwrap();
        assert!(written.exists() && journal.exists());
        drop(held);
        remove_unfinished(&path);
        assert!(!written.exists() && !journal.exists());
    }

    /// Somebody who tidies up may remove it before it is locked, and then it is nobody's.
    #[test]
    fn what_is_made_is_there_also_beside_somebody_who_tidies_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    remove_unfinished(&path);
                }
            });
            let all_there = (0..2_000).all(|_| {
                let (temporary, file) = create_temporary(&path).unwrap();
                let is_there = is_at(&file, &temporary);
                let _ = std::fs::remove_file(temporary);
                is_there
            });
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(all_there);
        });
    }

    #[test]
    fn nothing_is_ever_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.db", "a.db-wal", "a.db-journal"] {
            let there = folder.path().join(name);
            std::fs::write(&there, "rows").unwrap();
            let error = create_complete(
                &folder.path().join("a.db"),
                &MigrationSet::built_in(),
                |_| (),
            );
            assert!(error.is_err(), "{name}");
            assert_eq!(std::fs::read_to_string(&there).unwrap(), "rows");
            std::fs::remove_file(&there).unwrap();
        }
    }
}
