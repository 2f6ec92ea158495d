//! Files: written whole or not at all, read within bounds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::leftovers::{next_temporary_name, remove_leftovers};

/// What a finished write promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut: file and folder are flushed to the disk.
    Synced,
    /// It survives the end of the process; after a power cut the old or the new contents are there,
    /// or, on some file systems, an empty file.
    Unsynced,
}

/// A file under a temporary name, made before its contents are known. It becomes the target by one
/// rename in [`Staged::commit`]; dropped before that, it is removed.
#[derive(Debug)]
pub struct Staged {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    renamed: bool,
}

impl Staged {
    /// Makes the temporary file, which must not exist. `mode` is the file's Unix mode, exactly;
    /// without it the process's umask decides. Elsewhere it is ignored.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] when the temporary name is taken, and whatever the system
    /// says of the folder.
    pub fn create(temporary: PathBuf, target: PathBuf, mode: Option<u32>) -> io::Result<Staged> {
        let file = create_new(&temporary, mode)?;
        Ok(Staged {
            file,
            temporary,
            target,
            renamed: false,
        })
    }

    /// Keeps [`remove_abandoned`] from the temporary file for as long as this process lives.
    pub fn lock_while_alive(&self) {
        // Where the file system knows no locks, nothing is ever taken for abandoned.
        let _ = self.file.try_lock();
    }

