use std::io;

use super::cells::pruned;
use super::node::header_at;
use super::pages::{Pages, put_varint};
use super::sound::Leaf;

/// Gives a table a tree that holds only what is sound, on a copy: its leaves without the cells that do
/// not hold, and new interior pages above them. SQLite then reads the rows itself, with all that it
/// knows about columns and values.
pub(super) fn graft(pages: &mut Pages, root: u32, leaves: &[Leaf]) -> io::Result<()> {
    let mut leaves: Vec<&Leaf> = leaves.iter().collect();
    leaves.sort_by_key(|leaf| leaf.first());
    for leaf in leaves.iter().filter(|leaf| !leaf.is_whole) {
        let page = pages.read(leaf.page)?;
        pages.write(leaf.page, &pruned(&page, leaf.page, &leaf.cells))?;
    }
    match leaves.as_slice() {
        [] => {
            let page = empty_leaf(pages, root)?;
            pages.write(root, &page)?;
        }
        [only] if only.page == root => {}
        // A tree of one leaf is that leaf, but for the first page, which has less room.
        [only] if root != 1 => {
            let page = pages.read(only.page)?;
            pages.write(root, &page)?;
        }
        several => {
            let mut level: Vec<(u32, i64)> = Vec::new();
            for leaf in several {
                level.push((moved_from(pages, root, leaf)?, leaf.last()));
            }
            while level.len() > fan_out(pages) {
                level = raise(pages, &level)?;
            }
            let page = interior(pages, root, &level)?;
            pages.write(root, &page)?;
        }
    }
    Ok(())
}

/// The root becomes an interior page, so that what it holds as a leaf needs another place.
fn moved_from(pages: &mut Pages, root: u32, leaf: &Leaf) -> io::Result<u32> {
    if leaf.page != root {
        return Ok(leaf.page);
    }
    let page = pages.read(leaf.page)?;
    pages.append(&page)
}

/// Children of one interior page: a pointer, a page number and a rowid at its longest each.
fn fan_out(pages: &Pages) -> usize {
    (pages.usable() - 112) / 15
}

/// One level of interior pages above these. None has a single child, which SQLite would not read.
fn raise(pages: &mut Pages, level: &[(u32, i64)]) -> io::Result<Vec<(u32, i64)>> {
    let groups = level.len().div_ceil(fan_out(pages));
    let size = level.len().div_ceil(groups);
    let mut above = Vec::new();
    let mut rest = level;
    while !rest.is_empty() {
        let take = match rest.len() {
            left if left <= size => left,
            left if left - size == 1 => size - 1,
            _ => size,
        };
        let (group, others) = rest.split_at(take);
        let page = interior(pages, 0, group)?;
        let last = group.last().map_or(0, |(_, rowid)| *rowid);
        above.push((pages.append(&page)?, last));
        rest = others;
    }
    Ok(above)
}

/// An interior page over these children. In the first page the file's own header stays.
fn interior(pages: &Pages, number: u32, children: &[(u32, i64)]) -> io::Result<Vec<u8>> {
    let mut page = blank(pages, number)?;
    let at = header_at(number);
    let mut end = pages.usable();
    let (last, others) = match children.split_last() {
        Some((last, others)) => (last.0, others),
        None => (0, children),
    };
    for (index, (child, rowid)) in others.iter().enumerate() {
        let mut cell = child.to_be_bytes().to_vec();
        put_varint(rowid.cast_unsigned(), &mut cell);
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(&cell);
        let place = at + 12 + 2 * index;
        page[place..place + 2].copy_from_slice(&(end as u16).to_be_bytes());
    }
    page[at] = 0x05;
    page[at + 3..at + 5].copy_from_slice(&(others.len() as u16).to_be_bytes());
    page[at + 5..at + 7].copy_from_slice(&(end as u16).to_be_bytes());
    page[at + 8..at + 12].copy_from_slice(&last.to_be_bytes());
    Ok(page)
}

fn empty_leaf(pages: &Pages, number: u32) -> io::Result<Vec<u8>> {
    let mut page = blank(pages, number)?;
    let at = header_at(number);
    page[at] = 0x0d;
    page[at + 5..at + 7].copy_from_slice(&(pages.usable() as u16).to_be_bytes());
    Ok(page)
}

fn blank(pages: &Pages, number: u32) -> io::Result<Vec<u8>> {
    let mut page = vec![0; pages.size()];
    if number == 1 {
        page[..100].copy_from_slice(&pages.read(1)?[..100]);
    }
    Ok(page)
}
