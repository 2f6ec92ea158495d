use std::path::{Path, PathBuf};

use super::database_url;
use super::defaults::{Defaults, ENV_FILE, GRACE};
use super::inputs::join;
use super::raw::{Located, PORT_RANGE, RawConfig, RawMigrations};
use super::root::CONFIG_FILE_NAME;
use super::text_file::read_if_there;
use super::{
    BootConfig, ConfigError, DatabaseLocation, Environment, Inputs, Migrations, Place,
    PythonConfig, Source, Sourced, env_file, env_names, find_root,
};

/// The configuration that these inputs mean: flag over environment over `.env` over `boot.toml`
/// over default.
///
/// `boot.toml` is the one that `--config` or `BOOT_CONFIG` names, else the one under the root, if
/// there is one.
///
/// # Errors
///
/// See [`ConfigError`]; nothing is written, whatever the outcome.
pub fn load(inputs: &Inputs) -> Result<BootConfig, ConfigError> {
    let root = find_root(inputs)?;
    let (config_file, raw) = read_config(inputs, &root)?;
    let application = raw
        .name
        .as_ref()
        .map_or(GRACE, |name| &name.value)
        .to_owned();
    let defaults = Defaults::of(&application);

    let env_file = join(
        &root,
        Path::new(raw.env_file.as_ref().map_or(ENV_FILE, |file| &file.value)),
    );
    let env_at = raw
        .env_file
        .as_ref()
        .map_or(Place::Default, |file| file.at.clone());
    let environment = Environment::new(
        inputs.variables.clone(),
        env_file::read(&env_file, &env_at)?,
    );

    let typed = Typed {
        inputs,
        raw: &raw,
        environment: &environment,
        env_file: &env_file,
    };
    let database = typed
        .database(&root, &defaults)?
        .ok_or_else(|| ConfigError::NoDatabase {
            application: application.clone(),
            config_file: config_file
                .clone()
                .unwrap_or_else(|| root.join(CONFIG_FILE_NAME)),
        })?;
    let port = typed.port()?.or(raw.port).or(defaults.port);
    let migrations = match raw.migrations {
        Some(migrations) => resolve_migrations(migrations, &root)?,
        None => defaults.migrations,
    };
    let required_secrets = or_default(raw.required_secrets, defaults.required_secrets);
    Ok(BootConfig {
        application,
        config_file,
        database,
        migrations,
        tables: raw.tables.unwrap_or(defaults.tables),
        records: raw.records.unwrap_or(defaults.records),
        required_secrets,
        env_file,
        environment,
        writable_folders: or_default(raw.writable_folders, defaults.writable_folders)
            .iter()
            .map(|folder| join(&root, Path::new(folder)))
            .collect(),
        port,
        python: PythonConfig::resolve(raw.python, defaults.python, &root),
        root,
    })
}

fn read_config(inputs: &Inputs, root: &Path) -> Result<(Option<PathBuf>, RawConfig), ConfigError> {
    let (path, at) = if let Some(path) = &inputs.config {
        (inputs.absolute(path), Place::Flag("--config"))
    } else if let Some(path) = inputs.variable(env_names::BOOT_CONFIG) {
        (
            inputs.absolute(Path::new(path)),
            Place::Variable(env_names::BOOT_CONFIG),
        )
    } else {
        (root.join(CONFIG_FILE_NAME), Place::Default)
    };
    match read_if_there(&path, &at)? {
        Some(text) => {
            let raw = RawConfig::read(&path, &text)?;
            Ok((Some(path), raw))
        }
        None if at == Place::Default => Ok((None, RawConfig::default())),
        None => Err(ConfigError::FileMissing { path, at }),
    }
}

/// Everything that may name a value, to be asked in order.
struct Typed<'a> {
    inputs: &'a Inputs,
    raw: &'a RawConfig,
    environment: &'a Environment,
    env_file: &'a Path,
}

impl Typed<'_> {
    fn database(
        &self,
        root: &Path,
        defaults: &Defaults,
    ) -> Result<Option<Sourced<DatabaseLocation>>, ConfigError> {
        let (url, source, at) = if let Some(url) = &self.inputs.database_url {
            (url.as_str(), Source::Flag, Place::Flag("--database-url"))
        } else if let Some((url, source, at)) = self.variable(env_names::DATABASE_URL) {
            (url, source, at)
        } else if let Some(url) = &self.raw.database_url {
            (url.value.as_str(), Source::ConfigFile, url.at.clone())
        } else if let Some(url) = defaults.database_url {
            (url, Source::Default, Place::Default)
        } else {
            return Ok(None);
        };
        let mut location = database_url::parse(url, root, &at)?;
        location.follow_links(root);
        Ok(Some(Sourced::new(location, source)))
    }

    fn port(&self) -> Result<Option<u16>, ConfigError> {
        let Some((port, _, at)) = self.variable(env_names::BOOT_PORT) else {
            return Ok(None);
        };
        match port.trim().parse() {
            Ok(0) | Err(_) => Err(ConfigError::InvalidValue {
                key: env_names::BOOT_PORT.to_owned(),
                at,
                why: PORT_RANGE,
            }),
            Ok(port) => Ok(Some(port)),
        }
    }

    /// A variable of the environment or of `.env`; one that is set to nothing counts as not set.
    fn variable(&self, name: &'static str) -> Option<(&str, Source, Place)> {
        let found = self
            .environment
            .get(name)
            .filter(|found| !found.value.trim().is_empty())?;
        let at = match found.source {
            Source::EnvFile => Place::EnvFile {
                variable: name,
                file: self.env_file.to_owned(),
            },
            _ => Place::Variable(name),
        };
        Some((&found.value, found.source, at))
    }
}

fn resolve_migrations(typed: RawMigrations, root: &Path) -> Result<Migrations, ConfigError> {
    Ok(match typed {
        RawMigrations::BuiltIn => Migrations::BuiltIn,
        RawMigrations::None => Migrations::None,
        RawMigrations::Folder(folder) => {
            let at = folder.at;
            let folder = join(root, Path::new(&folder.value));
            if !folder.is_dir() {
                return Err(ConfigError::MigrationsFolderMissing { folder, at });
            }
            Migrations::Folder(folder)
        }
        RawMigrations::Command {
            apply,
            check,
            timeout,
        } => Migrations::External {
            apply,
            check,
            timeout,
        },
    })
}

fn or_default(typed: Option<Vec<Located<String>>>, default: &[&str]) -> Vec<String> {
    match typed {
        Some(typed) => typed.into_iter().map(|text| text.value).collect(),
        None => default.iter().map(|text| (*text).to_owned()).collect(),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
