use std::fs::{File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::side_file;

/// What stands at the path of the main file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MainFile {
    /// Nothing.
    Missing,
    /// Something that is no regular file: a folder, a pipe, a socket, a loop of links.
    NotAFile(&'static str),
    /// A regular file of no bytes.
    Empty,
    /// A regular file that does not begin as a database does.
    NotADatabase {
        /// Its size in bytes.
        bytes: u64,
    },
    /// A database.
    Database(Header),
    /// It is there and cannot be read.
    Unreadable(String),
}

/// The first 100 bytes of a database (<https://www.sqlite.org/fileformat2.html#the_database_header>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Bytes per page.
    pub page_size: u64,
    /// Pages that the header speaks of; none where an old SQLite left the field stale.
    pub pages: Option<u64>,
    /// 1 for rollback journal, 2 for write-ahead log; higher is newer than this SQLite.
    pub write_version: u8,
    /// As `write_version`, for reading.
    pub read_version: u8,
}

impl Header {
    /// Whether the database is in write-ahead log mode.
    pub fn is_wal(&self) -> bool {
        self.read_version == 2
    }

    /// Whether the file ends before its last page does.
    pub fn is_cut_short(&self) -> bool {
        self.pages
            .is_some_and(|pages| self.bytes < pages * self.page_size)
    }
}

/// A database and what SQLite keeps beside it, as the file system shows them.
///
/// Look before the first SQLite open of the process only, or with every connection closed: closing
/// any descriptor of the file drops this process's locks on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSet {
    /// Absolute path of the main file.
    pub path: PathBuf,
    /// The main file.
    pub main: MainFile,
    /// Bytes of the write-ahead log; none where there is no such file.
    pub wal_bytes: Option<u64>,
    /// Bytes of the rollback journal; none where there is no such file.
    pub journal_bytes: Option<u64>,
    /// Bytes of the shared-memory index; none where there is no such file.
    pub shm_bytes: Option<u64>,
}

impl FileSet {
    /// Looks at the files; opens nothing in SQLite and changes nothing.
    ///
    /// Safety: whoever commits at this very instant writes the header before the pages that it counts, and its
    /// journal may be gone a moment later. So a file that ends before its last page is believed when it stays so.
    pub fn look(path: &Path) -> FileSet {
        let mut files = FileSet::look_once(path);
        for _ in 1..LOOKS_AT_A_SHORT_FILE {
            match &files.main {
                MainFile::Database(header) if header.is_cut_short() && !header.is_wal() => {}
                _ => break,
            }
            std::thread::sleep(BETWEEN_LOOKS);
            files = FileSet::look_once(path);
        }
        files
    }

    fn look_once(path: &Path) -> FileSet {
        FileSet {
            path: path.to_owned(),
            main: look_at_main(path),
            wal_bytes: side_file_bytes(path, "-wal"),
            journal_bytes: side_file_bytes(path, "-journal"),
            shm_bytes: side_file_bytes(path, "-shm"),
        }
    }

    /// Paths of the side files that are there.
    pub fn side_files(&self) -> Vec<PathBuf> {
        [
            ("-wal", self.wal_bytes),
            ("-journal", self.journal_bytes),
            ("-shm", self.shm_bytes),
        ]
        .into_iter()
        .filter(|(_, bytes)| bytes.is_some())
        .map(|(suffix, _)| side_file(&self.path, suffix))
        .collect()
    }

    /// Whether merely opening the database for reading could make SQLite write beside it: to roll a
    /// journal back or to make a write-ahead log's index.
    pub fn reading_may_write(&self) -> bool {
        let wal_mode = matches!(&self.main, MainFile::Database(header) if header.is_wal());
        wal_mode || self.wal_bytes.is_some() || self.journal_bytes.is_some_and(|bytes| bytes > 0)
    }

    /// Whether it is a database without a write-ahead log, and SQLite would make none.
    pub fn has_no_log(&self) -> bool {
        let journals = matches!(&self.main, MainFile::Database(header) if !header.is_wal());
        journals && self.wal_bytes.is_none()
    }
}

/// A writer that never pauses is met between its two steps in one look of twenty.
const LOOKS_AT_A_SHORT_FILE: usize = 5;

