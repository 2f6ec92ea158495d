//! Leaves that nothing leads to any more.

use super::SalvageError;
use super::sound::Leaf;
use super::survey::TableState;
use super::tree::Walker;

/// Gives leaves that nothing leads to any more to the one table whose hole they fit: by their rowids,
/// their width, where the rowid itself is stored, and what a whole index knows. A leaf that fits two
/// tables is given to none.
pub(super) fn adopt(
    walker: &mut Walker<'_>,
    tables: &mut [TableState],
) -> Result<(), SalvageError> {
    let is_damaged = |table: &TableState| table.has_rowid && !table.tree.holes.is_empty();
    if !tables.iter().any(is_damaged) {
        return Ok(());
    }
    let mut found: Vec<(usize, Leaf, Vec<u32>)> = Vec::new();
    for number in walker.without_place() {
        let mut fitting = Vec::new();
        for (at, table) in tables.iter().enumerate().filter(|(_, it)| is_damaged(it)) {
            if let Some((leaf, overflow)) = walker.orphan(number, table.shape)?
                && fits(&leaf, table)
            {
                fitting.push((at, leaf, overflow));
            }
        }
        if fitting.len() == 1 {
            found.append(&mut fitting);
        }
    }
    let overlaps = |one: &(usize, Leaf, Vec<u32>), other: &(usize, Leaf, Vec<u32>)| {
        one.0 == other.0
            && one.1.page != other.1.page
            && one.1.first() <= other.1.last()
            && other.1.first() <= one.1.last()
    };
    let alone: Vec<bool> = found
        .iter()
        .map(|one| !found.iter().any(|other| overlaps(one, other)))
        .collect();
    for ((at, leaf, overflow), alone) in found.into_iter().zip(alone) {
        if alone {
            for page in overflow.into_iter().chain([leaf.page]) {
                walker.used[page as usize] = true;
            }
            tables[at].adopted += 1;
            tables[at].tree.leaves.push(leaf);
        }
    }
    Ok(())
}

fn fits(leaf: &Leaf, table: &TableState) -> bool {
    let (tree, shape) = (&table.tree, table.shape);
    let (first, last) = (i128::from(leaf.first()), i128::from(leaf.last()));
    let in_a_hole = tree
        .holes
        .iter()
        .any(|hole| first > hole.low && last <= hole.high);
    let is_free = tree
        .leaves
        .iter()
        .all(|other| leaf.last() < other.first() || leaf.first() > other.last());
    let known = table.known.as_ref();
    let is_known = known.is_none_or(|known| leaf.rowids.iter().all(|it| known.contains(it)));
    in_a_hole && is_free && is_known && leaf.columns == shape.columns
}
