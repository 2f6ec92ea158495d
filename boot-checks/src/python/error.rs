use std::path::PathBuf;

/// Why nothing could be analysed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The application's root is not a folder.
    #[error("{} is not a folder", .0.display())]
    Root(PathBuf),
    /// A package that was named is not there.
    #[error("package '{package}' is not in {}", .root.display())]
    Package {
        /// As named.
        package: String,
        /// Where it was looked for.
        root: PathBuf,
        /// The package that may have been meant.
        nearest: Option<String>,
    },
    /// An entry point that was named is not there.
    #[error("entry point '{entry}' is not in {}", .root.display())]
    EntryPoint {
        /// As named.
        entry: String,
        /// Where it was looked for.
        root: PathBuf,
        /// The module that may have been meant.
        nearest: Option<String>,
    },
    /// The folder that should hold it is there, and the system does not let it be read.
    #[error("{} cannot be read", .path.display())]
    Closed {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The environment has no folder for packages.
    #[error("{} is no Python environment: it has no site-packages", .0.display())]
    Environment(PathBuf),
    /// A thread could not be started.
    #[error("could not start a worker")]
    Worker(#[source] std::io::Error),
}

impl SourceError {
    /// The next step for whoever gets this error.
    pub fn hint(&self) -> String {
        match self {
            SourceError::Root(_) => {
                "name the folder that Python has on its path when the application starts".to_owned()
            }
            SourceError::Package {
                nearest: Some(name),
                ..
            }
            | SourceError::EntryPoint {
                nearest: Some(name),
                ..
            } => format!("did you mean '{name}'?"),
            SourceError::Package { .. } => {
                "name packages as Python would import them from the root, such as backend or backend.api"
                    .to_owned()
            }
            SourceError::EntryPoint { .. } => {
                "write it as backend.main, backend.main:app or backend/main.py, seen from the root"
                    .to_owned()
            }
            SourceError::Closed { path, .. } => format!(
                "let the user that starts the application read {}, and boot as that user",
                path.display()
            ),
            SourceError::Environment(_) => {
                "name a virtual environment, its python or its site-packages folder; without one, \
                 dependencies are not judged"
                    .to_owned()
            }
            SourceError::Worker(_) => {
                "raise the limit on processes or memory, then run it again".to_owned()
            }
        }
    }
}