/// Longer than a writer takes from the header to the last page, most times.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Whether a database's rollback journal may still be needed. Where transactions leave it behind
/// (`journal_mode` `PERSIST` and `TRUNCATE`), one whose header is zeroed, or that is empty, is finished
/// (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>). What cannot be read may be needed.
pub(crate) fn has_unfinished_journal(path: &Path) -> bool {
    /// What SQLite zeroes when a transaction is over.
    const HEADER_BYTES: u64 = 28;
    let mut header = Vec::new();
    let journal = side_file(path, "-journal");
    match crate::host::files::open_regular(&journal)
        .and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut header))
    {
        Ok(_) => header.iter().any(|byte| *byte != 0),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn side_file_bytes(path: &Path, suffix: &str) -> Option<u64> {
    std::fs::symlink_metadata(side_file(path, suffix))
        .ok()
        .map(|metadata| metadata.len())
}

/// A link first as itself: what comes between a look for its end and one for it would be taken for a link to nothing.
fn look_at_main(path: &Path) -> MainFile {
    let itself = std::fs::symlink_metadata(path);
    let is_link = itself.as_ref().is_ok_and(std::fs::Metadata::is_symlink);
    let metadata = match if is_link {
        std::fs::metadata(path)
    } else {
        itself
    } {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_link => {
            return MainFile::NotAFile("a link to nothing");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return MainFile::Missing,
        Err(error) if crate::host::is_link_loop(&error) => {
            return MainFile::NotAFile("a loop of links");
        }
        Err(error) => return MainFile::Unreadable(error.to_string()),
    };
    if !metadata.is_file() {
        return MainFile::NotAFile(kind(metadata.file_type()));
    }
    match metadata.len() {
        0 => MainFile::Empty,
        bytes => read_header(path, bytes).unwrap_or_else(|e| MainFile::Unreadable(e.to_string())),
    }
}

fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a named pipe";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_block_device() || file_type.is_char_device() {
            return "a device";
        }
    }
    if file_type.is_dir() {
        "a folder"
    } else {
        "no regular file"
    }
}

fn read_header(path: &Path, bytes: u64) -> io::Result<MainFile> {
    let mut header = [0; 100];
    let mut file = File::open(path)?;
    let is_database = bytes >= 100 && {
        file.read_exact(&mut header)?;
        header.starts_with(b"SQLite format 3\0")
    };
    if !is_database {
        return Ok(MainFile::NotADatabase { bytes });
    }
    let u32_at = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    // The page count is valid only where the change counter equals the version-valid-for number.
    let pages_are_valid = u32_at(24) == u32_at(92) && u32_at(28) > 0;
    Ok(MainFile::Database(Header {
        bytes,
        page_size,
        pages: pages_are_valid.then(|| u64::from(u32_at(28))),
        write_version: header[18],
        read_version: header[19],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::db::{Access, Connection};

    fn database(folder: &Path, setup: &str) -> PathBuf {
        let path = folder.join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        connection.execute(setup).unwrap();
        connection.close();
        path
    }

    #[test]
    fn kinds_of_main_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("empty"), "").unwrap();
        std::fs::write(at("text"), "x".repeat(500)).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
        let main = |name: &str| FileSet::look(&at(name)).main;
        assert_eq!(main("missing"), MainFile::Missing);
        assert_eq!(main("."), MainFile::NotAFile("a folder"));
        assert_eq!(main("empty"), MainFile::Empty);
        assert_eq!(main("text"), MainFile::NotADatabase { bytes: 500 });
        #[cfg(unix)]
        assert_eq!(main("loop"), MainFile::NotAFile("a loop of links"));
    }

    #[test]
    fn a_journal_is_finished_when_its_header_is_zeroed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert!(!has_unfinished_journal(&path));
        let magic = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
        for (header, rest, is_unfinished) in [
            (Vec::new(), 0, false),
            (vec![0; 28], 9, false),
            (magic, 1, true),
            (b"x".to_vec(), 0, true),
        ] {
            let journal = [header, vec![rest; usize::from(rest > 0) * 600]].concat();
            std::fs::write(side_file(&path, "-journal"), &journal).unwrap();
            assert_eq!(has_unfinished_journal(&path), is_unfinished, "{rest}");
        }
    }

    #[test]
    fn the_header_tells_mode_and_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path(), "PRAGMA journal_mode=WAL; CREATE TABLE t (x)");
        let MainFile::Database(header) = FileSet::look(&path).main else {
            panic!()
        };
        assert!(header.is_wal() && !header.is_cut_short());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let MainFile::Database(header) = FileSet::look(&path).main else {
            panic!()
        };
        assert!(header.is_cut_short());
    }

    /// A writer's header comes before its last page.
    #[test]
    fn a_file_that_grows_a_moment_later_is_not_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path(), "CREATE TABLE t (x)");
        let bytes = std::fs::read(&path).unwrap();
        let is_cut_short = || match FileSet::look(&path).main {
            MainFile::Database(header) => header.is_cut_short(),
            other => panic!("{other:?}"),
        };
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(bytes.len() as u64 - 1).unwrap();
        assert!(is_cut_short());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(BETWEEN_LOOKS);
                file.set_len(bytes.len() as u64).unwrap();
            });
            assert!(!is_cut_short());
        });
    }
}
