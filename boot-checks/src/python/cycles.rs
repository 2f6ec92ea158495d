//! Which modules import each other.

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::target::End;
use super::world::{ModId, World};

/// Groups of modules that import each other at their top level, each sorted by name.
pub(super) fn cycles(world: &World) -> &[Vec<ModId>] {
    world.cycles.get_or_init(|| find(world))
}

fn find(world: &World) -> Vec<Vec<ModId>> {
    let mut graph: DiGraph<ModId, ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..world.modules.len())
        .map(|module| graph.add_node(module))
        .collect();
    for module in 0..world.modules.len() {
        for target in edges(world, module) {
            graph.update_edge(nodes[module], nodes[target], ());
        }
    }
    let mut groups: Vec<Vec<ModId>> = tarjan_scc(&graph)
        .into_iter()
        .filter(|group| group.len() > 1)
        .map(|group| group.into_iter().map(|node| graph[node]).collect())
        .collect();
    for group in &mut groups {
        group.sort_by(|a, b| world.modules[*a].name.cmp(&world.modules[*b].name));
    }
    groups.sort_by(|a, b| world.modules[a[0]].name.cmp(&world.modules[b[0]].name));
    groups
}

/// Modules that the unguarded imports of a module run, without the packages around the module itself.
fn edges(world: &World, module: ModId) -> Vec<ModId> {
    let Some(facts) = world.facts(module) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (index, import) in facts
        .imports
        .iter()
        .enumerate()
        .filter(|(_, import)| import.certain)
    {
        let Some(target) = world.targets.get(&(module, index)) else {
            continue;
        };
        let last = target.loads.last().copied();
        for load in &target.loads {
            let name = world.modules[module].name.as_str();
            let around = name
                .strip_prefix(world.modules[*load].name.as_str())
                .is_some_and(|rest| rest.starts_with('.'));
            if *load != module
                && (!around
                    || Some(*load) == last && binds_name(world, *load, import.names.as_deref()))
            {
                found.push(*load);
            }
        }
        if let (End::Found, Some(last)) = (&target.end, last) {
            let names = import.names.iter().flatten();
            found.extend(
                names
                    .filter_map(|name| world.submodule(last, name))
                    .filter(|sub| *sub != module),
            );
        }
    }
    found
}

/// Whether a package's own file must have run for these names, and not only one of its submodules.
fn binds_name(world: &World, package: ModId, names: Option<&[String]>) -> bool {
    names
        .into_iter()
        .flatten()
        .any(|name| world.submodule(package, name).is_none())
}
