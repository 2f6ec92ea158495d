//! How many rows a table has lost.

use super::sound::{Hole, Leaf};
use super::survey::{Stray, Survey, TableState};
use crate::model::Lost;

/// A bound of more rows than this many times those that were saved says nothing to a person.
const BOUND_TIMES_MAX: u64 = 10;

/// Rows that a bound may always name: those of a page or two.
const BOUND_MIN: u64 = 1_500;

impl Survey {
    /// How many rows a table has lost, when `saved` were saved. A whole index of it was not asked yet.
    ///
    /// Safety: a number is exact only of a table of which every page was reached and nothing speaks
    /// against it. A bound counts what fits on the pages that are known to be damaged and on those that
    /// nothing has; where a page is meant that cannot be named, there is none.
    pub(super) fn lost(&self, table: &TableState, saved: u64) -> Lost {
        if table.may_lack.is_some() || table.is_uncounted {
            return Lost::NotKnown;
        }
        match &table.rows {
            Some(rows) if table.is_reached() => exactly(rows.count, saved),
            Some(rows) if rows.is_crossed || !self.length_is_known => Lost::NotKnown,
            Some(rows) => {
                let pages = rows.damaged.len() as u64 + self.strays_for(table);
                let most = rows.count.saturating_add(pages * self.rows_per_page);
                told(most.saturating_sub(saved), saved)
            }
            None if table.is_reached() => exactly(table.tree.rows(), saved),
            None => self.lost_from_holes(table, saved),
        }
    }

    fn lost_from_holes(&self, table: &TableState, saved: u64) -> Lost {
        let holes = &table.tree.holes;
        let is_unbounded =
            |hole: &Hole| hole.is_elsewhere || (hole.rows_max.is_none() && !self.length_is_known);
        if holes.iter().any(is_unbounded) {
            return Lost::NotKnown;
        }
        let (mut known, mut below) = (table.tree.rows().saturating_sub(saved), 0_u64);
        for hole in holes {
            let width = width_left(hole, &table.tree.leaves);
            match hole.rows_max {
                Some(rows_max) => known = known.saturating_add(width.min(rows_max)),
                None => below = below.saturating_add(width),
            }
        }
        let above = holes
            .iter()
            .filter(|hole| self.is_above_leaves(hole, table));
        let strays = self.strays_for(table) - above.count() as u64;
        let strays = strays.saturating_mul(self.rows_per_page);
        told(known.saturating_add(below.min(strays)), saved)
    }

    /// Whether a damaged page that nothing else has was no leaf: leaves were found below it.
    fn is_above_leaves(&self, hole: &Hole, table: &TableState) -> bool {
        let is_below = |leaf: &Leaf| {
            i128::from(leaf.first()) > hole.low && i128::from(leaf.last()) <= hole.high
        };
        let is_stray = |stray: &Stray| stray.number == hole.page && !stray.is_index;
        hole.rows_max.is_none()
            && self.strays.iter().any(is_stray)
            && table.tree.leaves.iter().any(is_below)
    }

    /// Pages that may have rows of it.
    fn strays_for(&self, table: &TableState) -> u64 {
        let may = |stray: &&Stray| match table.has_rowid {
            true => !stray.is_index,
            false => !stray.is_table,
        };
        self.strays.iter().filter(may).count() as u64
    }
}

/// Rows that the new table would not take beside others are not all its own.
fn exactly(rows: u64, saved: u64) -> Lost {
    match rows == saved {
        true => Lost::Exactly(0),
        false => Lost::NotKnown,
    }
}

fn told(most: u64, saved: u64) -> Lost {
    if most > BOUND_MIN.max(saved.saturating_mul(BOUND_TIMES_MAX)) {
        Lost::NotKnown
    } else {
        Lost::AtMost(most)
    }
}

/// Rowids of a table's holes that no sound row has.
pub(super) fn rowids_left(table: &TableState) -> u64 {
    let holes = table.tree.holes.iter();
    holes.fold(0, |sum, hole| {
        sum.saturating_add(width_left(hole, &table.tree.leaves))
    })
}

/// Rowids of a hole that no sound row has.
fn width_left(hole: &Hole, leaves: &[Leaf]) -> u64 {
    let within = |rowid: &&i64| {
        let rowid = i128::from(**rowid);
        rowid > hole.low && rowid <= hole.high
    };
    let rowids = leaves.iter().flat_map(|leaf| &leaf.rowids);
    let kept = rowids.filter(within).count() as u64;
    u64::try_from(hole.high - hole.low)
        .unwrap_or(u64::MAX)
        .saturating_sub(kept)
}
