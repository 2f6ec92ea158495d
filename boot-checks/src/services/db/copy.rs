use std::path::Path;

use super::{DbError, FileSet, side_file};
use crate::host::PrivateFolder;

/// A copy for looking is only made up to here: beyond, it would take longer than a person waits.
const OBSERVED_COPY_BYTES_MAX: u64 = 4 << 30;

/// A copy of the whole set, so that observing a database with a write-ahead log or a hot journal
/// leaves every byte as it is.
pub(crate) fn copy_for_looking(files: &FileSet) -> Result<PrivateFolder, DbError> {
    copy_for_looking_in(files, &std::env::temp_dir())
}

/// As [`copy_for_looking`], below this folder.
pub(super) fn copy_for_looking_in(files: &FileSet, place: &Path) -> Result<PrivateFolder, DbError> {
    let io = |error: std::io::Error| DbError::other(format!("copying for observation: {error}"));
    // The index of the log is a cache of live processes: SQLite makes it anew beside the copy.
    let index = side_file(&files.path, "-shm");
    let mut sources = vec![files.path.clone()];
    sources.extend(files.side_files().into_iter().filter(|path| *path != index));
    let stamps = || -> std::io::Result<Vec<_>> {
        sources
            .iter()
            .map(|path| std::fs::metadata(path).and_then(|m| Ok((m.len(), m.modified()?))))
            .collect()
    };
    // Copying a pipe would wait for somebody to write into it.
    let is_file = |path: &std::path::PathBuf| std::fs::metadata(path).is_ok_and(|it| it.is_file());
    if !sources.iter().all(is_file) {
        return Err(DbError::other("a file of the database is no regular file"));
    }
    let before = stamps().map_err(io)?;
    if before.iter().map(|(bytes, _)| bytes).sum::<u64>() > OBSERVED_COPY_BYTES_MAX {
        return Err(DbError::other(
            "the database is too large to observe without touching it",
        ));
    }
    let folder = PrivateFolder::new_in(place).map_err(io)?;
    for source in &sources {
        let name = source.file_name().unwrap_or_default();
        std::fs::copy(source, folder.path().join(name)).map_err(io)?;
    }
    if stamps().map_err(io)? != before {
        return Err(DbError::other(
            "the database was being written while it was observed",
        ));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_of_what_holds_rows() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("a.db");
        for suffix in ["", "-wal", "-shm"] {
            std::fs::write(side_file(&database, suffix), "bytes").unwrap();
        }
        let copy = copy_for_looking(&FileSet::look(&database)).unwrap();
        let is_there = |suffix| side_file(&copy.path().join("a.db"), suffix).exists();
        assert_eq!(["", "-wal", "-shm"].map(is_there), [true, true, false]);
    }
}
