//! What SQLite keeps beside a main file.

use std::path::{Path, PathBuf};

use super::DbError;

/// The path of a side file.
pub(crate) fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether SQLite may open what lies there.
///
/// Safety: SQLite deletes the log beside an empty main file, and rolls a journal back into it; what either holds
/// may be nowhere else. A pipe in a side file's place would be waited for, without end. Where the log's index is no
/// file, SQLite makes an empty log before it gives up.
///
/// # Errors
///
/// Why it may not.
pub(crate) fn ensure_may_be_opened(path: &Path) -> Result<(), DbError> {
    let is_empty = std::fs::metadata(path).is_ok_and(|main| main.is_file() && main.len() == 0);
    for suffix in ["-wal", "-journal", "-shm"] {
        let file = side_file(path, suffix);
        match std::fs::metadata(&file) {
            Ok(side) if !side.is_file() => return Err(DbError::SideFile { file }),
            Ok(side) if is_empty && side.len() > 0 && suffix != "-shm" => {
                return Err(DbError::LogAlone { log: file });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::services::db::{Access, Connection};

    #[test]
    fn what_sqlite_would_throw_away_or_wait_for_is_not_opened() {
        for suffix in ["-wal", "-journal"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let side = side_file(&path, suffix);
            std::fs::write(&path, "").unwrap();
            std::fs::write(&side, "committed").unwrap();
            for access in [Access::ReadOnly, Access::ReadWrite, Access::Create] {
                let error = Connection::open(&path, access, Duration::ZERO).unwrap_err();
                assert_eq!(error, DbError::LogAlone { log: side.clone() });
            }
            std::fs::write(&side, "").unwrap();
            Connection::open(&path, Access::ReadWrite, Duration::ZERO).unwrap();
            let _ = std::fs::remove_file(&side);
            std::fs::create_dir(&side).unwrap();
            let error = Connection::open(&path, Access::ReadWrite, Duration::ZERO).unwrap_err();
            assert_eq!(error, DbError::SideFile { file: side });
        }
    }

    #[test]
    fn nothing_is_left_beside_a_log_whose_index_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        let made = connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x)");
        made.unwrap();
        connection.close();
        let index = side_file(&path, "-shm");
        std::fs::create_dir(&index).unwrap();
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let error = Connection::open(&path, access, Duration::ZERO).unwrap_err();
            assert_eq!(
                error,
                DbError::SideFile {
                    file: index.clone()
                }
            );
        }
        assert!(!side_file(&path, "-wal").exists());
        std::fs::remove_dir(&index).unwrap();
        // An index holds nothing that is nowhere else.
        std::fs::write(&path, "").unwrap();
        std::fs::write(&index, "index").unwrap();
        let opened = Connection::open(&path, Access::ReadWrite, Duration::ZERO);
        opened.unwrap().close();
    }
}
