//! A kept copy beside the database that it is for, before it takes that one's place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::RestoreError;
use super::restore::LOCK_WAIT;
use super::touched::{DATABASE_FILES, Touched};
use crate::host;
use crate::services::db::{
    Access, Connection, DbError, FileSet, has_unfinished_journal, owed_sums_of, side_file,
};

/// The name under which a copy waits beside the database.
pub(super) fn name_of(root: &Path, database: &Path) -> PathBuf {
    own_name(root, database, "restoring")
}

/// A name of this root's own beside a database. Several roots may know one that is below none or another of
/// them, and what one of them has begun is not another's to remove.
pub(super) fn own_name(root: &Path, database: &Path, what: &str) -> PathBuf {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    let of_root = match fs::metadata(root) {
        Ok(metadata) if !database.starts_with(root) => {
            format!("-{:x}", host::file_identity(&metadata).1)
        }
        _ => String::new(),
    };
    database.with_file_name(format!(".{name}.{what}{of_root}"))
}

/// Whether anything waits under that name.
pub(super) fn is_there(staged: &Path) -> bool {
    let mut files = STAGED_FILES.iter().map(|it| side_file(staged, it));
    files.any(|file| file.exists())
}

/// All that SQLite may make of it.
const STAGED_FILES: [&str; 4] = ["", "-wal", "-journal", "-shm"];

/// Removes what waits under that name with all that is beside it. It is ours alone: left by a run that
/// was killed, it never had the final name, and what it was copied from is still there.
pub(super) fn remove(staged: &Path) -> io::Result<()> {
    let mut files = STAGED_FILES.iter().map(|it| side_file(staged, it));
    files.try_for_each(|file| remove_one(&file))
}

fn remove_one(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A copy beside the database, as one file that holds everything, flushed to the disk. It gets the owner
/// and the permissions of what is there; where nothing is, the folder's owner and the permissions that
/// `recorded`, the state that the journal knows of the copy, names.
pub(super) fn stage(
    root: &Path,
    copy: &Path,
    path: &Path,
    recorded: &str,
) -> Result<PathBuf, RestoreError> {
    let io = |source| RestoreError::Io {
        path: path.to_owned(),
        source,
    };
    let staged = name_of(root, path);
    remove(&staged).map_err(io)?;
    let whole = (|| {
        copy_files(copy, &staged).map_err(io)?;
        fold(&staged).map_err(|source| RestoreError::Database {
            path: path.to_owned(),
            source,
        })?;
        // Finished, or it would not have been folded; the copy that it came with keeps its own.
        remove_one(&side_file(&staged, "-journal")).map_err(io)?;
        let file = fs::File::options().write(true).open(&staged).map_err(io)?;
        give_as_present(path, recorded, &file).map_err(io)?;
        file.sync_all().map_err(io)
    })();
    if whole.is_err() {
        // The reason itself is reported; the next run removes what stays.
        let _ = remove(&staged);
    }
    whole.map(|()| staged)
}

/// Copies a kept set beside a database, flushed to the disk, so that it can be put in place.
pub(super) fn stage_set(
    root: &Path,
    copy: &Path,
    database: &Path,
    touched: &Touched,
) -> io::Result<PathBuf> {
    let staged = name_of(root, database);
    remove(&staged)?;
    for suffix in DATABASE_FILES.iter().chain(&["-shm"]) {
        let (from, to) = (side_file(copy, suffix), side_file(&staged, suffix));
        if from.exists() {
            fs::copy(&from, &to)?;
            let file = fs::File::options().write(true).open(&to)?;
            give_away(database, touched, &file)?;
            file.sync_all()?;
        }
    }
    Ok(staged)
}

/// Gives what is put back as it was the owner and the permissions from before, which somebody else's command
/// may have changed; where the owner is not known, it is that of what it is to replace.
fn give_away(path: &Path, touched: &Touched, file: &fs::File) -> io::Result<()> {
    give_as_present(path, &touched.before, file)?;
    if let Some(owner) = touched.owner {
        host::give_to(file, owner)?;
    }
    match mode_of(&touched.before) {
        Some(mode) => host::set_unix_mode(file, mode),
        None => Ok(()),
    }
}

fn mode_of(recorded: &str) -> Option<u32> {
    let mode = recorded.split_whitespace().nth(1)?;
    u32::from_str_radix(mode, 8).ok()
}

/// Gives it the owner and the permissions of what it is to replace, see [`stage`].
fn give_as_present(path: &Path, recorded: &str, file: &fs::File) -> io::Result<()> {
    // Where the main file is gone, its log tells whose it was.
    let files = DATABASE_FILES.map(|suffix| side_file(path, suffix));
    match files.iter().find(|file| file.exists()) {
        Some(model) => host::copy_owner_and_mode(model, file),
        None => host::give_to_owner_of(path.parent().unwrap_or(path), mode_of(recorded), file),
    }
}

/// Copies what a database consists of, with all that SQLite is to find in its log.
pub(super) fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for suffix in DATABASE_FILES {
        let (from, to) = (side_file(from, suffix), side_file(to, suffix));
        if from.exists() {
            fs::copy(&from, &to)?;
        }
    }
    match owed_sums_of(from)? {
        Some(owed) => owed.pay(
            &fs::File::options()
                .write(true)
                .open(side_file(to, "-wal"))?,
        ),
        None => Ok(()),
    }
}

