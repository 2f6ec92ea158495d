use std::path::{Path, PathBuf};
use std::time::Duration;

use super::inputs::join;
use super::raw_python::RawPython;
use super::{Source, Sourced};

/// How long the application's interpreter may take where `timeout_seconds` is not given: an
/// application's imports take seconds.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// A Python application's sources, and what is asked about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonConfig {
    /// Who named the entry point and the packages. What is only a default counts where its files are.
    pub source: Source,
    /// What is launched: `backend.main`, `backend.main:app` or `backend/main.py`.
    pub entry_point: Option<String>,
    /// Packages of the application: dotted names below the root.
    pub packages: Vec<String>,
    /// A virtual environment, an interpreter or a `site-packages` folder: absolute.
    pub environment: Option<PathBuf>,
    /// The interpreter that is asked to import what is critical: absolute. Without it, that is looked
    /// up in the source.
    pub interpreter: Option<PathBuf>,
    /// How long the interpreter may take.
    pub timeout: Duration,
    /// What the smoke tests import, and who said so.
    pub imports: Sourced<Vec<CriticalImport>>,
}

/// A class, or a whole module, that the application cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriticalImport {
    /// `backend.models:VerificationEvent`, or `backend.models` for a module.
    pub name: String,
    /// What the class must have.
    pub attributes: Vec<String>,
}

impl PythonConfig {
    /// What was typed, over what holds for this application by default; none where neither says that
    /// there are Python sources.
    pub(super) fn resolve(
        typed: Option<RawPython>,
        default: Option<PythonConfig>,
        root: &Path,
    ) -> Option<PythonConfig> {
        let Some(typed) = typed else { return default };
        let default = default.unwrap_or_else(PythonConfig::neutral);
        let names_sources = typed.entry_point.is_some() || typed.packages.is_some();
        let under_root = |path: String| join(root, Path::new(&path));
        let interpreter = typed.interpreter.map(under_root);
        let environment = typed.environment.map(under_root);
        let packages = match (typed.packages, &typed.entry_point) {
            (Some(packages), _) => packages,
            (None, Some(entry)) => first_package(entry).into_iter().collect(),
            (None, None) => default.packages,
        };
        Some(PythonConfig {
            source: if names_sources {
                Source::ConfigFile
            } else {
                default.source
            },
            entry_point: typed.entry_point.or(default.entry_point),
            packages,
            environment: environment.or_else(|| interpreter.clone()),
            interpreter,
            timeout: typed.timeout.unwrap_or(DEFAULT_TIMEOUT),
            imports: match typed.imports {
                Some(imports) => Sourced::new(imports, Source::ConfigFile),
                None => default.imports,
            },
        })
    }

    /// Nothing is known.
    pub(super) fn neutral() -> PythonConfig {
        PythonConfig {
            source: Source::Default,
            entry_point: None,
            packages: Vec::new(),
            environment: None,
            interpreter: None,
            timeout: DEFAULT_TIMEOUT,
            imports: Sourced::new(Vec::new(), Source::Default),
        }
    }
}

/// The package that an entry point belongs to; none for a script in the root.
fn first_package(entry: &str) -> Option<String> {
    let module = entry.split(':').next()?;
    let first = match module.strip_suffix(".py") {
        Some(_) => module.split_once(['/', '\\'])?.0,
        None => module.split('.').next()?,
    };
    Some(first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::first_package;

    #[test]
    fn an_entry_point_says_its_package() {
        for (entry, package) in [
            ("backend.main:app", Some("backend")),
            ("backend/main.py", Some("backend")),
            ("backend", Some("backend")),
            ("main.py", None),
        ] {
            assert_eq!(first_package(entry).as_deref(), package, "{entry}");
        }
    }
}
