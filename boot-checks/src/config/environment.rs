use std::collections::BTreeMap;
use std::fmt;

use super::{Source, Sourced, secret_part};

/// What the application will find in its environment: the process's variables over those of `.env`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, Sourced<String>>,
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
        for (name, value) in process {
            variables.insert(name, Sourced::new(value, Source::Environment));
        }
        Environment { variables }
    }

    /// The value of a variable and where it came from.
    pub fn get(&self, name: &str) -> Option<&Sourced<String>> {
        self.variables.get(name)
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
        self.iter()
            .filter_map(|(name, variable)| secret_part(name, &variable.value))
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
    }

    #[test]
    fn no_value_reaches_the_debug_form() {
        let environment = Environment::new(
            pairs(&[
                ("DATABASE_URL", "postgres://u:hunter2@h/d"),
                ("HOME", "/root"),
            ]),
            pairs(&[("SECRET_KEY", "s3cr3t")]),
        );
        let secrets: Vec<_> = environment.secrets().collect();
        assert_eq!(secrets, ["hunter2", "s3cr3t"]);
        let debug = format!("{environment:?}");
        assert!(
            !debug.contains("hunter2") && !debug.contains("s3cr3t"),
            "{debug}"
        );
    }
}
