use std::collections::{HashMap, HashSet};

use super::facts::{Exports, Facts};
use super::target::{End, Target};
use super::world::{ModId, World};

/// The names of a module, each with the first place that binds it.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) first: HashMap<String, u32>,
    /// Why there may be names that are not seen here.
    pub(super) dynamic: Option<&'static str>,
}

impl Names {
    /// The names of a module; `None`: it has no file that parses.
    pub(super) fn of(world: &World, module: ModId) -> Option<Names> {
        let facts = world.facts(module)?;
        Some(Names::bound(
            world,
            module,
            facts,
            &mut HashSet::from([module]),
        ))
    }

    /// What the statements of a module bind. Modules in `under_way` import this one by a star, and are not entered
    /// again.
    fn bound(world: &World, module: ModId, facts: &Facts, under_way: &mut HashSet<ModId>) -> Names {
        let mut names = Names::default();
        for (name, bindings) in &facts.bindings {
            let first = bindings.iter().map(|binding| binding.offset).min();
            names.first.insert(name.clone(), first.unwrap_or(0));
        }
        for (import, offset) in &facts.stars {
            match world.targets.get(&(module, *import)) {
                Some(Target {
                    loads,
                    end: End::Found,
                }) => {
                    if let Some(last) = loads.last() {
                        names.add_star(world, *last, *offset, under_way);
                    }
                }
                _ => {
                    names.dynamic =
                        Some("a star import from a module that is not the application's");
                }
            }
        }
        names.dynamic = facts.dynamic.or(names.dynamic);
        names
    }

    /// Adds what `from module import *` binds when it stands at `at`.
    fn add_star(&mut self, world: &World, module: ModId, at: u32, under_way: &mut HashSet<ModId>) {
        let Some(facts) = world.facts(module) else {
            if world.modules[module].is_compiled {
                self.dynamic = Some("compiled code");
            }
            return;
        };
        if !under_way.insert(module) {
            return;
        }
        let theirs = Names::bound(world, module, facts, under_way);
        under_way.remove(&module);
        self.dynamic = self.dynamic.or(theirs.dynamic);
        let listed: Option<&[String]> = match &facts.exports {
            Exports::Names(listed) => Some(listed),
            Exports::Absent => None,
            Exports::Computed => {
                self.dynamic = Some("a star import from a module with a computed `__all__`");
                None
            }
        };
        for name in theirs.first.into_keys() {
            if listed.map_or(!name.starts_with('_'), |listed| listed.contains(&name)) {
                let first = self.first.entry(name).or_insert(at);
                *first = (*first).min(at);
            }
        }
        for name in listed.into_iter().flatten() {
            self.first.entry(name.clone()).or_insert(at);
        }
    }
}
