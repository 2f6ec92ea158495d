use serde::Serialize;

use super::resolver::{Entity, Resolver};
use super::world::World;

/// Bases from outside that add no attribute of a record: each as `module.name`.
const KNOWN_BASES: [&str; 10] = [
    "sqlalchemy.orm.DeclarativeBase",
    "sqlalchemy.orm.declarative_base",
    "sqlalchemy.orm.MappedAsDataclass",
    "sqlalchemy.ext.declarative.declarative_base",
    "sqlalchemy.ext.asyncio.AsyncAttrs",
    "pydantic.BaseModel",
    "pydantic_settings.BaseSettings",
    "abc.ABC",
    "typing.Generic",
    "typing.Protocol",
];

/// Deepest chain of bases that is followed.
const MAX_DEPTH: usize = 24;

/// Whether a class that the configuration names is there, and its attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum RecordResolution {
    /// The class is there.
    Found {
        /// Where it is defined: `module:Class`.
        defined: String,
        /// Each attribute that was asked for, in that order.
        attributes: Vec<(String, AttributeResolution)>,
    },
    /// The module is not there.
    ModuleMissing,
    /// The module is there, the class is not.
    ClassMissing,
    /// It cannot be said without running the application.
    Unjudged,
}

/// Whether a class has an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeResolution {
    /// The class or one of its bases defines it.
    Found,
    /// Neither the class nor any of its bases does.
    Missing,
    /// A base is not known, or attributes are added from elsewhere.
    Unjudged,
}

/// Looks for a class, written `backend.models:VerificationEvent`, and its attributes.
pub(super) fn resolve(world: &World, class: &str, attributes: &[&str]) -> RecordResolution {
    let (module, name) = class
        .split_once(':')
        .or_else(|| class.rsplit_once('.'))
        .unwrap_or((class, ""));
    let Some(module) = world.by_name(module) else {
        return RecordResolution::ModuleMissing;
    };
    let Some(names) = world.names[module].as_ref() else {
        return RecordResolution::Unjudged;
    };
    let resolver = Resolver::new(world);
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    match resolver.path(module, &path, 0) {
        Some(Entity::Class(home, class)) => {
            let Some(known) = world.facts(home).and_then(|facts| facts.classes.get(class)) else {
                return RecordResolution::Unjudged;
            };
            let judge = |name: &&str| {
                (
                    (*name).to_owned(),
                    attribute(world, &resolver, home, class, name),
                )
            };
            RecordResolution::Found {
                defined: format!("{}:{}", world.modules[home].name, known.name),
                attributes: attributes.iter().map(judge).collect(),
            }
        }
        None if !names.first.contains_key(name)
            && names.dynamic.is_none()
            && !world.may_be_set_elsewhere(name) =>
        {
            RecordResolution::ClassMissing
        }
        _ => RecordResolution::Unjudged,
    }
}

fn attribute(
    world: &World,
    resolver: &Resolver<'_>,
    module: usize,
    class: usize,
    name: &str,
) -> AttributeResolution {
    match has(world, resolver, module, class, name, 0) {
        Some(true) => AttributeResolution::Found,
        Some(false) if added_elsewhere(world, name) => AttributeResolution::Unjudged,
        Some(false) => AttributeResolution::Missing,
        None => AttributeResolution::Unjudged,
    }
}

fn added_elsewhere(world: &World, name: &str) -> bool {
    let backref = |module: usize| {
        world
            .facts(module)
            .is_some_and(|facts| facts.backrefs.contains(name))
    };
    world.may_be_set_elsewhere(name) || (0..world.modules.len()).any(backref)
}

fn has(
    world: &World,
    resolver: &Resolver<'_>,
    module: usize,
    class: usize,
    name: &str,
    depth: usize,
) -> Option<bool> {
    let facts = world.facts(module).filter(|_| depth < MAX_DEPTH)?;
    let class = facts.classes.get(class)?;
    if class.body.contains_key(name) || class.instance.contains_key(name) {
        return Some(true);
    }
    if class.altered || class.body.contains_key("__getattr__") {
        return None;
    }
    let mut found = Some(false);
    for base in &class.bases {
        let Some(base) = base else {
            found = None;
            continue;
        };
        let inherited = match resolver.path(module, base, 0) {
            Some(Entity::Class(home, base)) => has(world, resolver, home, base, name, depth + 1),
            _ if is_known_base(world, module, base, 0) => Some(false),
            _ => None,
        };
        match inherited {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
}

/// Whether a base comes from a library and adds no field: by the import that brings it, not by its name.
fn is_known_base(world: &World, module: usize, path: &[String], depth: usize) -> bool {
    use super::facts::Value;
    let Some(facts) = world.facts(module).filter(|_| depth < MAX_DEPTH) else {
        return false;
    };
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    let Some([binding]) = facts.bindings.get(first).map(Vec::as_slice) else {
        return rest.is_empty() && first == "object";
    };
    let full = |start: &str| {
        let path: Vec<&str> = std::iter::once(start)
            .chain(rest.iter().map(String::as_str))
            .collect();
        KNOWN_BASES.contains(&path.join(".").as_str())
    };
    match &binding.value {
        Value::Module(name) => full(name),
        Value::From { import, name } => {
            let Some(from) = facts.imports.get(*import) else {
                return false;
            };
            let inside = world
                .targets
                .get(&(module, *import))
                .and_then(|target| target.loads.last());
            match inside {
                Some(home) => {
                    rest.is_empty()
                        && is_known_base(world, *home, std::slice::from_ref(name), depth + 1)
                }
                None => full(&format!("{}.{name}", from.module)),
            }
        }
        Value::Call(call) if rest.is_empty() => is_known_base(world, module, call, depth + 1),
        _ => false,
    }
}
