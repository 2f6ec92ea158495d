//! Whether every byte of a page of a b-tree has an owner.

use super::entry::EntryCell;
use super::node::{Node, NodeKind, RowCell, header_at};
use super::pages::{u16_at, varint};

/// Whether the cells that a page names, its free blocks and its fragments are together all that its area
/// for cells holds, as SQLite's own check counts it
/// (<https://www.sqlite.org/fileformat2.html#b_tree_pages>).
///
/// Safety: where a page holds a cell that its list of cells does not name, the bytes of that cell have no
/// owner, and the sum does not come out. So a page that adds up names every row it holds.
pub(super) fn adds_up(page: &[u8], number: u32, node: &Node, usable: usize) -> bool {
    let cells = node.cells.iter().map(|at| span(page, node, *at, usable));
    let Some(mut spans) = cells.collect::<Option<Vec<_>>>() else {
        return false;
    };
    let at = header_at(number);
    let (Some(first), Some(content)) = (u16_at(page, at + 1), u16_at(page, at + 5)) else {
        return false;
    };
    let content = if content == 0 { 65_536 } else { content };
    if content < node.content_from || !free_blocks(page, first, usable, &mut spans) {
        return false;
    }
    spans.sort_unstable();
    let (mut end, mut fragments) = (content, 0);
    for (from, to) in spans {
        if from < end {
            return false;
        }
        fragments += from - end;
        end = to;
    }
    end <= usable && fragments + (usable - end) == usize::from(page[at + 7])
}

fn free_blocks(page: &[u8], first: usize, usable: usize, spans: &mut Vec<(usize, usize)>) -> bool {
    let mut at = first;
    while at > 0 {
        let (Some(next), Some(size)) = (u16_at(page, at), u16_at(page, at + 2)) else {
            return false;
        };
        // They are listed in the order in which they stand.
        if size < 4 || at + size > usable || (next > 0 && next < at + size) {
            return false;
        }
        spans.push((at, at + size));
        at = next;
    }
    true
}

/// Where a cell begins and ends.
fn span(page: &[u8], node: &Node, at: usize, usable: usize) -> Option<(usize, usize)> {
    let end = match node.kind {
        NodeKind::TableLeaf => RowCell::parse(page, node, at, usable)?.end,
        NodeKind::TableInterior => at + 4 + varint(page, at + 4)?.1,
        NodeKind::IndexLeaf | NodeKind::IndexInterior => {
            EntryCell::parse(page, node, at, usable)?.end
        }
    };
    (at >= node.content_from && end <= usable).then_some((at, end))
}
