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

#[cfg(test)]
mod tests {
    use super::*;

    /// A leaf with three rows of one byte each, of which the one in the middle was deleted.
    fn leaf() -> Vec<u8> {
        let mut page = vec![0; 512];
        page[..12].copy_from_slice(&[0x0d, 1, 0xf9, 0, 2, 1, 0xf4, 0, 1, 0xfb, 1, 0xf4]);
        page[500..505].copy_from_slice(&[3, 1, 2, 9, 0]);
        page[505..507].copy_from_slice(&[0, 0]);
        page[507..512].copy_from_slice(&[3, 3, 2, 9, 0]);
        // Two bytes are too few for a free block: they are fragments.
        page[1..3].fill(0);
        page[7] = 2;
        page
    }

    fn check(page: &[u8]) -> bool {
        adds_up(page, 2, &Node::parse(page, 2, 512).unwrap(), 512)
    }

    #[test]
    fn a_page_adds_up_until_it_names_a_row_less() {
        assert!(check(&leaf()));
        let mut page = leaf();
        page[4] = 1;
        assert!(!check(&page));
        let mut page = leaf();
        page[7] = 0;
        assert!(!check(&page));
        // A row twice.
        let mut page = leaf();
        page.copy_within(8..10, 10);
        assert!(!check(&page));
    }

    #[test]
    fn a_list_of_free_blocks_ends() {
        let mut page = leaf();
        page[1..3].copy_from_slice(&[1, 0]);
        page[256..260].copy_from_slice(&[1, 0, 0, 4]);
        assert!(!check(&page));
    }
}
