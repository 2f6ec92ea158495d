//! From names and calls to the definitions they lead to.

use std::collections::HashSet;

use super::facts::{CallTarget, Class, Value};
use super::target::End;
use super::world::{ModId, World};

/// Longest chain of re-exports, aliases and bases that is followed.
const MAX_DEPTH: usize = 24;

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entity {
    Module(ModId),
    Class(ModId, usize),
    Instance(ModId, usize),
    /// A function, where it is defined, and whether calling it makes a coroutine.
    Function {
        defined: String,
        is_coroutine: bool,
    },
}

/// Follows names to definitions.
pub(super) struct Resolver<'w> {
    world: &'w World,
    /// `(base's last name, method)` of methods that a class overrides with something that is no coroutine.
    overridden: HashSet<(String, String)>,
}

impl<'w> Resolver<'w> {
    pub(super) fn new(world: &'w World) -> Resolver<'w> {
        let mut overridden = HashSet::new();
        for module in 0..world.modules.len() {
            for class in world
                .facts(module)
                .into_iter()
                .flat_map(|facts| &facts.classes)
            {
                let bases = class.bases.iter().flatten().filter_map(|base| base.last());
                for base in bases {
                    for (name, values) in &class.body {
                        if !values.iter().all(|value| {
                            matches!(
                                value,
                                Value::Function {
                                    is_coroutine: true,
                                    ..
                                }
                            )
                        }) {
                            overridden.insert((base.clone(), name.clone()));
                        }
                    }
                }
            }
        }
        Resolver { world, overridden }
    }

    /// What a call leads to.
    pub(super) fn target(&self, module: ModId, target: &CallTarget) -> Option<Entity> {
        match target {
            CallTarget::Global(path) => self.path(module, path, 0),
            CallTarget::Local(value, rest) => {
                let start = self.value(module, value, "", 0)?;
                self.attributes(start, rest, 0)
            }
            CallTarget::Instance(class, rest) => {
                self.attributes(Entity::Instance(module, *class), rest, 0)
            }
            CallTarget::Super(class, method) => {
                let class = self.world.facts(module)?.classes.get(*class)?;
                let [Some(base)] = class.bases.as_slice() else {
                    return None;
                };
                let Entity::Class(home, base) = self.path(module, base, 0)? else {
                    return None;
                };
                self.member(home, base, method, 0)
            }
        }
    }

    /// A dotted path that starts with a name of the module.
    pub(super) fn path(&self, module: ModId, path: &[String], depth: usize) -> Option<Entity> {
        let (first, rest) = path.split_first()?;
        let start = self.name(module, first, depth + 1)?;
        self.attributes(start, rest, depth + 1)
    }

    fn attributes(&self, start: Entity, rest: &[String], depth: usize) -> Option<Entity> {
        rest.iter().try_fold(start, |entity, name| {
            self.attribute(entity, name, depth + 1)
        })
    }

    fn attribute(&self, entity: Entity, name: &str, depth: usize) -> Option<Entity> {
        if depth > MAX_DEPTH || self.world.foreign_attributes.contains(name) {
            return None;
        }
        match entity {
            Entity::Module(module) => self.member_of_module(module, name, depth),
            Entity::Class(module, class) | Entity::Instance(module, class) => {
                self.member(module, class, name, depth)
            }
            Entity::Function { .. } => None,
        }
    }

    fn member_of_module(&self, module: ModId, name: &str, depth: usize) -> Option<Entity> {
        let bound = self
            .world
            .names
            .get(module)?
            .as_ref()
            .is_some_and(|names| names.first.contains_key(name));
        if bound {
            return self.name(module, name, depth + 1);
        }
        self.world.submodule(module, name).map(Entity::Module)
    }

    /// A name of a module; all places that bind it must agree.
    pub(super) fn name(&self, module: ModId, name: &str, depth: usize) -> Option<Entity> {
        if depth > MAX_DEPTH {
            return None;
        }
        let facts = self.world.facts(module)?;
        if facts.dynamic.is_some() {
            return None;
        }
        let Some(bindings) = facts.bindings.get(name) else {
            let (import, _) = facts.stars.first().filter(|_| facts.stars.len() == 1)?;
            let target = self
                .world
                .targets
                .get(&(module, *import))
                .filter(|target| target.end == End::Found)?;
            return self.name(*target.loads.last()?, name, depth + 1);
        };
        let values = bindings.iter().map(|binding| &binding.value);
        self.agreed(module, values, name, depth)
    }

    fn agreed<'v>(
        &self,
        module: ModId,
        values: impl Iterator<Item = &'v Value>,
        name: &str,
        depth: usize,
    ) -> Option<Entity> {
        let mut entities = values
            .filter(|value| **value != Value::Nothing)
            .map(|value| self.value(module, value, name, depth + 1));
        let first = entities.next()??;
        entities
            .all(|other| other.as_ref() == Some(&first))
            .then_some(first)
    }

