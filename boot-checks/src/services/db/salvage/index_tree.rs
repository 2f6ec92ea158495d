//! The tree of an index, or of a table without rowids: as much of it as holds.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use super::entry::{EntryCell, EntryOf, EntryShape};
use super::node::{Node, NodeKind};
use super::pages::u32_at;
use super::space::adds_up;
use super::tree::Walker;

/// What can be reached of it.
#[derive(Clone, Debug, Default)]
pub(super) struct IndexTree {
    /// On pages that hold.
    pub(super) entries: u64,
    /// A sum over them, whatever their order: two indexes with the same entries have the same.
    pub(super) sum: u64,
    /// The rows that these are of, where rows have rowids.
    pub(super) rowids: Vec<i64>,
    /// A digest of each row's key, where rows have no rowids and the shape names their key.
    pub(super) keys: Vec<u64>,
    /// Pages that it leads to and that do not hold.
    pub(super) damaged: Vec<u32>,
    /// Entries that are of no row of its table, on pages that hold: they came from elsewhere.
    pub(super) strangers: u64,
    /// Pages full of a table's rows where one of its own should be.
    pub(super) tables: Vec<u32>,
    /// Whether it leads to a page that something else has, or to none.
    pub(super) is_crossed: bool,
}

impl IndexTree {
    /// Whether every page of it was reached and holds.
    pub(super) fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.strangers == 0 && !self.is_crossed
    }

    /// Whether it is known that no two entries are of one row, where rows have no rowids.
    pub(super) fn names_each_key_once(&self) -> bool {
        let keys: HashSet<&u64> = self.keys.iter().collect();
        keys.len() as u64 == self.entries
    }
}

impl Walker<'_> {
    /// Goes through it from its first page. What it leads to has its place with it, whether it holds or
    /// not: only pages that hold are followed.
    pub(super) fn index(&mut self, root: u32, shape: EntryShape) -> io::Result<IndexTree> {
        let mut tree = IndexTree::default();
        let mut leaves_at = None;
        let mut todo = vec![(root, 0)];
        while let Some((number, depth)) = todo.pop() {
            let Some(page) = self.take(number, depth)? else {
                tree.is_crossed = true;
                continue;
            };
            let Some(node) = self.sound(number, &page) else {
                tree.damaged.push(number);
                continue;
            };
            match node.kind {
                NodeKind::IndexInterior => {
                    let children = node.cells.iter().map(|at| u32_at(&page, *at));
                    todo.extend(children.flatten().map(|child| (child, depth + 1)));
                    todo.push((node.right, depth + 1));
                }
                // All leaves are equally deep, and none is empty but the only one.
                NodeKind::IndexLeaf
                    if *leaves_at.get_or_insert(depth) == depth
                        && (depth == 0 || !node.cells.is_empty()) => {}
                NodeKind::TableLeaf | NodeKind::TableInterior if !node.cells.is_empty() => {
                    tree.damaged.push(number);
                    tree.tables.push(number);
                    continue;
                }
                _ => {
                    tree.damaged.push(number);
                    continue;
                }
            }
            if !self.read_entries(&page, &node, shape, &mut tree)? {
                tree.damaged.push(number);
            }
        }
        Ok(tree)
    }

    /// A page of a b-tree all of whose bytes have an owner.
    pub(super) fn sound(&self, number: u32, page: &[u8]) -> Option<Node> {
        let usable = self.pages.usable();
        let node = Node::parse(page, number, usable)?;
        adds_up(page, number, &node, usable).then_some(node)
    }

    /// False where the rest of an entry is not on the pages that it names.
    fn read_entries(
        &mut self,
        page: &[u8],
        node: &Node,
        shape: EntryShape,
        tree: &mut IndexTree,
    ) -> io::Result<bool> {
        let mut holds = true;
        for at in &node.cells {
            let Some(cell) = EntryCell::parse(page, node, *at, self.pages.usable()) else {
                continue;
            };
            let local = &page[cell.local.0..cell.local.1];
            let Some((record, overflow)) = self.payload(local, cell.payload, cell.overflow)? else {
                holds = false;
                continue;
            };
            for page in overflow {
                self.used[page as usize] = true;
            }
            match shape.judge(&record, cell.payload) {
                EntryOf::Stranger => tree.strangers += 1,
                EntryOf::Row(rowid) => tree.rowids.push(rowid),
                EntryOf::Key => {
                    let key = shape.key.and_then(|key| key.digest(&record));
                    tree.keys.extend(key);
                }
            }
            let mut hasher = DefaultHasher::new();
            record.hash(&mut hasher);
            tree.sum = tree.sum.wrapping_add(hasher.finish());
            tree.entries += 1;
        }
        Ok(holds)
    }

    /// The rowids that a page which no tree has names, where it is a page of such an index; none where
    /// it is not.
    pub(super) fn stray_entries(
        &self,
        number: u32,
        shape: EntryShape,
    ) -> io::Result<Option<Vec<i64>>> {
        let page = self.pages.read(number)?;
        let is_index = |node: &Node| {
            let kinds = [NodeKind::IndexLeaf, NodeKind::IndexInterior];
            kinds.contains(&node.kind) && !node.cells.is_empty()
        };
        let Some(node) = self.sound(number, &page).filter(is_index) else {
            return Ok(None);
        };
        let mut rowids = Vec::new();
        for at in &node.cells {
            let Some(cell) = EntryCell::parse(&page, &node, *at, self.pages.usable()) else {
                return Ok(None);
            };
            let local = &page[cell.local.0..cell.local.1];
            let payload = self.payload(local, cell.payload, cell.overflow)?;
            match payload.map(|(record, _)| shape.judge(&record, cell.payload)) {
                Some(EntryOf::Row(rowid)) => rowids.push(rowid),
                _ => return Ok(None),
            }
        }
        Ok(Some(rowids))
    }
}
