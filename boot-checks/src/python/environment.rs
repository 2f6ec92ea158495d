//! What is installed beside the application: the standard library and the packages of one environment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::error::SourceError;
use super::finder::{Finder, Found};

/// The modules of the standard library, with the versions that have them.
const STANDARD_LIBRARY: &str = include_str!("stdlib.txt");

/// By name: first and last minor version. Asked for every import, so it is read once.
static STANDARD: LazyLock<HashMap<&str, (u8, u8)>> = LazyLock::new(|| {
    let entry = |line: &'static str| {
        let mut parts = line.split(' ');
        let name = parts.next()?;
        let mut minor = || parts.next()?.parse::<u8>().ok();
        Some((name, (minor()?, minor()?)))
    };
    STANDARD_LIBRARY.lines().filter_map(entry).collect()
});

/// Longest `.pth` file that is read.
const MAX_PTH_BYTES: u64 = 1 << 20;

/// Whether a module that is not the application's can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Installed {
    /// It is there.
    Yes,
    /// It is not.
    No,
    /// Nobody can say without running Python.
    Unknown,
}

/// The environment that the application runs in.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Minor version of Python 3.
    pub(super) minor: Option<u8>,
    folders: Vec<PathBuf>,
    named: bool,
    /// A `.pth` file runs code that may add modules.
    has_import_hook: bool,
}

impl Environment {
    /// The environment of a virtual environment's folder, an interpreter's path or a `site-packages` folder.
    pub(super) fn read(path: Option<&Path>) -> Result<Environment, SourceError> {
        let Some(path) = path else {
            return Ok(Environment::default());
        };
        let unusable = || SourceError::Environment(path.to_owned());
        let folders: Vec<PathBuf> = candidates(path)
            .into_iter()
            .filter(|folder| folder.is_dir())
            .collect();
        let first = folders.first().ok_or_else(unusable)?;
        let minor = minor_version(first).or_else(|| configured_version(path));
        let mut environment = Environment {
            minor,
            folders: folders.clone(),
            named: true,
            has_import_hook: false,
        };
        for folder in &folders {
            environment.read_pth(folder);
        }
        Ok(environment)
    }

    /// Whether one top-level module can be imported.
    pub(super) fn installed(&self, finder: &Finder, name: &str) -> Installed {
        if let Some(known) = self.standard(name) {
            return known;
        }
        if self
            .folders
            .iter()
            .any(|folder| finder.find(folder, name).is_some())
        {
            return Installed::Yes;
        }
        if !self.named || self.has_import_hook {
            Installed::Unknown
        } else {
            Installed::No
        }
    }

    /// Whether a regular module or package is installed, which wins over a folder without `__init__.py`.
    pub(super) fn has_regular(&self, finder: &Finder, name: &str) -> bool {
        self.folders.iter().any(|folder| {
            matches!(
                finder.find(folder, name),
                Some(Found::Source { .. } | Found::Compiled)
            )
        })
    }

    /// Whether the environment is named, so that its absence of a module means something.
    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// Whether a module belongs to the standard library; `None`: no version has it.
    pub(super) fn standard(&self, name: &str) -> Option<Installed> {
        if name.starts_with("_test") || name == "__main__" {
            return Some(Installed::Unknown);
        }
        let (first, last) = *STANDARD.get(name)?;
        match self.minor {
            // setuptools brings `distutils` back.
            _ if name == "distutils" => Some(Installed::Unknown),
            None => Some(Installed::Yes),
            Some(minor) if minor < first.max(9) && first > 8 => None,
            Some(minor) if minor > last && last < 13 => None,
            Some(_) => Some(Installed::Yes),
        }
    }

    fn read_pth(&mut self, folder: &Path) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "pth"));
        for file in files {
            if file.metadata().is_ok_and(|meta| meta.len() > MAX_PTH_BYTES) {
                self.has_import_hook = true;
                continue;
            }
            let bytes = std::fs::read(&file).unwrap_or_default();
            for line in String::from_utf8_lossy(&bytes).lines().map(str::trim) {
                let stem = file
                    .file_stem()
                    .and_then(|stem| stem.to_str())
                    .unwrap_or_default();
                if line.starts_with("import ") || line.starts_with("import\t") {
                    let harmless = matches!(stem, "distutils-precedence" | "_virtualenv")
                        || stem.ends_with("-nspkg");
                    self.has_import_hook |= !harmless;
                } else if !line.is_empty() && !line.starts_with('#') && folder.join(line).is_dir() {
                    self.folders.push(folder.join(line));
                }
            }
        }
    }
}

fn candidates(path: &Path) -> Vec<PathBuf> {
    if path.ends_with("site-packages") || path.ends_with("dist-packages") {
        return vec![path.to_owned()];
    }
    // An interpreter is `<prefix>/bin/python` or `<prefix>\Scripts\python.exe`; its name must not be resolved,
    // for the link in a virtual environment leads out of it.
    let prefix = if path.is_file() {
        path.parent().and_then(Path::parent).unwrap_or(path)
    } else {
        path
    };
    let mut folders = Vec::new();
    for library in ["lib", "lib64"].map(|name| prefix.join(name)) {
        let entries = std::fs::read_dir(library).into_iter().flatten().flatten();
        let mut versions: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("python3"))
            })
            .collect();
        versions.sort();
        for version in versions {
            folders.push(version.join("site-packages"));
            folders.push(version.join("dist-packages"));
        }
    }
    folders.push(prefix.join("Lib").join("site-packages"));
    folders
}

fn minor_version(site_packages: &Path) -> Option<u8> {
    let folder = site_packages.parent()?.file_name()?.to_str()?;
    folder.strip_prefix("python3.")?.parse().ok()
}

fn configured_version(path: &Path) -> Option<u8> {
    let text = std::fs::read_to_string(path.join("pyvenv.cfg")).ok()?;
    let line = text.lines().find(|line| line.starts_with("version"))?;
    line.split(['=', '.']).nth(2)?.trim().parse().ok()
}
