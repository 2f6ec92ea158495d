//! All files of the application, and the modules that they are.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::environment::Environment;
use super::facts::{Facts, Value};
use super::finder::{Finder, Found};
use super::load::File;
use super::names::Names;
use super::target::Target;

/// Index of a module.
pub(super) type ModId = usize;

/// A module as Python would know it: the same file under two names is two modules.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: String,
    /// Index of the file; `None` for a namespace package and for compiled code.
    pub(super) file: Option<usize>,
    pub(super) is_package: bool,
    pub(super) is_compiled: bool,
    /// Which entry of `World::roots` it was found in.
    pub(super) root: usize,
    /// The folder of a package.
    pub(super) folder: PathBuf,
}

/// All files and modules.
pub(super) struct World {
    pub(super) root: PathBuf,
    pub(super) finder: Finder,
    pub(super) environment: Environment,
    pub(super) packages: Vec<String>,
    pub(super) files: Vec<File>,
    by_path: HashMap<PathBuf, usize>,
    pub(super) modules: Vec<Module>,
    by_name: HashMap<(usize, String), ModId>,
    /// Folders of `sys.path`: the application's root, then what its files and scripts add.
    pub(super) roots: Vec<PathBuf>,
    pub(super) targets: HashMap<(ModId, usize), Target>,
    pub(super) alternatives: HashMap<(ModId, usize), Vec<(usize, Target)>>,
    pub(super) names: Vec<Option<Names>>,
    pub(super) fake_modules: HashSet<String>,
    pub(super) has_import_hook: bool,
    pub(super) foreign_attributes: HashSet<String>,
    wanted: Vec<PathBuf>,
    /// Groups of modules that import each other, once all imports are resolved.
    pub(super) cycles: OnceLock<Vec<Vec<ModId>>>,
}

impl World {
    pub(super) fn new(
        root: &Path,
        packages: &[String],
        environment: Environment,
        extra: Vec<PathBuf>,
    ) -> World {
        let mut roots = vec![root.to_owned()];
        roots.extend(extra.into_iter().filter(|folder| folder != root));
        World {
            root: root.to_owned(),
            finder: Finder::default(),
            environment,
            packages: packages.to_vec(),
            files: Vec::new(),
            by_path: HashMap::new(),
            modules: Vec::new(),
            by_name: HashMap::new(),
            roots,
            targets: HashMap::new(),
            alternatives: HashMap::new(),
            names: Vec::new(),
            fake_modules: HashSet::new(),
            has_import_hook: false,
            foreign_attributes: HashSet::new(),
            wanted: Vec::new(),
            cycles: OnceLock::new(),
        }
    }

    /// The facts of a module's file, where it has one that parses.
    pub(super) fn facts(&self, module: ModId) -> Option<&Facts> {
        self.files
            .get(self.modules.get(module)?.file?)?
            .facts
            .as_ref()
            .ok()
    }

    /// Adds files that have been read.
    pub(super) fn add_files(&mut self, files: Vec<File>) {
        for file in files {
            if let Ok(facts) = &file.facts {
                self.has_import_hook |= facts.import_hook || facts.fake_modules.contains(&None);
                self.fake_modules
                    .extend(facts.fake_modules.iter().flatten().cloned());
                self.foreign_attributes
                    .extend(facts.foreign_attributes.iter().cloned());
                for folder in facts.added_folders() {
                    if !self.roots.contains(&folder) {
                        self.roots.push(folder);
                    }
                }
            }
            self.by_path.insert(file.path.clone(), self.files.len());
            self.files.push(file);
        }
    }

    /// The module of a dotted name below one of the roots.
    pub(super) fn module(&mut self, root: usize, name: &str) -> Option<ModId> {
        if let Some(id) = self.by_name.get(&(root, name.to_owned())) {
            return Some(*id);
        }
        let (folder, last) = match name.rsplit_once('.') {
            Some((outer, last)) => {
                let outer = self.module(root, outer)?;
                let outer = self
                    .modules
                    .get(outer)
                    .filter(|outer| outer.is_package && !outer.is_compiled)?;
                (outer.folder.clone(), last)
            }
            None => (self.roots.get(root)?.clone(), name),
        };
        if last.is_empty() {
            return None;
        }
        let (file, is_package, is_compiled) = match self.finder.find(&folder, last)? {
            Found::Source { file, is_package } => (Some(self.file_index(file)?), is_package, false),
            Found::Namespace => (None, true, false),
            Found::Compiled => (None, false, true),
        };
        let id = self.modules.len();
        let folder = folder.join(last);
        self.modules.push(Module {
            name: name.to_owned(),
            file,
            is_package,
            is_compiled,
            root,
            folder,
        });
        self.by_name.insert((root, name.to_owned()), id);
        Some(id)
    }

    /// A file by its path; one that has not been read is asked for and read in the next round.
    fn file_index(&mut self, path: PathBuf) -> Option<usize> {
        let index = self.by_path.get(&path).copied();
        if index.is_none() && !self.wanted.contains(&path) {
            self.wanted.push(path);
        }
        index
    }

    /// Files that modules were looked for in and that have not been read.
    pub(super) fn take_wanted(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.wanted)
    }

    /// A submodule that is already known.
    pub(super) fn submodule(&self, package: ModId, name: &str) -> Option<ModId> {
        let package = self.modules.get(package)?;
        self.by_name
            .get(&(package.root, format!("{}.{name}", package.name)))
            .copied()
    }

    /// A module that is already known, by its dotted name below one of the roots.
    pub(super) fn module_of(&self, root: usize, name: &str) -> Option<ModId> {
        self.by_name.get(&(root, name.to_owned())).copied()
    }

    /// A module by its dotted name below the application's root.
    pub(super) fn by_name(&self, name: &str) -> Option<ModId> {
        self.by_name.get(&(0, name.to_owned())).copied()
    }

    /// Whether a name of a module is set in a way that is not seen in its file.
    pub(super) fn may_be_set_elsewhere(&self, name: &str) -> bool {
        (name.starts_with("__") && name.ends_with("__")) || self.foreign_attributes.contains(name)
    }

    /// Whether a module may be made up at run time.
    pub(super) fn may_be_faked(&self, name: &str) -> bool {
        self.has_import_hook
            || self.fake_modules.iter().any(|fake| {
                name == fake
                    || name
                        .strip_prefix(fake.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
            })
    }

    /// Modules whose own file defines a name, for suggestions.
    pub(super) fn defines(&self, module: ModId, name: &str) -> bool {
        self.facts(module)
            .and_then(|facts| facts.bindings.get(name))
            .is_some_and(|bindings| {
                bindings
                    .iter()
                    .any(|binding| !matches!(binding.value, Value::From { .. } | Value::Module(_)))
            })
    }
}