    fn value(&self, module: ModId, value: &Value, name: &str, depth: usize) -> Option<Entity> {
        if depth > MAX_DEPTH {
            return None;
        }
        match value {
            Value::Function {
                is_coroutine,
                plain,
            } => plain.then(|| Entity::Function {
                defined: format!("{}.{name}", self.world.modules[module].name),
                is_coroutine: *is_coroutine,
            }),
            Value::Class(class) => {
                let known = self.world.facts(module)?.classes.get(*class)?;
                (!known.altered).then_some(Entity::Class(module, *class))
            }
            Value::Module(path) => self.world.by_name(path).map(Entity::Module),
            Value::From { import, name } => {
                let target = self
                    .world
                    .targets
                    .get(&(module, *import))
                    .filter(|target| target.end == End::Found)?;
                self.member_of_module(*target.loads.last()?, name, depth + 1)
            }
            Value::Call(path) => match self.path(module, path, depth + 1)? {
                Entity::Class(home, class) if self.makes_instances(home, class) => {
                    Some(Entity::Instance(home, class))
                }
                _ => None,
            },
            Value::Alias(path) => self.path(module, path, depth + 1),
            Value::Nothing | Value::Other => None,
        }
    }

    fn makes_instances(&self, module: ModId, class: usize) -> bool {
        let class = self
            .world
            .facts(module)
            .and_then(|facts| facts.classes.get(class));
        class.is_some_and(|class| {
            !["__new__", "__getattribute__", "__getattr__"]
                .iter()
                .any(|name| class.body.contains_key(*name))
        })
    }

    /// An attribute of a class, or of its bases in order.
    fn member(&self, module: ModId, class: usize, name: &str, depth: usize) -> Option<Entity> {
        if depth > MAX_DEPTH {
            return None;
        }
        let class: &Class = self.world.facts(module)?.classes.get(class)?;
        if self
            .overridden
            .contains(&(class.name.clone(), name.to_owned()))
        {
            return None;
        }
        let full = format!("{}.{name}", class.name);
        match (class.body.get(name), class.instance.get(name)) {
            (Some(values), None) => {
                let functions = values
                    .iter()
                    .all(|value| matches!(value, Value::Function { .. }));
                return if functions {
                    self.agreed(module, values.iter(), &full, depth + 1)
                } else {
                    None
                };
            }
            (None, Some(values)) => return self.agreed(module, values.iter(), &full, depth + 1),
            (Some(_), Some(_)) => return None,
            (None, None) => {}
        }
        for base in &class.bases {
            let Entity::Class(home, base) = self.path(module, base.as_ref()?, depth + 1)? else {
                return None;
            };
            if self.has_member(home, base, name, depth + 1)? {
                return self.member(home, base, name, depth + 1);
            }
        }
        None
    }

    /// Whether a class or one of its bases has an attribute; `None`: a base is not known.
    pub(super) fn has_member(
        &self,
        module: ModId,
        class: usize,
        name: &str,
        depth: usize,
    ) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        let class = self.world.facts(module)?.classes.get(class)?;
        if class.body.contains_key(name) || class.instance.contains_key(name) {
            return Some(true);
        }
        for base in &class.bases {
            let base = base.as_ref()?;
            if base.as_slice() == ["object"]
                || base.as_slice() == ["ABC"]
                || base.as_slice() == ["abc", "ABC"]
            {
                continue;
            }
            let Entity::Class(home, base) = self.path(module, base, depth + 1)? else {
                return None;
            };
            if self.has_member(home, base, name, depth + 1)? {
                return Some(true);
            }
        }
        Some(false)
    }
}
