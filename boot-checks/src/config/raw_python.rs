//! `[python]` of `boot.toml` as it was typed:
//!
//! ```toml
//! [python]                            # at least one of entry_point and packages
//! entry_point = "backend.main:app"    # or "backend.main", "backend/main.py"
//! packages = ["backend"]              # where not given: the entry point's
//! environment = ".venv"               # or an interpreter, or a site-packages folder
//! interpreter = ".venv/bin/python"    # imports what is critical for real; without it, it is looked up
//! timeout_seconds = 60                # beside interpreter: 1 to 3600
//!
//! [python.imports]                    # what the smoke tests import, and what each class must have
//! "backend.models:VerificationEvent" = ["passed"]
//! "backend.settings" = []
//! ```

use std::time::Duration;

use super::ConfigError;
use super::python::CriticalImport;
use super::toml_reader::TableReader;

pub(super) const KEYS: &[&str] = &[
    "entry_point",
    "packages",
    "environment",
    "interpreter",
    "timeout_seconds",
    "imports",
];

/// An hour: what takes longer is no part of a boot.
const MAX_TIMEOUT_SECONDS: u64 = 3_600;

/// `[python]`, with its paths as typed.
#[derive(Debug, Default)]
pub(super) struct RawPython {
    pub(super) entry_point: Option<String>,
    pub(super) packages: Option<Vec<String>>,
    pub(super) environment: Option<String>,
    pub(super) interpreter: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) imports: Option<Vec<CriticalImport>>,
}

pub(super) fn read(table: &TableReader<'_>) -> Result<RawPython, ConfigError> {
    let text = |key| Ok(table.filled_string(key)?.map(|text| text.value));
    let timeout = table.integer(
        "timeout_seconds",
        1..=MAX_TIMEOUT_SECONDS,
        "an interpreter may take from 1 second to 3600",
    )?;
    if timeout.is_some() && !table.has("interpreter") {
        let why = "it stands beside `interpreter`, and there is none";
        return Err(table.invalid("timeout_seconds", why));
    }
    Ok(RawPython {
        entry_point: text("entry_point")?,
        packages: packages(table)?,
        environment: text("environment")?,
        interpreter: text("interpreter")?,
        timeout: timeout.map(Duration::from_secs),
        imports: table.any_table("imports")?.map(imports).transpose()?,
    })
}

fn packages(table: &TableReader<'_>) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(names) = table.filled_strings("packages")? else {
        return Ok(None);
    };
    let names = names.into_iter().map(|name| {
        if is_dotted(&name.value) {
            return Ok(name.value);
        }
        let why = "a package is a dotted name below the root, such as \"backend\"";
        Err(table.invalid_at("packages", &name.at, why))
    });
    names.collect::<Result<_, _>>().map(Some)
}

fn imports(table: TableReader<'_>) -> Result<Vec<CriticalImport>, ConfigError> {
    let one = |name: &'_ str| {
        let (module, class) = name.split_once(':').unwrap_or((name, "_"));
        if !is_dotted(module) || !is_dotted(class) {
            let why = "it is written \"package.module:Class\" or \"package.module\"";
            return Err(table.invalid_at(name, &table.key_at(name), why));
        }
        let attributes = table.filled_strings(name)?.unwrap_or_default();
        if let (false, Some(first)) = (name.contains(':'), attributes.first()) {
            let why = "attributes are those of a class: write \"package.module:Class\"";
            return Err(table.invalid_at(name, &first.at, why));
        }
        Ok(CriticalImport {
            name: name.to_owned(),
            attributes: attributes.into_iter().map(|text| text.value).collect(),
        })
    };
    table.keys().into_iter().map(one).collect()
}

fn is_dotted(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.starts_with(|c: char| c.is_ascii_digit())
            && !word.is_empty()
            && word.chars().all(|c| c == '_' || c.is_alphanumeric())
    };
    name.split('.').all(is_word)
}
