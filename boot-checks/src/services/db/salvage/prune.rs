//! Damaged pages of a table without rowids.

use std::io;

use super::cells::pruned;
use super::entry::{EntryCell, EntryOf, EntryShape};
use super::node::{Node, NodeKind};
use super::pages::Pages;

/// Leaves of a damaged leaf only the rows that hold, on a copy; where none does, the page itself no longer
/// holds, so that nothing is read from it. Pages above leaves stay as they are.
///
/// Safety: SQLite would read a row wherever a damaged pointer leads. Of two cells that claim the same bytes
/// neither can be believed.
pub(super) fn prune(pages: &mut Pages, number: u32, shape: EntryShape) -> io::Result<()> {
    let page = pages.read(number)?;
    let node = Node::parse(&page, number, pages.usable());
    let Some(node) = node.filter(|node| node.kind == NodeKind::IndexLeaf) else {
        return Ok(());
    };
    let cells = sound_cells(&page, &node, shape, pages.usable());
    let page = match cells.is_empty() {
        true => vec![0; page.len()],
        false => pruned(&page, number, &cells),
    };
    pages.write(number, &page)
}

fn sound_cells(page: &[u8], node: &Node, shape: EntryShape, usable: usize) -> Vec<usize> {
    let holds = |at: &usize| {
        let cell = EntryCell::parse(page, node, *at, usable)?;
        let local = &page[cell.local.0..cell.local.1];
        // What goes on elsewhere SQLite reads itself.
        let is_row = cell.overflow.is_some() || shape.judge(local, cell.payload) == EntryOf::Key;
        (*at >= node.content_from && is_row).then_some((*at, cell.end))
    };
    let cells: Vec<(usize, usize)> = node.cells.iter().filter_map(holds).collect();
    let is_alone = |one: &&(usize, usize)| {
        let overlaps = |other: &&(usize, usize)| one.0 < other.1 && other.0 < one.1;
        cells.iter().filter(overlaps).count() == 1
    };
    let alone = cells.iter().filter(is_alone);
    alone.map(|(at, _)| *at).collect()
}
