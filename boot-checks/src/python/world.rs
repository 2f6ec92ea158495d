//! All files of the application and what their imports lead to.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::environment::{Environment, Installed};
use super::facts::{Exports, Facts, Import, Op, Try, Value};
use super::finder::{Finder, Found};
use super::load::File;
use super::report::SourceError;

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

/// What an import leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    /// Modules in the order of their import: outer packages first.
    pub(super) loads: Vec<ModId>,
    pub(super) end: End,
}

/// How the path of an import ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// The module is the last of `loads`.
    #[default]
    Found,
    /// This module of the application is not there.
    Missing(String),
    /// This top-level module is found nowhere, and the environment is known.
    NotInstalled(String),
    /// A relative import above the top.
    BeyondTop(String),
    /// It is not judged, for this reason.
    Unjudged(&'static str),
    /// Another top-level module: the standard library or an installed package.
    External,
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
}

/// The names of a module, each with the first place that binds it.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) first: HashMap<String, u32>,
    pub(super) dynamic: Option<&'static str>,
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
                let mut folders = Vec::new();
                path_ops(&facts.ops, &mut folders);
                for folder in folders {
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

    /// Resolves the imports of all modules, also of those that come up on the way, reading files as they are needed.
    pub(super) fn resolve_all(
        &mut self,
        mut read: impl FnMut(Vec<PathBuf>) -> Result<Vec<File>, SourceError>,
    ) -> Result<(), SourceError> {
        loop {
            let mut at = 0;
            while at < self.modules.len() {
                self.resolve_module(at);
                at += 1;
            }
            if self.wanted.is_empty() {
                break;
            }
            let wanted = std::mem::take(&mut self.wanted);
            let files = read(wanted)?;
            self.add_files(files);
            self.targets.clear();
            self.alternatives.clear();
        }
        let names = (0..self.modules.len())
            .map(|module| self.collect_names(module))
            .collect();
        self.names = names;
        Ok(())
    }

    fn resolve_module(&mut self, id: ModId) {
        let Some(facts) = self.facts(id) else { return };
        let imports: Vec<Import> = facts.imports.clone();
        for (index, import) in imports.iter().enumerate() {
            let target = self.resolve(id, import);
            for name in import.names.iter().flatten() {
                // Submodules become modules of their own.
                if let (End::Found, Some(last)) = (&target.end, target.loads.last()) {
                    let full = format!("{}.{name}", self.modules[*last].name);
                    let root = self.modules[*last].root;
                    self.module(root, &full);
                }
            }
            if matches!(target.end, End::NotInstalled(_) | End::Unjudged(_)) && import.level == 0 {
                let others = self.resolve_elsewhere(import);
                if !others.is_empty() {
                    self.alternatives.insert((id, index), others);
                }
            }
            self.targets.insert((id, index), target);
        }
    }

    fn resolve_elsewhere(&mut self, import: &Import) -> Vec<(usize, Target)> {
        let first = import
            .module
            .split('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        let found: Vec<usize> = (1..self.roots.len())
            .filter(|root| self.finder.find(&self.roots[*root], &first).is_some())
            .collect();
        found
            .into_iter()
            .map(|root| (root, self.walk(root, &import.module)))
            .collect()
    }

    /// What an import statement of a module leads to.
    fn resolve(&mut self, from: ModId, import: &Import) -> Target {
        if import.level == 0 {
            let root = self.modules[from].root;
            return self.resolve_absolute(root, &import.module);
        }
        let module = &self.modules[from];
        let root = module.root;
        let mut base: Vec<String> = module.name.split('.').map(str::to_owned).collect();
        let drop = import.level as usize - usize::from(module.is_package);
        let written = format!("{}{}", ".".repeat(import.level as usize), import.module);
        if drop >= base.len() {
            return Target {
                loads: Vec::new(),
                end: End::BeyondTop(written),
            };
        }
        base.truncate(base.len() - drop);
        if !import.module.is_empty() {
            base.push(import.module.clone());
        }
        self.walk(root, &base.join("."))
    }

    fn resolve_absolute(&mut self, _from_root: usize, name: &str) -> Target {
        let first = name.split('.').next().unwrap_or_default().to_owned();
        let unjudged = |reason| Target {
            loads: Vec::new(),
            end: End::Unjudged(reason),
        };
        let here = self.finder.find(&self.roots[0].clone(), &first);
        let named = self.packages.contains(&first);
        match here {
            Some(_) if !named && self.environment.standard(&first).is_some() => {
                return unjudged("a file of the application has the name of a standard module");
            }
            Some(Found::Namespace) if self.environment.has_regular(&self.finder, &first) => {
                return Target {
                    loads: Vec::new(),
                    end: End::External,
                };
            }
            Some(Found::Namespace) if !named && !self.environment.is_named() => {
                return unjudged("a folder without `__init__.py`, and no environment is named");
            }
            Some(_) => return self.walk(0, name),
            None => {}
        }
        let end = match self.environment.installed(&self.finder, &first) {
            Installed::Yes => End::External,
            Installed::Unknown => End::Unjudged("no environment is named"),
            Installed::No => End::NotInstalled(first),
        };
        Target {
            loads: Vec::new(),
            end,
        }
    }

    fn walk(&mut self, root: usize, name: &str) -> Target {
        let mut loads = Vec::new();
        let mut at = String::new();
        for part in name.split('.') {
            if !at.is_empty() {
                at.push('.');
            }
            at.push_str(part);
            match self.module(root, &at) {
                Some(id) => loads.push(id),
                None => {
                    let end = match loads.last() {
                        Some(last) if self.modules[*last].is_compiled => {
                            End::Unjudged("compiled code")
                        }
                        Some(last) if self.facts(*last).is_some_and(|facts| facts.dynamic_path) => {
                            End::Unjudged("the package sets its own `__path__`")
                        }
                        _ => End::Missing(at),
                    };
                    return Target { loads, end };
                }
            }
        }
        Target {
            loads,
            end: End::Found,
        }
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

    fn collect_names(&self, module: ModId) -> Option<Names> {
        let mut names = Names::default();
        let mut seen = HashSet::new();
        self.add_names(module, None, &mut names, &mut seen);
        self.facts(module).map(|_| names)
    }

    /// Adds what a module binds, as of `at` for a star import.
    fn add_names(
        &self,
        module: ModId,
        at: Option<u32>,
        names: &mut Names,
        seen: &mut HashSet<ModId>,
    ) {
        let Some(facts) = self.facts(module) else {
            if self.modules[module].is_compiled {
                names.dynamic = Some("compiled code");
            }
            return;
        };
        if !seen.insert(module) {
            return;
        }
        names.dynamic = names.dynamic.or(facts.dynamic);
        let mut own = Names::default();
        for (name, bindings) in &facts.bindings {
            let first = bindings
                .iter()
                .map(|binding| binding.offset)
                .min()
                .unwrap_or(0);
            own.first.insert(name.clone(), first);
        }
        for (import, offset) in &facts.stars {
            match self.targets.get(&(module, *import)) {
                Some(Target {
                    loads,
                    end: End::Found,
                }) => {
                    if let Some(last) = loads.last() {
                        self.add_names(*last, Some(*offset), &mut own, seen);
                    }
                }
                _ => {
                    own.dynamic = Some("a star import from a module that is not the application's")
                }
            }
        }
        seen.remove(&module);
        names.dynamic = names.dynamic.or(own.dynamic);
        let listed = match &facts.exports {
            Exports::Names(listed) => Some(listed),
            _ => None,
        };
        if at.is_some() && facts.exports == Exports::Computed {
            names.dynamic = Some("a star import from a module with a computed `__all__`");
        }
        for (name, first) in own.first {
            let visible = at.is_none()
                || listed.map_or(!name.starts_with('_'), |listed| listed.contains(&name));
            if visible {
                let first = at.unwrap_or(first);
                names
                    .first
                    .entry(name)
                    .and_modify(|old| *old = (*old).min(first))
                    .or_insert(first);
            }
        }
        if let (Some(at), Some(listed)) = (at, listed) {
            for name in listed {
                names.first.entry(name.clone()).or_insert(at);
            }
        }
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

fn path_ops(ops: &[Op], folders: &mut Vec<PathBuf>) {
    for op in ops {
        match op {
            Op::Path(Some(folder)) => folders.push(folder.clone()),
            Op::Try(parts) => {
                let Try {
                    body,
                    handlers,
                    orelse,
                    finalbody,
                } = parts.as_ref();
                for part in [body, orelse, finalbody]
                    .into_iter()
                    .chain(handlers.iter().map(|(_, ops)| ops))
                {
                    path_ops(part, folders);
                }
            }
            _ => {}
        }
    }
}
