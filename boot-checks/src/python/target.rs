//! Where import statements lead.

use std::path::PathBuf;

use super::environment::Installed;
use super::error::SourceError;
use super::facts::Import;
use super::finder::Found;
use super::load::File;
use super::names::Names;
use super::world::{ModId, World};

/// What an import leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    /// Modules in the order of their import: outer packages first.
    pub(super) loads: Vec<ModId>,
    pub(super) end: End,
}

impl Target {
    /// An import that runs no file of the application.
    fn outside(end: End) -> Target {
        Target {
            loads: Vec::new(),
            end,
        }
    }
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

impl World {
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
            let wanted = self.take_wanted();
            if wanted.is_empty() {
                break;
            }
            let files = read(wanted)?;
            self.add_files(files);
            self.targets.clear();
            self.alternatives.clear();
        }
        self.names = (0..self.modules.len())
            .map(|module| Names::of(self, module))
            .collect();
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
            return self.resolve_absolute(&import.module);
        }
        match self.absolute(from, import) {
            Some(name) => self.walk(self.modules[from].root, &name),
            None => {
                let dots = ".".repeat(import.level as usize);
                Target::outside(End::BeyondTop(format!("{dots}{}", import.module)))
            }
        }
    }

    /// The module that an import names, without its leading dots; none where they lead above the top.
    pub(super) fn absolute(&self, from: ModId, import: &Import) -> Option<String> {
        if import.level == 0 {
            return Some(import.module.clone());
        }
        let module = &self.modules[from];
        let mut base: Vec<&str> = module.name.split('.').collect();
        let drop = import.level as usize - usize::from(module.is_package);
        if drop >= base.len() {
            return None;
        }
        base.truncate(base.len() - drop);
        if !import.module.is_empty() {
            base.push(&import.module);
        }
        Some(base.join("."))
    }

    fn resolve_absolute(&mut self, name: &str) -> Target {
        let first = name.split('.').next().unwrap_or_default().to_owned();
        let here = self.finder.find(&self.roots[0].clone(), &first);
        let named = self.packages.contains(&first);
        match here {
            Some(_) if !named && self.environment.standard(&first).is_some() => {
                return Target::outside(End::Unjudged(
                    "a file of the application has the name of a standard module",
                ));
            }
            Some(Found::Namespace) if self.environment.has_regular(&self.finder, &first) => {
                return Target::outside(End::External);
            }
            Some(Found::Namespace) if !named && !self.environment.is_named() => {
                return Target::outside(End::Unjudged(
                    "a folder without `__init__.py`, and no environment is named",
                ));
            }
            Some(_) => return self.walk(0, name),
            None => {}
        }
        Target::outside(match self.environment.installed(&self.finder, &first) {
            Installed::Yes => End::External,
            Installed::Unknown => End::Unjudged("no environment is named"),
            Installed::No => End::NotInstalled(first),
        })
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
}
