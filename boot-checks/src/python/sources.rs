use super::coroutines;
use super::error::SourceError;
use super::project::{Entry, Loaded, Project};
use super::record::{self, RecordResolution};
use super::report::{Problem, SourceReport};
use super::suggest;
use super::verdicts::{judge, judge_entry};

/// An application's sources, read once; every question is answered from what was read then.
pub struct Sources {
    loaded: Loaded,
}

impl Sources {
    /// Reads all files of the packages, and what the entry points import beside them.
    ///
    /// # Errors
    /// When the root, a package, an entry point or the environment is not there.
    pub fn read(project: &Project) -> Result<Sources, SourceError> {
        let loaded = project.load(&[])?;
        Ok(Sources { loaded })
    }

    /// How many files were read.
    pub fn files(&self) -> usize {
        self.loaded.world.files.len()
    }

    /// Everything that would crash on import, or never run.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn report(&self) -> Result<SourceReport, SourceError> {
        judge(&self.loaded)
    }

    /// What keeps the entry points from being imported: for each at most the first, as Python would
    /// meet it.
    pub fn entry_problems(&self) -> Vec<Problem> {
        let entries = self.loaded.entries.iter();
        let mut problems: Vec<Problem> = Vec::new();
        for problem in entries.filter_map(|entry| judge_entry(&self.loaded.world, entry)) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems
    }

    /// What keeps one module from being imported on its own; none also where there is no such module.
    pub fn module_problem(&self, module: &str) -> Option<Problem> {
        let entry = Entry {
            module: self.loaded.world.by_name(module)?,
            script_root: None,
            attribute: None,
        };
        judge_entry(&self.loaded.world, &entry)
    }

    /// Whether there is a module of this name.
    pub fn has_module(&self, module: &str) -> bool {
        self.loaded.world.by_name(module).is_some()
    }

    /// Looks for a class, written `backend.models:VerificationEvent`, and its attributes.
    pub fn record(&self, class: &str, attributes: &[&str]) -> RecordResolution {
        record::resolve(&self.loaded.world, class, attributes)
    }

    /// The module that may be meant by the name of one that is not there.
    pub fn nearest_module(&self, module: &str) -> Option<String> {
        suggest::nearest_module(&self.loaded.world, module)
    }

    /// Where a name lives that a module does not have, and how to import it.
    pub fn home_of(&self, module: &str, name: &str) -> Option<String> {
        let world = &self.loaded.world;
        let module = world.by_name(module)?;
        suggest::name(world, module, module, name)
    }

    /// Coroutines that are made and thrown away.
    pub fn lost_coroutines(&self) -> Vec<Problem> {
        coroutines::problems(&self.loaded.world, &self.loaded.members)
    }
}

/// Finds what would crash the start of an application.
///
/// # Errors
/// When the root, a package, an entry point or the environment is not there.
pub fn analyse(project: &Project) -> Result<SourceReport, SourceError> {
    Sources::read(project)?.report()
}
