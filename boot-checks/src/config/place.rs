use std::fmt;
use std::path::PathBuf;

/// Where a value of the configuration stands, as a message names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An option of the command line.
    Flag(&'static str),
    /// A variable of the process's environment.
    Variable(&'static str),
    /// A variable in the application's `.env`.
    EnvFile {
        /// Its name.
        variable: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// A place in `boot.toml`; line and column count from 1, columns in characters.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// The place where something is looked for when nothing else is said.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag(name) => f.write_str(name),
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::EnvFile { variable, file } => write!(f, "{variable} in {}", file.display()),
            Place::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Place::Default => f.write_str("the default place"),
        }
    }
}