    /// Where the contents will stand.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes the contents and renames the file to its target, replacing what is there.
    ///
    /// # Errors
    ///
    /// Whatever the system says. The target then still holds what it held, except when only the last
    /// step of [`Durability::Synced`] failed: then the new contents are there, but not for certain
    /// after a power cut.
    pub fn commit(mut self, contents: &[u8], durability: Durability) -> io::Result<()> {
        self.file.write_all(contents)?;
        if durability == Durability::Synced {
            // Contents and length; the times of a file may be lost.
            self.file.sync_data()?;
        }
        fs::rename(&self.temporary, &self.target)?;
        self.renamed = true;
        if durability == Durability::Synced {
            sync_folder(folder_of(&self.target))?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing more can be done about a file that will not go; its name says what it is.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a file whole or not at all: under a temporary name in the same folder, then renamed. The
/// folder must exist. `mode` as in [`Staged::create`].
///
/// # Errors
///
/// As [`Staged::create`] and [`Staged::commit`]; the temporary file is gone then.
pub fn write_atomic(
    path: &Path,
    contents: &[u8],
    durability: Durability,
    mode: Option<u32>,
) -> io::Result<()> {
    remove_leftovers(path);
    write_atomic_where_tidy(path, contents, durability, mode)
}

/// As [`write_atomic`], where no killed process can have left anything beside the file: a look into its
/// folder is saved.
///
/// # Errors
///
/// As [`write_atomic`].
pub fn write_atomic_where_tidy(
    path: &Path,
    contents: &[u8],
    durability: Durability,
    mode: Option<u32>,
) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` names no file", path.display()),
        ));
    };
    loop {
        let temporary = path.with_file_name(next_temporary_name(name));
        match Staged::create(temporary, path.to_owned(), mode) {
            // Left by a killed process that had our process id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other?.commit(contents, durability),
        }
    }
}

/// Everything in a regular file of at most `max_bytes`.
///
/// # Errors
///
/// [`io::ErrorKind::FileTooLarge`] for a longer file, [`io::ErrorKind::InvalidInput`] for anything
/// but a regular file (a pipe is not waited for), and whatever the system says.
pub fn read_limited(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let metadata = file.metadata()?;
    let too_large = || {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {max_bytes} bytes"),
        )
    };
    if metadata.len() > max_bytes {
        return Err(too_large());
    }
    let mut contents = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut contents)?;
    // The file may have grown since it was measured.
    if contents.len() as u64 > max_bytes {
        return Err(too_large());
    }
    Ok(contents)
}

/// Opens a file of the gate's own for reading and writing, and makes it where it is not there.
///
/// Safety: what is written into it must not come into somebody else's file, so that no link is followed.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] for anything but a regular file, a link included, and whatever the system says.
pub fn open_own(path: &Path) -> io::Result<File> {
    let is_link = || fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink());
    match open_or_create(path) {
        Err(_) if is_link() => Err(no_regular_file("it is a link, and not a file")),
        file => regular(file?),
    }
}

/// Opens a regular file for reading.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] for anything but a regular file (a pipe is not waited for), and whatever
/// the system says.
pub fn open_regular(path: &Path) -> io::Result<File> {
    regular(open_without_waiting(path)?)
}

fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(no_regular_file("not a regular file")),
    }
}

fn no_regular_file(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}

/// Reads a regular file whole.
///
/// # Errors
///
/// As [`open_regular`].
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    open_regular(path)?.read_to_end(&mut contents)?;
    Ok(contents)
}

/// Names in a folder, in no order: at most `max_names`. A folder that is not there has none; names
/// that are no UTF-8 are left out.
///
/// # Errors
///
/// Whatever the system says of the folder.
pub fn names_in(folder: &Path, max_names: usize) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.take(max_names).filter_map(|entry| {
        entry
            .map(|entry| entry.file_name().into_string().ok())
            .transpose()
    });
    names.collect()
}

/// Removes a file that nobody has locked and that was not changed for as long as `age`; whether it
/// did. See [`Staged::lock_while_alive`].
///
/// # Errors
///
/// The system's reason.
pub fn remove_abandoned(path: &Path, age: std::time::Duration) -> io::Result<bool> {
    let file = File::open(path)?;
    let modified = file.metadata()?.modified()?;
    // A file from the future was changed before the clock went backwards.
    let is_new = modified.elapsed().is_ok_and(|since| since < age);
    if is_new || file.try_lock().is_err() {
        return Ok(false);
    }
    fs::remove_file(path)?;
    Ok(true)
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
pub(crate) fn create_new(path: &Path, mode: Option<u32>) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let Some(mode) = mode else {
        return options.open(path);
    };
    let file = options.mode(mode).open(path)?;
    // Of a private file nothing is masked away by any usable umask.
    if mode & !0o600 != 0
        && let Err(error) = file.set_permissions(fs::Permissions::from_mode(mode))
    {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

#[cfg(not(unix))]
pub(crate) fn create_new(path: &Path, _mode: Option<u32>) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Opening a pipe waits for a writer, for ever if need be; a regular file ignores the flag.
#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// As [`open_without_waiting`].
#[cfg(unix)]
fn open_or_create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags =
        rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

#[cfg(not(unix))]
fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// A rename is certain after a power cut only when its folder was flushed.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A folder cannot be flushed here; the file system's journal orders renames.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Gives a file its final name, and fails where that name is taken.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] when something has the name; else the system's reason.
pub fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Old kernels and some network file systems know no such flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            other => return Ok(other?),
        }
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Makes a file that is not there, whole or not at all, flushed to the disk.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] when something has the name; else the system's reason. Nothing
/// is left then.
pub fn create_atomic(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let (temporary, file) = create_temporary(path, mode)?;
    let made = Ok(file).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()?;
        rename_without_replacing(&temporary, path)
    });
    if made.is_err() {
        // Ours alone; a name that stays says what it is.
        let _ = fs::remove_file(&temporary);
        return made;
    }
    sync_folder(folder_of(path))
}

pub(super) fn create_temporary(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    remove_leftovers(path);
    loop {
        let temporary = path.with_file_name(next_temporary_name(name));
        match create_new(&temporary, Some(mode)) {
            // Left by a killed process that had our process id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return Ok((temporary, other?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names = names_in(folder, usize::MAX).unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.txt");
        for (contents, durability) in [
            (&b"a long first version"[..], Durability::Synced),
            (b"short", Durability::Unsynced),
        ] {
            write_atomic(&path, contents, durability, None).unwrap();
            assert_eq!(fs::read(&path).unwrap(), contents);
        }
        assert_eq!(names(folder.path()), ["report.txt"]);
    }

    #[test]
    fn a_write_that_fails_keeps_the_old_and_takes_its_temporary_file_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        write_atomic(&path, b"x", Durability::Unsynced, None).unwrap_err();
        assert_eq!(names(folder.path()), ["taken"]);
        assert!(path.is_dir());
    }

    #[test]
    fn a_staged_file_that_is_dropped_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().join("t");
        let staged = Staged::create(temporary.clone(), folder.path().join("x"), None).unwrap();
        assert!(temporary.exists());
        let second = Staged::create(temporary.clone(), folder.path().join("y"), None);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(temporary.exists(), "the loser removes nothing");
        drop(staged);
        assert!(!temporary.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_mode_that_is_asked_for_is_the_mode() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for mode in [0o600, 0o640, 0o666] {
            write_atomic(&path, b"x", Durability::Unsynced, Some(mode)).unwrap();
            let actual = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(actual, mode, "{actual:o}");
        }
    }

    #[test]
    fn reading_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("five");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        let error = read_limited(&path, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let error = read_limited(folder.path(), 5).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_without_a_writer_and_an_endless_file_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            let error = read_limited(path, 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
