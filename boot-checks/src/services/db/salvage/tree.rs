use std::io;

use super::cells::{in_order, without_overlap};
use super::image::Missing;
use super::node::{Node, NodeKind, RowCell, serial_types};
use super::pages::{Pages, u32_at, varint};
use super::sound::{Hole, Leaf, Shape, Tree};
use super::space::adds_up;

/// SQLite itself goes no deeper.
const DEPTH_MAX: usize = 20;

/// Goes through the trees of a database, page by page, and believes nothing that does not fit.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    pub(super) pages: &'a Pages,
    missing: &'a Missing,
    /// Pages that have their place, by number.
    pub(super) used: Vec<bool>,
    /// Pages that a table leads to and that do not hold, by number: what is lost of it was there.
    pub(super) led_to: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Bounds {
    low: i128,
    high: i128,
}

impl<'a> Walker<'a> {
    pub(super) fn new(pages: &'a Pages, missing: &'a Missing) -> Walker<'a> {
        let mut used = vec![false; pages.count() as usize + 1];
        used[0] = true;
        if let Some(lock_page) = used.get_mut(pages.lock_page() as usize) {
            *lock_page = true;
        }
        Walker {
            pages,
            missing,
            led_to: vec![false; used.len()],
            used,
        }
    }

    /// Rows that fit at most on one page: a cell has at least four bytes and a pointer of two.
    pub(super) fn rows_per_page(&self) -> u64 {
        (self.pages.usable() as u64 - 8) / 6
    }

    /// A table with rowids, from its first page.
    pub(super) fn table(&mut self, root: u32, shape: Shape) -> io::Result<Tree> {
        let mut tree = Tree::default();
        let bounds = Bounds {
            low: i128::from(i64::MIN) - 1,
            high: i128::from(i64::MAX),
        };
        let is_elsewhere = self.is_elsewhere(root);
        if self.descend(root, shape, bounds, 0, &mut tree)?.is_none() {
            tree.holes.push(Hole {
                low: bounds.low,
                high: bounds.high,
                rows_max: None,
                page: root,
                is_elsewhere: is_elsewhere || self.holds_cells(root)?,
                is_foreign: !is_elsewhere && self.holds_cells(root)?,
            });
        }
        Ok(tree)
    }

    /// Whether a page of a tree is sound and has something on it: where it does not fit, it is another's.
    pub(super) fn holds_cells(&self, number: u32) -> io::Result<bool> {
        let page = self.pages.read(number)?;
        let node = self.sound(number, &page);
        Ok(node.is_some_and(|node| !node.cells.is_empty()))
    }

    /// Whether a page has its place already, or is not there: then nobody knows which page is meant.
    fn is_elsewhere(&self, number: u32) -> bool {
        self.used.get(number as usize).is_none_or(|used| *used)
    }

    /// The kind of the page where it and its place fit; else nothing was taken.
    fn descend(
        &mut self,
        number: u32,
        shape: Shape,
        bounds: Bounds,
        depth: usize,
        tree: &mut Tree,
    ) -> io::Result<Option<NodeKind>> {
        let Some(page) = self.take(number, depth)? else {
            return Ok(None);
        };
        let node = Node::parse(&page, number, self.pages.usable());
        let kind = match &node {
            Some(node) if node.kind == NodeKind::TableLeaf => self
                .leaf(number, &page, node, shape, bounds, tree)?
                .then_some(NodeKind::TableLeaf),
            Some(node) if node.kind == NodeKind::TableInterior => {
                self.interior(number, &page, node, shape, bounds, depth, tree)?;
                Some(NodeKind::TableInterior)
            }
            _ => None,
        };
        if kind.is_none() {
            self.used[number as usize] = false;
            self.led_to[number as usize] = true;
        }
        Ok(kind)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the page in three forms, and its place"
    )]
    fn interior(
        &mut self,
        number: u32,
        page: &[u8],
        node: &Node,
        shape: Shape,
        bounds: Bounds,
        depth: usize,
        tree: &mut Tree,
    ) -> io::Result<()> {
        let mut low = bounds.low;
        let mut fits = true;
        let mut lost: Vec<(Bounds, u32, u64, (bool, bool))> = Vec::new();
        let mut kinds = Vec::new();
        let mut children: Vec<(Option<u32>, i128)> = Vec::new();
        for at in &node.cells {
            let key = varint(page, at + 4).map(|(key, _)| i128::from(key.cast_signed()));
            let is_sound = *at >= node.content_from && *at < self.pages.usable() - 4;
            match (u32_at(page, *at), key) {
                (Some(child), Some(key)) if is_sound && key > low && key <= bounds.high => {
                    children.push((Some(child), key));
                    low = key;
                }
                // Its child lies somewhere up to the next key that holds.
                _ => {
                    fits = false;
                    children.push((None, 0));
                }
            }
        }
        children.push((Some(node.right), bounds.high));
        low = bounds.low;
        let mut skipped = 0;
        for (child, high) in children {
            let Some(child) = child else {
                skipped += 1;
                continue;
            };
            let within = Bounds { low, high };
            if skipped > 0 {
                lost.push((within, number, skipped, (false, false)));
                skipped = 0;
            }
            let (is_elsewhere, rows) = (self.is_elsewhere(child), tree.leaves.len());
            match self.descend(child, shape, within, depth + 1, tree)? {
                // No page below another is left empty.
                Some(NodeKind::TableLeaf) if tree.leaves.len() == rows => {
                    kinds.push(NodeKind::TableLeaf);
                    lost.push((within, child, 1, (false, false)));
                }
                Some(kind) => kinds.push(kind),
                None => {
                    let is_foreign = !is_elsewhere && self.holds_cells(child)?;
                    lost.push((within, child, 1, (is_elsewhere, is_foreign)));
                }
            }
            low = high;
        }
        // All leaves of a tree are equally deep.
        let is_leaf = kinds.contains(&NodeKind::TableLeaf);
        let is_even = !is_leaf || !kinds.contains(&NodeKind::TableInterior);
        let adds_up = adds_up(page, number, node, self.pages.usable());
        let is_misplaced = adds_up && !fits;
        if !is_even || !adds_up || !fits {
            // There were children that nothing names any more.
            tree.holes.push(Hole {
                low: bounds.low,
                high: bounds.high,
                rows_max: None,
                page: number,
                is_elsewhere: is_misplaced,
                is_foreign: false,
            });
        }
        let rows_max = |pages| is_leaf.then(|| self.rows_per_page() * pages);
        let holes = lost.into_iter();
        tree.holes.extend(
            holes.map(|(bounds, page, pages, (is_elsewhere, is_foreign))| Hole {
                low: bounds.low,
                high: bounds.high,
                rows_max: rows_max(pages),
                page,
                is_elsewhere: (is_elsewhere || is_foreign) && !is_leaf,
                is_foreign,
            }),
        );
        Ok(())
    }

    /// False where not one of several cells holds: then it is no page of this table.
    fn leaf(
        &mut self,
        number: u32,
        page: &[u8],
        node: &Node,
        shape: Shape,
        bounds: Bounds,
        tree: &mut Tree,
    ) -> io::Result<bool> {
        let (mut leaf, mut overflow) = self.read_leaf(number, page, node, shape, bounds)?;
        if leaf.rowids.is_empty() && !node.cells.is_empty() {
            return Ok(false);
        }
        let pages = overflow.len();
        overflow.sort_unstable();
        overflow.dedup();
        let is_shared = overflow.len() < pages;
        for page in overflow {
            self.used[page as usize] = true;
        }
        let adds_up = adds_up(page, number, node, self.pages.usable());
        let is_misplaced = adds_up && !leaf.is_whole;
        leaf.is_whole &= !is_shared && adds_up;
        if !leaf.is_whole {
            let kept = leaf.rowids.len() as u64;
            tree.holes.push(Hole {
                low: bounds.low,
                high: bounds.high,
                rows_max: Some(self.rows_per_page().saturating_sub(kept)),
                page: number,
                is_elsewhere: is_misplaced,
                is_foreign: false,
            });
            tree.rows_in_doubt += kept;
        }
        if !leaf.rowids.is_empty() {
            tree.leaves.push(leaf);
        }
        Ok(true)
    }

    /// The rows of a leaf that hold, and the further pages that they need.
    fn read_leaf(
        &self,
        number: u32,
        page: &[u8],
        node: &Node,
        shape: Shape,
        bounds: Bounds,
    ) -> io::Result<(Leaf, Vec<u32>)> {
        let mut sound = Vec::new();
        for at in &node.cells {
            let Some(cell) = RowCell::parse(page, node, *at, self.pages.usable()) else {
                continue;
            };
            let rowid = i128::from(cell.rowid);
            if rowid <= bounds.low || rowid > bounds.high {
                continue;
            }
            if let Some((columns, overflow)) = self.record(page, &cell, shape)? {
                sound.push((cell, columns, overflow));
            }
        }
        let sound = in_order(sound);
        let sound = without_overlap(sound);
        let leaf = Leaf {
            page: number,
            cells: sound.iter().map(|(cell, ..)| cell.offset).collect(),
            is_whole: sound.len() == node.cells.len(),
            rowids: sound.iter().map(|(cell, ..)| cell.rowid).collect(),
            columns: sound
                .iter()
                .map(|(_, columns, _)| *columns)
                .max()
                .unwrap_or(0),
        };
        let overflow = sound.into_iter().flat_map(|(_, _, pages)| pages);
        Ok((leaf, overflow.collect()))
    }

    /// Values of a row and the further pages that it needs; none where it does not hold.
    fn record(
        &self,
        page: &[u8],
        cell: &RowCell,
        shape: Shape,
    ) -> io::Result<Option<(usize, Vec<u32>)>> {
        let local = &page[cell.local.0..cell.local.1];
        let Some((record, overflow)) = self.payload(local, cell.payload, cell.overflow)? else {
            return Ok(None);
        };
        let types = serial_types(&record, cell.payload);
        let holds = types.filter(|types| {
            let alias = shape.alias.and_then(|at| types.get(at));
            types.len() <= shape.columns && alias.is_none_or(|kind| *kind == 0)
        });
        Ok(holds.map(|types| (types.len(), overflow)))
    }

    /// A record and the further pages that it needs; none where these have another place, or end too
    /// early or too late.
    pub(super) fn payload(
        &self,
        local: &[u8],
        payload: u64,
        first: Option<u32>,
    ) -> io::Result<Option<(Vec<u8>, Vec<u32>)>> {
        let mut record = local.to_vec();
        let mut overflow = Vec::new();
        let mut next = first.unwrap_or_default();
        while (record.len() as u64) < payload {
            // What is not there would be read as zeros.
            let is_there = !self.is_elsewhere(next) && !self.missing.contains(next);
            if !is_there || overflow.contains(&next) {
                return Ok(None);
            }
            overflow.push(next);
            let rest = self.pages.read(next)?;
            next = u32_at(&rest, 0).unwrap_or_default();
            let wanted = payload - record.len() as u64;
            let most = self.pages.usable() - 4;
            let length = usize::try_from(wanted).unwrap_or(most).min(most);
            record.extend(&rest[4..4 + length]);
        }
        Ok((next == 0).then_some((record, overflow)))
    }

    /// A page that no tree has, read as a leaf, where every cell of it holds.
    pub(super) fn orphan(&self, number: u32, shape: Shape) -> io::Result<Option<(Leaf, Vec<u32>)>> {
        let page = self.pages.read(number)?;
        let node = self.sound(number, &page);
        let Some(node) = node.filter(|node| node.kind == NodeKind::TableLeaf) else {
            return Ok(None);
        };
        let bounds = Bounds {
            low: i128::MIN,
            high: i128::MAX,
        };
        let (leaf, overflow) = self.read_leaf(number, &page, &node, shape, bounds)?;
        Ok((leaf.is_whole && !leaf.rowids.is_empty()).then_some((leaf, overflow)))
    }

    /// Rows that a page claims to hold, whatever else is wrong with it.
    pub(super) fn claimed_rows(&self, number: u32) -> io::Result<u64> {
        let page = self.pages.read(number)?;
        let node = Node::parse(&page, number, self.pages.usable());
        let leaf = node.filter(|node| node.kind == NodeKind::TableLeaf);
        Ok(leaf.map_or(0, |node| node.cells.len() as u64))
    }

    /// Reads a page that has no place yet and gives it one.
    pub(super) fn take(&mut self, number: u32, depth: usize) -> io::Result<Option<Vec<u8>>> {
        let is_free = self.used.get(number as usize).is_some_and(|used| !used);
        if !is_free || depth > DEPTH_MAX {
            return Ok(None);
        }
        self.used[number as usize] = true;
        self.pages.read(number).map(Some)
    }
}