/// Lets SQLite fold a copy's own log or journal into it, as the next reader of the original would have.
pub(super) fn fold(copy: &Path) -> Result<(), DbError> {
    if !FileSet::look(copy).reading_may_write() {
        return Ok(());
    }
    let mut connection = Connection::open(copy, Access::ReadWrite, LOCK_WAIT)?;
    let folded = connection
        .query("SELECT count(*) FROM sqlite_schema", &[])
        .and_then(|_| empty_log(&mut connection, copy));
    connection.close();
    folded
}

/// Moves everything from the log into the main file. A finished journal holds nothing.
pub(super) fn empty_log(connection: &mut Connection, path: &Path) -> Result<(), DbError> {
    connection.query("PRAGMA wal_checkpoint(TRUNCATE)", &[])?;
    match is_one_file(path) {
        true => Ok(()),
        false => Err(DbError::other("its side files are still in use")),
    }
}

/// Whether nothing lies beside it that belongs into it.
pub(super) fn is_one_file(path: &Path) -> bool {
    let log = fs::metadata(side_file(path, "-wal"));
    !log.is_ok_and(|log| log.len() > 0) && !has_unfinished_journal(path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn beside_a_database_that_several_roots_may_know_each_has_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        for root in [&one, &other] {
            fs::create_dir(root).unwrap();
        }
        let shared = folder.path().join("x.db");
        assert_ne!(name_of(&one, &shared), name_of(&other, &shared));
        let own = one.join("x.db");
        assert_eq!(name_of(&one, &own), one.join(".x.db.restoring"));
        assert_ne!(name_of(&other, &own), name_of(&one, &own));
    }

    #[test]
    fn a_journal_that_a_finished_transaction_left_is_no_hindrance() {
        for mode in ["PERSIST", "TRUNCATE"] {
            let folder = tempfile::tempdir().unwrap();
            let (copy, path) = (folder.path().join("copy"), folder.path().join("x.db"));
            let mut connection = Connection::open(&copy, Access::Create, Duration::ZERO).unwrap();
            let sql = format!("PRAGMA journal_mode = {mode}; CREATE TABLE t (x)");
            connection.execute(&sql).unwrap();
            connection.close();
            assert!(side_file(&copy, "-journal").exists(), "{mode}");
            let staged = stage(folder.path(), &copy, &path, "database 640 x").unwrap();
            assert!(fs::read(&staged).unwrap() == fs::read(&copy).unwrap());
            assert!(!side_file(&staged, "-journal").exists(), "{mode}");
            assert!(side_file(&copy, "-journal").exists(), "{mode}");
        }
    }

    /// Also where the owner from before is known.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_comes_has_the_attributes_of_what_is_there() {
        use rustix::fs::{XattrFlags, getxattr, setxattr};
        let folder = tempfile::tempdir().unwrap();
        let (copy, path) = (folder.path().join("copy"), folder.path().join("x.db"));
        fs::write(&copy, "old").unwrap();
        fs::write(&path, "new").unwrap();
        if setxattr(&path, "user.kept", b"word", XattrFlags::empty()).is_err() {
            return;
        }
        for owner in [None, host::owner(&path).unwrap()] {
            let touched = Touched {
                path: path.clone(),
                kind: super::super::Kind::ByTool,
                before: "database 640 x".to_owned(),
                after: None,
                planned: None,
                saved: None,
                really: None,
                owner,
            };
            let staged = stage_set(folder.path(), &copy, &path, &touched).unwrap();
            let mut value = [0; 8];
            assert_eq!(getxattr(&staged, "user.kept", &mut value), Ok(4));
            assert_eq!(host::unix_mode(&staged).unwrap(), Some(0o640));
        }
    }
}
