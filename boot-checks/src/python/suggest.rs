//! What the author may have meant.

use std::cmp::Ordering;

use super::facts::{Import, Value};
use super::place::Lines;
use super::source::decode;
use super::verdicts::relative;
use super::world::{ModId, World};

/// Names less alike than this are not worth a suggestion.
const MIN_LIKENESS: f64 = 0.85;

/// The import that may have been meant. A module that was moved keeps its own name, and what it
/// defines; one that was renamed keeps what it defines, and most of its name.
pub(super) fn module(world: &World, importer: ModId, import: &Import) -> Option<String> {
    let wanted = world.absolute(importer, import)?;
    let names: Vec<&str> = import
        .names
        .iter()
        .flatten()
        .map(String::as_str)
        .filter(|name| *name != "*")
        .collect();
    let found = (0..world.modules.len())
        .filter(|id| *id != importer && is_ours(world, *id) && world.modules[*id].name != wanted)
        .filter_map(|id| Likely::new(world, importer, id, &wanted, &names))
        .max_by(Likely::compare)?;
    let home = &world.modules[found.module].name;
    Some(match found.evidence {
        Evidence::StemAndNames | Evidence::NamesAndAlike | Evidence::OnlyHome => {
            format!("write `from {home} import {}`", names.join(", "))
        }
        Evidence::Stem if names.is_empty() => format!("write `import {home}`"),
        Evidence::Stem | Evidence::Alike => format!("the nearest module is '{home}'"),
    })
}

/// The module that may be meant by the name of one that is not there.
pub(super) fn nearest_module(world: &World, wanted: &str) -> Option<String> {
    let found = (0..world.modules.len())
        .filter(|id| is_ours(world, *id))
        .filter_map(|id| Likely::new(world, id, id, wanted, &[]))
        .max_by(Likely::compare)?;
    Some(found.name.to_owned())
}

/// How strong the reason for a module is, the strongest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    /// A like name in the same package.
    Alike,
    /// It alone defines all names that are wanted.
    OnlyHome,
    /// The same last part.
    Stem,
    /// It defines all names that are wanted, under a like name.
    NamesAndAlike,
    /// The same last part, and it defines all names that are wanted.
    StemAndNames,
}

/// A module that may have been meant.
struct Likely<'w> {
    module: ModId,
    name: &'w str,
    evidence: Evidence,
    /// Tests are seldom what an application imports.
    is_for_tests: bool,
    /// How many of the names it defines.
    known: usize,
    /// Leading parts that its name shares with the one that is wanted.
    shared: usize,
    /// Leading parts that its name shares with the module that imports.
    near: usize,
    likeness: f64,
}

impl<'w> Likely<'w> {
    fn new(
        world: &'w World,
        importer: ModId,
        module: ModId,
        wanted: &str,
        names: &[&str],
    ) -> Option<Likely<'w>> {
        let name = world.modules[module].name.as_str();
        let same = stem(name) == stem(wanted);
        let alike = are_alike(stem(name), stem(wanted));
        let has_all = !names.is_empty() && names.iter().all(|one| world.defines(module, one));
        let evidence = match (same, has_all, alike) {
            (true, true, _) => Evidence::StemAndNames,
            (false, true, true) => Evidence::NamesAndAlike,
            (true, false, _) => Evidence::Stem,
            (false, true, false) if is_only_home(world, names) => Evidence::OnlyHome,
            (false, false, true) if package(name) == package(wanted) => Evidence::Alike,
            _ => return None,
        };
        let for_tests = |id: ModId| is_for_tests(&world.modules[id].name);
        Some(Likely {
            module,
            name,
            evidence,
            is_for_tests: for_tests(module) && !for_tests(importer),
            known: names
                .iter()
                .filter(|one| world.defines(module, one))
                .count(),
            shared: shared_parts(name, wanted),
            near: shared_parts(name, package(&world.modules[importer].name)),
            likeness: strsim::jaro_winkler(name, wanted),
        })
    }

    fn compare(&self, other: &Likely<'_>) -> Ordering {
        let rank = |one: &Likely<'_>| {
            let fits = (one.evidence, !one.is_for_tests, one.known);
            (fits, one.shared, one.near)
        };
        let depth = |one: &Likely<'_>| std::cmp::Reverse(one.name.matches('.').count());
        rank(self)
            .cmp(&rank(other))
            .then(depth(self).cmp(&depth(other)))
            .then(self.likeness.total_cmp(&other.likeness))
            .then(other.name.cmp(self.name))
    }
}

