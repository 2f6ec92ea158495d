use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::host::{self, links};
use crate::services::db::{each_folded, side_file};

/// What kind of thing a change touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A database with what SQLite keeps beside it.
    Database,
    /// A database with all of its files, readable or not: they are put back as they are.
    DatabaseSet,
    /// A database that the application's own tool changes, in transactions of its own.
    ByTool,
}

/// One thing that a change touches: what it was before, and what the change made of it. It stands in
/// the journal, on the disk, before the change begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Relative to the application's root where it is below it.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Names exactly what was there.
    pub before: String,
    /// Names exactly what the change left; none while it is not done, or where that is not certain.
    pub after: Option<String>,
    /// The digest of what a file is to hold then, where that is known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<String>,
    /// The copy of what was there, relative to the run's folder of backups.
    pub saved: Option<String>,
    /// Where it really was, with no link in it, see [`links::without_links`]; journals of earlier
    /// versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub really: Option<PathBuf>,
    /// Whose it was, user and group: no change of the gate's own makes it another's, but somebody else's command may.
    /// Journals of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
}

impl Touched {
    /// Whether the change is known to have left everything as it was.
    pub(super) fn is_as_before(&self) -> bool {
        self.after.as_ref() == Some(&self.before)
    }

    /// Whether a state is what the change was to make of it.
    pub(super) fn is_planned(&self, state: &str) -> bool {
        let digest = state.split_whitespace().nth(2);
        self.kind == Kind::File && digest.is_some() && digest == self.planned.as_deref()
    }

    /// Where it really is by now, where that is another place: somebody has put a link there, or has made one lead
    /// elsewhere.
    pub(super) fn has_moved_to(&self, root: &Path) -> Option<PathBuf> {
        let was = self.really.as_ref()?;
        let is = links::without_links(&root.join(&self.path), root);
        (is != *was).then_some(is)
    }

    /// Where it stands. A database is where its links lead, as it is for SQLite.
    pub(super) fn place(&self, root: &Path) -> PathBuf {
        let path = root.join(&self.path);
        match self.kind {
            Kind::Folder | Kind::File => path,
            Kind::Database | Kind::DatabaseSet | Kind::ByTool => links::behind_links(&path, root),
        }
    }
}

/// The state of something that is not there.
pub(super) const ABSENT: &str = "absent";

/// What SQLite keeps of a database. The shared-memory index is left out: it is a cache, made anew.
pub(super) const DATABASE_FILES: [&str; 3] = ["", "-wal", "-journal"];

/// Descriptors of a database's files, closed when this is dropped.
///
/// Safety: closing any descriptor of a database file drops all locks that this process has on it,
/// SQLite's own included. So whoever reads the files while a connection holds a lock keeps this until
/// after the connection is closed.
#[derive(Debug, Default)]
pub(super) struct KeptOpen(Vec<File>);

impl KeptOpen {
    /// Opens a file for reading; none where it is not there. What is no file, such as a pipe that nobody
    /// writes into, is an error and not waited for.
    pub(super) fn open(&mut self, path: &Path) -> io::Result<Option<&mut File>> {
        match host::files::open_regular(path) {
            Ok(file) => {
                self.0.push(file);
                Ok(self.0.last_mut())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Kind {
    /// Whether it is a database, however it is put back.
    pub fn is_database(self) -> bool {
        matches!(self, Kind::Database | Kind::DatabaseSet | Kind::ByTool)
    }

    /// Names exactly what is there: equal names mean equal bytes and permissions; of a database, once what its log
    /// holds is in it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) fn state(self, path: &Path, kept: &mut KeptOpen) -> io::Result<String> {
        match self {
            Kind::Folder => Ok(if path.is_dir() { "folder" } else { ABSENT }.to_owned()),
            Kind::File => Ok(match digest(path, kept)? {
                Some(digest) => format!("file {} {digest}", mode(path)?),
                None => ABSENT.to_owned(),
            }),
            Kind::DatabaseSet | Kind::ByTool => set_state(path, kept),
            Kind::Database => folded_state(path, kept),
        }
    }
}

/// As [`set_state`] of the main file once its log is in it, which any reader may have moved there meanwhile, or begun
/// to.
fn folded_state(path: &Path, kept: &mut KeptOpen) -> io::Result<String> {
    if kept.open(path)?.is_none() {
        return Ok(ABSENT.to_owned());
    }
    let main = kept.0.len() - 1;
    let mut place = |suffix| {
        let file = kept.open(&side_file(path, suffix))?;
        Ok::<_, io::Error>(file.is_some().then(|| kept.0.len() - 1))
    };
    let (log, index) = (place("-wal")?, place("-shm")?);
    let opened = |place: Option<usize>| place.map(|place| &kept.0[place]);
    let mut digest = Sha256::new();
    each_folded(&kept.0[main], opened(log), opened(index), |chunk| {
        digest.update(chunk);
    })?;
    let state = format!("database {} {}", mode(path)?, hex(digest));
    with_side_files(state, &["-journal"], path, kept)
}

/// The bytes of every file as they are; the main file may be gone while its log is there.
fn set_state(path: &Path, kept: &mut KeptOpen) -> io::Result<String> {
    let sides = &DATABASE_FILES[1..];
    if let Some(digest) = digest(path, kept)? {
        let state = format!("database {} {digest}", mode(path)?);
        return with_side_files(state, sides, path, kept);
    }
    let main = format!("database - {ABSENT}");
    let state = with_side_files(main.clone(), sides, path, kept)?;
    Ok(if state == main {
        ABSENT.to_owned()
    } else {
        state
    })
}

fn with_side_files(
    mut state: String,
    suffixes: &[&str],
    path: &Path,
    kept: &mut KeptOpen,
) -> io::Result<String> {
    for suffix in suffixes {
        let file = side_file(path, suffix);
        // An empty side file says what a missing one says, and SQLite makes and removes it at will.
        let is_empty = std::fs::metadata(&file).is_ok_and(|metadata| metadata.len() == 0);
        let found = if is_empty { None } else { digest(&file, kept)? };
        if let Some(digest) = found {
            state.push_str(&format!(" {suffix} {digest}"));
        }
    }
    Ok(state)
}

fn mode(path: &Path) -> io::Result<String> {
    Ok(host::unix_mode(path)?.map_or_else(|| "-".to_owned(), |mode| format!("{mode:o}")))
}

fn digest(path: &Path, kept: &mut KeptOpen) -> io::Result<Option<String>> {
    let Some(file) = kept.open(path)? else {
        return Ok(None);
    };
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => digest.update(&chunk[..read]),
        }
    }
    Ok(Some(hex(digest)))
}

/// As it stands in the state of a file that holds this.
pub(super) fn digest_of(contents: &[u8]) -> String {
    hex(Sha256::new_with_prefix(contents))
}

fn hex(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
