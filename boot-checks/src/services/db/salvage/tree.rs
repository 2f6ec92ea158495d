use std::io;

use super::cells::{in_order, without_overlap};
use super::node::{Node, NodeKind, RowCell, serial_types};
use super::pages::{Pages, u32_at, varint};
use super::sound::{Hole, Leaf, Shape, Tree};

/// SQLite itself goes no deeper.
const DEPTH_MAX: usize = 20;

/// Goes through the trees of a database, page by page, and believes nothing that does not fit.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    pub(super) pages: &'a Pages,
    /// Pages that have their place, by number.
    pub(super) used: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Bounds {
    low: i128,
    high: i128,
}

impl<'a> Walker<'a> {
    pub(super) fn new(pages: &'a Pages) -> Walker<'a> {
        let mut used = vec![false; pages.count() as usize + 1];
        used[0] = true;
        if let Some(lock_page) = used.get_mut(pages.lock_page() as usize) {
            *lock_page = true;
        }
        Walker { pages, used }
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
        if self.descend(root, shape, bounds, 0, &mut tree)?.is_none() {
            tree.holes.push(Hole {
                low: bounds.low,
                high: bounds.high,
                rows_max: None,
                page: root,
            });
        }
        Ok(tree)
    }

    /// Entries of an index; none where anything of it does not fit. Then none of its pages has a place.
    pub(super) fn index_entries(&mut self, root: u32) -> io::Result<Option<u64>> {
        let before = self.used.clone();
        let entries = self.count_entries(root)?;
        if entries.is_none() {
            self.used = before;
        }
        Ok(entries)
    }

    fn count_entries(&mut self, root: u32) -> io::Result<Option<u64>> {
        let mut todo = vec![(root, 0)];
        let mut entries = 0;
        while let Some((number, depth)) = todo.pop() {
            let Some(page) = self.take(number, depth)? else {
                return Ok(None);
            };
            let Some(node) = Node::parse(&page, number, self.pages.usable()) else {
                return Ok(None);
            };
            match node.kind {
                NodeKind::IndexLeaf => {}
                NodeKind::IndexInterior => {
                    let children = node.cells.iter().map(|at| u32_at(&page, *at));
                    todo.extend(children.flatten().map(|child| (child, depth + 1)));
                    todo.push((node.right, depth + 1));
                }
                _ => return Ok(None),
            }
            let fits = |at: &usize| (node.content_from..self.pages.usable() - 3).contains(at);
            if !node.cells.iter().all(fits) {
                return Ok(None);
            }
            entries += node.cells.len() as u64;
        }
        Ok(Some(entries))
    }

    /// The pages that are free; false where the list of them does not hold.
    pub(super) fn free_list(&mut self) -> io::Result<bool> {
        let header = self.pages.read(1)?;
        let (Some(mut trunk), Some(wanted)) = (u32_at(&header, 32), u32_at(&header, 36)) else {
            return Ok(false);
        };
        let mut found = 0;
        while trunk != 0 {
            let Some(page) = self.take(trunk, 0)? else {
                return Ok(false);
            };
            found += 1;
            let leaves = u32_at(&page, 4).unwrap_or(u32::MAX) as usize;
            if leaves > self.pages.usable() / 4 - 2 {
                return Ok(false);
            }
            for leaf in 0..leaves {
                let number = u32_at(&page, 8 + 4 * leaf).unwrap_or_default();
                match self.used.get_mut(number as usize) {
                    Some(used) if !*used => *used = true,
                    _ => return Ok(false),
                }
                found += 1;
            }
            trunk = u32_at(&page, 0).unwrap_or_default();
        }
        Ok(found == wanted)
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
        let mut lost: Vec<(Bounds, u32)> = Vec::new();
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
                _ => children.push((None, 0)),
            }
        }
        children.push((Some(node.right), bounds.high));
        low = bounds.low;
        let mut gap = false;
        for (child, high) in children {
            let Some(child) = child else {
                gap = true;
                continue;
            };
            let within = Bounds { low, high };
            if gap {
                lost.push((within, number));
                gap = false;
            }
            match self.descend(child, shape, within, depth + 1, tree)? {
                Some(kind) => kinds.push(kind),
                None => lost.push((within, child)),
            }
            low = high;
        }
        // All leaves of a tree are equally deep.
        let is_leaf = kinds.contains(&NodeKind::TableLeaf);
        let rows_max = is_leaf.then(|| self.rows_per_page());
        tree.holes
            .extend(lost.into_iter().map(|(bounds, page)| Hole {
                low: bounds.low,
                high: bounds.high,
                rows_max,
                page,
            }));
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
        let (leaf, overflow) = self.read_leaf(number, page, node, shape, bounds)?;
        if leaf.rowids.is_empty() && !node.cells.is_empty() {
            return Ok(false);
        }
        for page in overflow {
            self.used[page as usize] = true;
        }
        if !leaf.is_whole {
            tree.holes.push(Hole {
                low: bounds.low,
                high: bounds.high,
                rows_max: Some(self.rows_per_page() - leaf.rowids.len() as u64),
                page: number,
            });
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
        let mut record = page[cell.local.0..cell.local.1].to_vec();
        let mut overflow = Vec::new();
        let mut next = cell.overflow.unwrap_or_default();
        while (record.len() as u64) < cell.payload {
            let is_free = self.used.get(next as usize).is_some_and(|used| !used);
            if !is_free || overflow.contains(&next) {
                return Ok(None);
            }
            overflow.push(next);
            let rest = self.pages.read(next)?;
            next = u32_at(&rest, 0).unwrap_or_default();
            let wanted = cell.payload - record.len() as u64;
            let most = self.pages.usable() - 4;
            let length = usize::try_from(wanted).unwrap_or(most).min(most);
            record.extend(&rest[4..4 + length]);
        }
        let types = serial_types(&record, cell.payload);
        let holds = types.filter(|types| {
            let alias = shape.alias.and_then(|at| types.get(at));
            types.len() <= shape.columns && alias.is_none_or(|kind| *kind == 0)
        });
        let ends = cell.overflow.is_none() || next == 0;
        Ok(holds.filter(|_| ends).map(|types| (types.len(), overflow)))
    }

    /// A page that no tree has, read as a leaf, where every cell of it holds.
    pub(super) fn orphan(&self, number: u32, shape: Shape) -> io::Result<Option<(Leaf, Vec<u32>)>> {
        let page = self.pages.read(number)?;
        let node = Node::parse(&page, number, self.pages.usable());
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

    /// What a page that no tree has may be; none where it is no page of a b-tree.
    pub(super) fn kind(&self, number: u32) -> io::Result<Option<NodeKind>> {
        let page = self.pages.read(number)?;
        Ok(Node::parse(&page, number, self.pages.usable()).map(|node| node.kind))
    }

    /// Rows that a page claims to hold, whatever else is wrong with it.
    pub(super) fn claimed_rows(&self, number: u32) -> io::Result<u64> {
        let page = self.pages.read(number)?;
        let node = Node::parse(&page, number, self.pages.usable());
        let leaf = node.filter(|node| node.kind == NodeKind::TableLeaf);
        Ok(leaf.map_or(0, |node| node.cells.len() as u64))
    }

    /// Reads a page that has no place yet and gives it one.
    fn take(&mut self, number: u32, depth: usize) -> io::Result<Option<Vec<u8>>> {
        let is_free = self.used.get(number as usize).is_some_and(|used| !used);
        if !is_free || depth > DEPTH_MAX {
            return Ok(None);
        }
        self.used[number as usize] = true;
        self.pages.read(number).map(Some)
    }
}
