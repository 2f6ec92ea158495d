//! From what was typed to what it means: flags, environment, `.env` and `boot.toml` become one
//! [`BootConfig`]. Nothing below this module sees a raw string.
//!
//! Order: flag, environment, `.env`, `boot.toml`, default. The environment is a snapshot in
//! [`Inputs`]; the one exception is that the `.env` reader expands `$NAME` from the environment of
//! this process, as the application's own reader would.

mod boot_config;
mod database_engine;
mod database_url;
mod defaults;
mod env_completion;
mod env_file;
pub mod env_names;
mod env_quote;
mod environment;
mod error;
mod inputs;
mod load;
mod migrations;
mod place;
mod placeholder;
mod python;
mod raw;
mod raw_python;
mod required;
mod root;
mod secret_name;
mod sourced;
mod text_file;
mod toml_reader;

pub use boot_config::BootConfig;
pub use database_url::{DatabaseLocation, UrlProblem};
pub use env_completion::{EnvCompletion, EnvCompletionError, complete};
pub use env_file::line_of as env_line;
pub use environment::Environment;
pub use error::ConfigError;
pub use inputs::Inputs;
pub use load::load;
pub use migrations::Migrations;
pub use place::Place;
pub use placeholder::is_placeholder;
pub use python::{CriticalImport, PythonConfig};
pub use required::{RequiredColumn, RequiredRecords, RequiredTable};
pub use root::find_root;
pub use secret_name::{is_secret_name, secret_part};
pub use sourced::{Source, Sourced};
