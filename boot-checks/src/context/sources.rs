//! The application's Python sources, read when the first check asks for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Context;
use crate::config::{PythonConfig, Source};
use crate::model::Mode;
use crate::python::{Project, SourceError, Sources, is_closed};
use crate::services::interpreter::{self, ImportFailure};

/// Where an environment stands that nothing names.
pub const USUAL_ENVIRONMENTS: [&str; 2] = [".venv", "venv"];

/// What has been read so far.
#[derive(Default)]
pub(super) struct Read {
    sources: Option<Result<Arc<Sources>, Arc<SourceError>>>,
    imported: Option<Result<Arc<Vec<ImportFailure>>, String>>,
}

/// Why there are no sources to look at.
#[derive(Clone, Debug)]
pub enum NoSources {
    /// Nothing says that this is a Python application, for this reason.
    NotPython(String),
    /// What was named is not there, or cannot be read.
    Unreadable(Arc<SourceError>),
}

impl Context {
    /// The Python application that was described, where its files are.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn python(&self) -> Result<&PythonConfig, NoSources> {
        let not = |reason: String| Err(NoSources::NotPython(reason));
        let Some(python) = &self.config.python else {
            return not("boot.toml names no Python sources".to_owned());
        };
        let Some(entry) = &python.entry_point else {
            return match python.packages.is_empty() {
                true => not("boot.toml names neither an entry point nor packages".to_owned()),
                false => Ok(python),
            };
        };
        let files = entry_files(entry);
        let is_there = || {
            files
                .iter()
                .any(|file| self.config.root.join(file).is_file())
        };
        if python.source == Source::Default && !is_there() {
            self.look_for(&files)?;
            let file = files[0].display();
            return not(format!("no Python application is here: there is no {file}"));
        }
        Ok(python)
    }

    /// A file that cannot be looked at, because of its folder, is not one that is not there.
    fn look_for(&self, files: &[PathBuf]) -> Result<(), NoSources> {
        for file in files.iter().map(|file| self.config.root.join(file)) {
            if let Err(source) = file.metadata()
                && is_closed(&source)
            {
                let path = file.parent().unwrap_or(&file).to_owned();
                let closed = SourceError::Closed { path, source };
                return Err(NoSources::Unreadable(Arc::new(closed)));
            }
        }
        Ok(())
    }

    /// What is analysed.
    ///
    /// # Errors
    ///
    /// Why there is nothing to analyse.
    pub fn project(&self) -> Result<Project, NoSources> {
        let python = self.python()?;
        let root = &self.config.root;
        let mut usual = USUAL_ENVIRONMENTS.iter().map(|name| root.join(name));
        let environment = python.environment.clone();
        Ok(Project {
            root: root.clone(),
            packages: python.packages.clone(),
            entry_points: python.entry_point.iter().cloned().collect(),
            environment: environment.or_else(|| usual.find(|folder| folder.is_dir())),
        })
    }

    /// The sources, read once; read anew after [`Context::forget_sources`].
    ///
    /// # Errors
    ///
    /// Why they cannot be looked at.
    pub fn sources(&self) -> Result<Arc<Sources>, NoSources> {
        let project = self.project()?;
        let mut read = self.lock_read();
        let sources = read
            .sources
            .get_or_insert_with(|| Sources::read(&project).map(Arc::new).map_err(Arc::new));
        sources.clone().map_err(NoSources::Unreadable)
    }

    /// What the application's own interpreter cannot import of what is critical; none where no
    /// interpreter is named, and none in a run that only looks: an import runs the application's code.
    ///
    /// # Errors
    ///
    /// Why the interpreter gave no answer.
    pub fn imported(&self) -> Result<Option<Arc<Vec<ImportFailure>>>, String> {
        let python = self.config.python.as_ref();
        let python = python.filter(|it| self.mode == Mode::Heal && !it.imports.value.is_empty());
        let Some((python, interpreter)) =
            python.and_then(|python| Some((python, python.interpreter.as_ref()?)))
        else {
            return Ok(None);
        };
        let environment = self.environment().map_err(|error| error.to_string())?;
        let mut read = self.lock_read();
        let imported = read.imported.get_or_insert_with(|| {
            let folder = &self.config.root;
            interpreter::import(
                interpreter,
                folder,
                &environment,
                &python.imports.value,
                python.timeout,
                &|| self.tell_import(interpreter, python.timeout),
            )
            .map(Arc::new)
        });
        imported.clone().map(Some)
    }

    /// Forgets the sources, because a heal edits them.
    pub fn forget_sources(&self) {
        *self.lock_read() = Read::default();
    }

    pub(super) fn forget_imported(&self) {
        self.lock_read().imported = None;
    }

    /// A check that panicked left what was whole before.
    fn lock_read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files that an entry point may be.
fn entry_files(entry: &str) -> Vec<PathBuf> {
    let module = entry.split(':').next().unwrap_or_default();
    if Path::new(module).extension().is_some_and(|end| end == "py") {
        return vec![module.into()];
    }
    let path = module.replace('.', "/");
    vec![
        format!("{path}.py").into(),
        format!("{path}/__init__.py").into(),
    ]
}