/// Where a name lives now; else a like name of the module that was asked.
pub(super) fn name(world: &World, importer: ModId, from: ModId, wanted: &str) -> Option<String> {
    if let Some(home) = home(world, importer, from, wanted) {
        let (name, place) = (&world.modules[home].name, definition(world, home, wanted)?);
        return Some(format!(
            "'{wanted}' lives in {place}: write `from {name} import {wanted}`"
        ));
    }
    let alike = alike(world, from, wanted)?;
    Some(format!("'{}' has '{alike}'", world.modules[from].name))
}

/// The entry point that may be meant by one whose module has no such name.
pub(super) fn entry_point(world: &World, asked: ModId, wanted: &str) -> Option<String> {
    if let Some(home) = home(world, asked, asked, wanted) {
        let (name, place) = (&world.modules[home].name, definition(world, home, wanted)?);
        return Some(format!(
            "'{wanted}' lives in {place}: write `{name}:{wanted}`"
        ));
    }
    let (asked, alike) = (&world.modules[asked].name, alike(world, asked, wanted)?);
    Some(format!("'{asked}' has '{alike}': write `{asked}:{alike}`"))
}

/// Another module of the application that defines a name.
fn home(world: &World, importer: ModId, from: ModId, wanted: &str) -> Option<ModId> {
    let asked = &world.modules[from].name;
    let for_tests = |id: ModId| is_for_tests(&world.modules[id].name);
    (0..world.modules.len())
        .filter(|id| *id != from && *id != importer && is_ours(world, *id))
        .filter(|id| world.defines(*id, wanted))
        .max_by(|a, b| {
            let rank = |id: ModId| {
                let name = &world.modules[id].name;
                let is_own = is_definition(world, id, wanted);
                let fits = !for_tests(id) || for_tests(importer);
                (is_own, fits, shared_parts(name, asked))
            };
            rank(*a)
                .cmp(&rank(*b))
                .then_with(|| world.modules[*b].name.cmp(&world.modules[*a].name))
        })
}

fn alike<'w>(world: &'w World, from: ModId, wanted: &str) -> Option<&'w str> {
    let names = world.names[from].as_ref()?;
    nearest(wanted, names.first.keys().map(String::as_str))
}

/// `backend/models.py:12`, where a module binds a name.
pub(super) fn definition(world: &World, module: ModId, name: &str) -> Option<String> {
    let file = relative(world, module);
    let bindings = world.facts(module)?.bindings.get(name)?;
    let offset = bindings.iter().map(|binding| binding.offset).min()?;
    let bytes = std::fs::read(&world.files[world.modules[module].file?].path).ok()?;
    let text = decode(&bytes).ok()?;
    let line = Lines::new(&text).place(offset.saturating_sub(1)).line;
    Some(format!("{}:{line}", file.display()))
}

/// The most alike of some names, where one is alike enough.
pub(super) fn nearest<'n>(
    wanted: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, wanted), name))
        .filter(|(alike, _)| *alike >= MIN_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, name)| name)
}

/// A module with a file below the application's own root.
fn is_ours(world: &World, id: ModId) -> bool {
    world.modules[id].root == 0 && world.modules[id].file.is_some()
}

fn stem(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn package(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(package, _)| package)
}

fn shared_parts(a: &str, b: &str) -> usize {
    a.split('.')
        .zip(b.split('.'))
        .take_while(|(a, b)| a == b)
        .count()
}

fn is_for_tests(name: &str) -> bool {
    name.split('.')
        .any(|part| part == "tests" || part.starts_with("test_"))
}

/// `mailer` and `mail_sender` are not, `event_log` and `events_log` are.
fn are_alike(a: &str, b: &str) -> bool {
    strsim::jaro_winkler(a, b) >= MIN_LIKENESS && strsim::normalized_levenshtein(a, b) >= 0.6
}

fn is_only_home(world: &World, names: &[&str]) -> bool {
    let has_all = |id: &ModId| names.iter().all(|name| is_definition(world, *id, name));
    (0..world.modules.len())
        .filter(|id| is_ours(world, *id))
        .filter(has_all)
        .count()
        == 1
}

/// Whether a name is a function or a class of this very module, and no mere variable.
fn is_definition(world: &World, module: ModId, name: &str) -> bool {
    let bindings = world
        .facts(module)
        .and_then(|facts| facts.bindings.get(name));
    bindings
        .into_iter()
        .flatten()
        .any(|binding| matches!(binding.value, Value::Function { .. } | Value::Class(_)))
}
