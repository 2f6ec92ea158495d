//! What is sound of a table, and where it has holes.

/// What a row of a table has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// At most so many values; older rows have fewer.
    pub(super) columns: usize,
    /// The column that stands for the rowid, and is stored as NULL.
    pub(super) alias: Option<usize>,
}

/// A page with rows that hold.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) page: u32,
    /// Where the cells begin that hold, in the order of their rowids.
    pub(super) cells: Vec<usize>,
    /// Whether every cell of the page holds.
    pub(super) is_whole: bool,
    pub(super) rowids: Vec<i64>,
    /// Values of its widest row.
    pub(super) columns: usize,
}

impl Leaf {
    pub(super) fn first(&self) -> i64 {
        self.rowids.first().copied().unwrap_or_default()
    }

    pub(super) fn last(&self) -> i64 {
        self.rowids.last().copied().unwrap_or_default()
    }
}

/// Rowids of which rows were lost: above `low`, up to `high`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) low: i128,
    pub(super) high: i128,
    /// Rows that may have been on the one page that is damaged; none where more pages are missing than
    /// are known.
    pub(super) rows_max: Option<u64>,
    /// The damaged page.
    pub(super) page: u32,
    /// Whether another page was meant: this one has its place elsewhere, or is none.
    pub(super) is_elsewhere: bool,
    /// Whether a sound page of something else stands in its place: a write went there, and did not come
    /// where it belongs.
    pub(super) is_foreign: bool,
}

/// What can be reached of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) leaves: Vec<Leaf>,
    pub(super) holes: Vec<Hole>,
    /// Rows that hold on pages that do not: what stands in them cannot be vouched for.
    pub(super) rows_in_doubt: u64,
}

impl Tree {
    /// Every rowid that was reached, in their order.
    pub(super) fn rowids(&self) -> Vec<i64> {
        let leaves = self.leaves.iter();
        let mut rowids: Vec<i64> = leaves.flat_map(|leaf| &leaf.rowids).copied().collect();
        rowids.sort_unstable();
        rowids
    }

    pub(super) fn rows(&self) -> u64 {
        self.leaves
            .iter()
            .map(|leaf| leaf.rowids.len() as u64)
            .sum()
    }
}
