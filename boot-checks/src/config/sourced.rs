use std::fmt;

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Sourced<T> {
    /// This value, from there.
    pub fn new(value: T, source: Source) -> Sourced<T> {
        Sourced { value, source }
    }
}

/// Where a value came from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment of this process.
    Environment,
    /// The application's `.env`.
    EnvFile,
    /// `boot.toml`.
    ConfigFile,
    /// Built in.
    Default,
}

/// Where to look for it, in the words of a person.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Flag => "an option on the command line",
            Source::Environment => "the environment of this process",
            Source::EnvFile => ".env",
            Source::ConfigFile => "boot.toml",
            Source::Default => "nobody; it is the default",
        })
    }
}
