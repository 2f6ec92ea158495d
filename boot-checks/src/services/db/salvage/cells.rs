//! Which cells of a leaf can be believed beside each other.

use super::node::{RowCell, header_at};

/// A cell that holds, the values of its row, and the further pages that it needs.
type Sound = (RowCell, usize, Vec<u32>);

/// The longest run of rising rowids: what a damaged pointer leads to is not among them.
pub(super) fn in_order(cells: Vec<Sound>) -> Vec<Sound> {
    // `ends[n]` is the cell with the smallest rowid that a run of n + 1 cells ends with.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::new();
    for (at, (cell, ..)) in cells.iter().enumerate() {
        let place = ends.partition_point(|end| cells[*end].0.rowid < cell.rowid);
        before.push(place.checked_sub(1).map(|place| ends[place]));
        if place == ends.len() {
            ends.push(at);
        } else {
            ends[place] = at;
        }
    }
    let mut keep = vec![false; cells.len()];
    let mut next = ends.last().copied();
    while let Some(at) = next {
        keep[at] = true;
        next = before[at];
    }
    let mut kept = keep.into_iter();
    let mut cells = cells;
    cells.retain(|_| kept.next().unwrap_or_default());
    cells
}

/// Of two cells that claim the same bytes neither can be believed.
pub(super) fn without_overlap(cells: Vec<Sound>) -> Vec<Sound> {
    let overlaps = |one: &RowCell, other: &RowCell| {
        one.offset < other.end && other.offset < one.end && one.offset != other.offset
    };
    let clean: Vec<bool> = cells
        .iter()
        .map(|(cell, ..)| cells.iter().all(|(other, ..)| !overlaps(cell, other)))
        .collect();
    let mut clean = clean.into_iter();
    let mut cells = cells;
    cells.retain(|_| clean.next().unwrap_or_default());
    cells
}

/// Writes a page that holds only these cells of another.
pub(super) fn pruned(page: &[u8], number: u32, cells: &[usize]) -> Vec<u8> {
    let mut pruned = page.to_vec();
    let at = header_at(number);
    // No list of free blocks: nobody writes to this page again.
    pruned[at + 1..at + 3].fill(0);
    pruned[at + 3..at + 5].copy_from_slice(&(cells.len() as u16).to_be_bytes());
    for (index, cell) in cells.iter().enumerate() {
        let place = at + 8 + 2 * index;
        pruned[place..place + 2].copy_from_slice(&(*cell as u16).to_be_bytes());
    }
    pruned
}
