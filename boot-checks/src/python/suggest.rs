//! What the author may have meant.

use super::world::{ModId, World};

/// Names less alike than this are not worth a suggestion.
const MIN_LIKENESS: f64 = 0.82;

/// The module that an import may have meant: the same last part elsewhere, else the most alike.
pub(super) fn module(world: &World, wanted: &str, importer: ModId) -> Option<String> {
    let last = wanted.rsplit('.').next().unwrap_or(wanted);
    let own: Vec<&str> = world
        .modules
        .iter()
        .enumerate()
        .filter(|(id, module)| *id != importer && module.root == 0 && module.name != wanted)
        .map(|(_, module)| module.name.as_str())
        .collect();
    let same = own
        .iter()
        .filter(|name| name.rsplit('.').next() == Some(last));
    let best = |a: &&&str, b: &&&str| {
        likeness(a, wanted)
            .total_cmp(&likeness(b, wanted))
            .then(b.cmp(a))
    };
    if let Some(found) = same.max_by(best) {
        return Some(format!("import it from '{found}'"));
    }
    let found = own.iter().max_by(best)?;
    (likeness(found, wanted) >= MIN_LIKENESS).then(|| format!("the nearest module is '{found}'"))
}

/// Where a name lives now.
pub(super) fn name(world: &World, from: ModId, wanted: &str) -> Option<String> {
    let home = &world.modules[from].name;
    let mut homes: Vec<&str> = (0..world.modules.len())
        .filter(|module| world.modules[*module].root == 0 && world.defines(*module, wanted))
        .map(|module| world.modules[module].name.as_str())
        .collect();
    homes.sort_by(|a, b| {
        likeness(b, home)
            .total_cmp(&likeness(a, home))
            .then(a.cmp(b))
    });
    if let Some(found) = homes.first() {
        return Some(format!("'{wanted}' is defined in '{found}'"));
    }
    let names = world.names[from].as_ref()?;
    let alike = names.first.keys().max_by(|a, b| {
        strsim::jaro_winkler(a, wanted)
            .total_cmp(&strsim::jaro_winkler(b, wanted))
            .then(b.cmp(a))
    })?;
    (strsim::jaro_winkler(alike, wanted) >= MIN_LIKENESS).then(|| format!("'{home}' has '{alike}'"))
}

/// The most alike of some names, where one is alike enough.
pub(super) fn nearest<'n>(
    wanted: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    names
        .into_iter()
        .map(|name| (likeness(name, wanted), name))
        .filter(|(alike, _)| *alike >= MIN_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, name)| name)
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}
