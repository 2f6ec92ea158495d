use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::{ConfigError, Place, Source, Sourced, env_file, secret_part};

/// What the application will find in its environment: the process's variables over those of `.env`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, Sourced<String>>,
    /// What stands in `.env` behind variables of the process.
    hidden: BTreeMap<String, String>,
}

impl Environment {
    /// The process's variables over those of `.env`. A name that stands twice in `.env` has its
    /// last value, as python-dotenv reads it.
    pub fn new(
        process: impl IntoIterator<Item = (String, String)>,
        env_file: impl IntoIterator<Item = (String, String)>,
    ) -> Environment {
        let mut variables = BTreeMap::new();
        for (name, value) in env_file {
            variables.insert(name, Sourced::new(value, Source::EnvFile));
        }
        let mut hidden = BTreeMap::new();
        for (name, value) in process {
            let of_process = Sourced::new(value, Source::Environment);
            if let Some(of_file) = variables.insert(name.clone(), of_process) {
                hidden.insert(name, of_file.value);
            }
        }
        Environment { variables, hidden }
    }

    /// These variables over those of a `.env` file as it is now.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be understood.
    pub fn read(
        process: &BTreeMap<String, String>,
        env_file: &Path,
    ) -> Result<Environment, ConfigError> {
        let file = env_file::read(env_file, &Place::Default)?;
        Ok(Environment::new(process.clone(), file))
    }

    /// The same with this variable, whether there was one of its name or not.
    pub fn with(mut self, name: &str, value: &str) -> Environment {
        let value = Sourced::new(value.to_owned(), Source::Environment);
        self.variables.insert(name.to_owned(), value);
        self
    }

    /// The value of a variable and where it came from.
    pub fn get(&self, name: &str) -> Option<&Sourced<String>> {
        self.variables.get(name)
    }

    /// The value that stands in `.env` and that the application does not get: the process has the variable.
    pub fn hidden(&self, name: &str) -> Option<&str> {
        self.hidden.get(name).map(String::as_str)
    }

    /// Whether there is a variable of this name; it may be empty.
    pub fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Sourced<String>)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Every text that must never be shown: values of secret names and passwords in URLs.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let set = self.iter().map(|(name, variable)| (name, &variable.value));
        let hidden = self
            .hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        set.chain(hidden)
            .filter_map(|(name, value)| secret_part(name, value))
    }
}

/// Names and sources only: values may be secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.iter().map(|(name, variable)| (name, variable.source));
        f.debug_map().entries(sources).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn the_process_wins_and_the_last_line_of_the_file_wins() {
        let environment = Environment::new(
            pairs(&[("BOTH", "process"), ("EMPTY", "")]),
            pairs(&[
                ("BOTH", "file"),
                ("TWICE", "1"),
                ("TWICE", "2"),
                ("EMPTY", "file"),
            ]),
        );
        let seen: Vec<_> = environment
            .iter()
            .map(|(name, variable)| (name, variable.value.as_str(), variable.source))
            .collect();
        assert_eq!(
            seen,
            [
                ("BOTH", "process", Source::Environment),
                ("EMPTY", "", Source::Environment),
                ("TWICE", "2", Source::EnvFile),
            ]
        );
        assert!(environment.contains("EMPTY") && !environment.contains("ABSENT"));
        let hidden = ["BOTH", "EMPTY", "TWICE"].map(|name| environment.hidden(name));
        assert_eq!(hidden, [Some("file"), Some("file"), None]);
    }

    #[test]
    fn no_value_reaches_the_debug_form() {
        let environment = Environment::new(
            pairs(&[
                ("DATABASE_URL", "postgres://u:hunter2@h/d"),
                ("HOME", "/root"),
                ("API_KEY", ""),
            ]),
            pairs(&[("SECRET_KEY", "s3cr3t"), ("API_KEY", "h1dden")]),
        );
        let secrets: Vec<_> = environment.secrets().collect();
        assert_eq!(secrets, ["hunter2", "s3cr3t", "h1dden"]);
        let debug = format!("{environment:?}");
        assert!(
            ["hunter2", "s3cr3t", "h1dden"]
                .iter()
                .all(|it| !debug.contains(it)),
            "{debug}"
        );
    }
}
