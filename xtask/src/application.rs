//! Which application a command is about.

use std::path::{Path, PathBuf};

use boot_checks::config::{self, BootConfig, ConfigError, Inputs};
use boot_checks::host::{Host, shell};

/// The options that choose the application.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ApplicationArgs {
    /// The application's root folder [default: BOOT_ROOT, else the folder of the nearest boot.toml
    /// upwards, else the current folder]
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,

    /// The application's description [default: boot.toml in the root]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// The database, stronger than DATABASE_URL, .env and boot.toml
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
}

/// A path that was chosen, for a command that is printed and may be read in another folder.
pub(crate) fn path_again(option: &str, path: Option<&Path>) -> String {
    let Some(path) = path else {
        return String::new();
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!(" {option} {}", shell::quoted_path(&path))
}

impl ApplicationArgs {
    /// What it all means.
    ///
    /// # Errors
    ///
    /// What cannot be understood, and where it stands.
    pub(crate) fn load(&self, host: &Host) -> Result<BootConfig, ConfigError> {
        config::load(&self.inputs(host))
    }

    /// The root alone, for a configuration that cannot be understood.
    pub(crate) fn root(&self, host: &Host) -> Option<PathBuf> {
        config::find_root(&self.inputs(host)).ok()
    }

    /// The same choice once more, for a command that is printed: with a space before each option, or empty.
    pub(crate) fn again(&self) -> String {
        let mut text = String::new();
        for (option, path) in [("--root", &self.root), ("--config", &self.config)] {
            text += &path_again(option, path.as_deref());
        }
        match &self.database_url {
            // It may hold a password, under whatever name; left out, another database would be meant.
            Some(url) if url.contains(['@', '?']) => text += " --database-url URL",
            Some(url) => text += &format!(" --database-url {}", shell::quoted(url)),
            None => {}
        }
        text
    }

    fn inputs(&self, host: &Host) -> Inputs {
        Inputs {
            root: self.root.clone(),
            config: self.config.clone(),
            database_url: self.database_url.clone(),
            variables: host.variables.clone(),
            current_dir: host.current_dir.clone(),
        }
    }
}
