use std::io;
use std::path::{Path, PathBuf};

/// Why a swap was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwapError {
    /// Something is no longer what it was.
    #[error(
        "{} changed while its files were being replaced; nothing more was done, and every file is \
         there or in {}; where the database is to stay as it is now, move {} away",
        database.display(), aside.display(), manifest.display()
    )]
    Changed {
        /// The main file.
        database: PathBuf,
        /// Where its side files are.
        aside: PathBuf,
        /// What was written down.
        manifest: PathBuf,
    },
    /// What was put in place is another by now, and its side files still wait.
    #[error(
        "{} changed after it was put in place and before {} could be put beside it; nothing more was \
         done, every file is there, and what was there is in {}; where the database is to stay as it is now, \
         move {} away",
        database.display(), waiting.display(), aside.display(), manifest.display()
    )]
    Overtaken {
        /// The main file.
        database: PathBuf,
        /// A side file that belongs to what was put in place.
        waiting: PathBuf,
        /// Where what was there is.
        aside: PathBuf,
        /// What a killed run wrote down.
        manifest: PathBuf,
    },
    /// Somebody may have written into the file that was there, or its log lies beside what was put in place.
    #[error(
        "somebody wrote as {} was being replaced, who may have had the file open that was there; that one is \
         in {}; nothing more was done, and every file is there; copy all of them away and see which holds what \
         was written; where the database is to stay as it is now, move {} away, and then a kept copy can be put \
         in its place too", database.display(), aside.display(), manifest.display()
    )]
    Unclear {
        /// The main file.
        database: PathBuf,
        /// Where the main file is that was there.
        aside: PathBuf,
        /// What a killed run wrote down.
        manifest: PathBuf,
    },
    /// Somebody holds a lock on the database.
    #[error("{} is open in another process", .0.display())]
    InUse(PathBuf),
    /// Somebody has the database open, and would go on with what is replaced.
    #[error("{} is open in {by}; end it, then try again", database.display())]
    Opened {
        /// The main file.
        database: PathBuf,
        /// Who.
        by: String,
    },
    /// The system lets nothing take the place of a mount point.
    #[error(
        "{} is a mount point of its own, and no other file can take its place; mount its folder instead, or \
         do it where the file itself is", .0.display()
    )]
    MountPoint(PathBuf),
    /// It was begun below another root, and is not finished from here.
    #[error(
        "{} tells of a database that was being replaced, {}, and what was to come, {}, is not there \
         for this root; nothing was changed; boot where that began, or, where the database of this root \
         is whole, move {} away", manifest.display(), database.display(), staged.display(), manifest.display()
    )]
    Elsewhere {
        /// What a killed run wrote down.
        manifest: PathBuf,
        /// The main file that it names.
        database: PathBuf,
        /// The main file that was to come.
        staged: PathBuf,
    },
    /// A file could not be read or moved.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SwapError {
    /// Whether another try of the same would end the same way, before anything came: everything is to be as it was.
    pub(super) fn is_for_good(&self) -> bool {
        match self {
            SwapError::Opened { .. } | SwapError::MountPoint(_) => true,
            SwapError::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ),
            SwapError::Changed { .. }
            | SwapError::Overtaken { .. }
            | SwapError::Unclear { .. }
            | SwapError::InUse(_)
            | SwapError::Elsewhere { .. } => false,
        }
    }
}

/// As [`at`] of a rename in the place of a main file.
pub(super) fn at_place(database: &Path) -> impl Fn(io::Error) -> SwapError + use<'_> {
    |source| match source.kind() {
        io::ErrorKind::ResourceBusy => SwapError::MountPoint(database.to_owned()),
        _ => at(database)(source),
    }
}

/// Names the file of an error: the system's own words do not.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> SwapError + use<'_> {
    |source| SwapError::Io {
        path: path.to_owned(),
        source,
    }
}

/// What a killed run wrote down is no longer readable.
pub(super) fn damaged(manifest: &Path) -> impl Fn(serde_json::Error) -> SwapError + use<'_> {
    |error| {
        let words = format!(
            "it is damaged ({error}), and said which database a killed run was replacing; next: see that the \
             database is whole, and what lies in quarantine beside it, then move this file away"
        );
        at(manifest)(io::Error::new(io::ErrorKind::InvalidData, words))
    }
}
