use std::path::Path;
use std::time::Duration;

use super::SalvageError;
use super::node::NodeKind;
use super::pages::{Pages, u32_at};
use super::sound::{Hole, Leaf, Shape, Tree};
use super::tree::Walker;
use crate::model::{Lost, SqlValue};
use crate::services::db::{Access, Connection, DbError};

/// What is known of a table before its rows are looked for.
#[derive(Clone, Debug)]
pub(super) struct TableState {
    pub(super) name: String,
    pub(super) root: u32,
    pub(super) shape: Shape,
    /// Columns that hold a value of their own, by name.
    pub(super) columns: Vec<String>,
    /// Columns of the primary key, in its order.
    pub(super) key: Vec<String>,
    pub(super) has_rowid: bool,
    pub(super) tree: Tree,
    /// A whole index with an entry for each row, and how many it has.
    pub(super) counted_by: Option<(String, u64)>,
    /// Of a table without rowids: its rows, where its tree is whole.
    pub(super) entries: Option<u64>,
    adopted: usize,
}

impl TableState {
    pub(super) fn is_whole(&self) -> bool {
        match self.has_rowid {
            true => self.tree.holes.is_empty(),
            false => self.entries.is_some(),
        }
    }
}

/// Every table of an image, with what can be reached of it.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) tables: Vec<TableState>,
    /// Whether some of the names of tables may be lost.
    pub(super) schema_is_damaged: bool,
    /// Rows on pages that no table has for certain.
    pub(super) unassigned: u64,
    /// Pages that may have held rows and belong to nothing.
    pub(super) stray_pages: Vec<u32>,
    pub(super) rows_per_page: u64,
}

/// `sqlite_schema` itself.
const SCHEMA: Shape = Shape {
    columns: 5,
    alias: None,
};

impl Survey {
    /// Goes through all trees. Where the table of tables is damaged, the image gets a sound one first.
    pub(super) fn of(image: &Path) -> Result<Survey, SalvageError> {
        let mut pages = Pages::open(image)?;
        let schema = Walker::new(&pages).table(1, SCHEMA)?;
        let schema_is_damaged = !schema.holes.is_empty();
        if schema_is_damaged {
            if schema.leaves.is_empty() {
                return Err(SalvageError::Nothing(
                    "the page that names every table is lost".to_owned(),
                ));
            }
            super::graft::graft(&mut pages, 1, &schema.leaves)?;
            let count = pages.count().to_be_bytes();
            pages.set_header(28, &count)?;
        }
        let (mut tables, indexes) = read_schema(image)?;
        let mut walker = Walker::new(&pages);
        mark_pointer_maps(&mut walker)?;
        walker.table(1, SCHEMA)?;
        for table in &mut tables {
            if table.has_rowid {
                table.tree = walker.table(table.root, table.shape)?;
            } else {
                table.entries = walker.index_entries(table.root)?;
            }
        }
        for (table, index, root, is_partial) in indexes {
            let entries = walker.index_entries(root)?;
            let table = tables.iter_mut().find(|it| it.name == table);
            if let (Some(table), Some(entries), false) = (table, entries, is_partial) {
                table.counted_by = Some((index, entries));
            }
        }
        let free_list_holds = walker.free_list()?;
        if free_list_holds {
            adopt(&mut walker, &mut tables)?;
        }
        let mut survey = Survey {
            tables,
            schema_is_damaged,
            unassigned: 0,
            stray_pages: Vec::new(),
            rows_per_page: walker.rows_per_page(),
        };
        survey.look_at_strays(&walker, free_list_holds)?;
        survey.narrow_by_sequence(image);
        Ok(survey)
    }

    pub(super) fn is_whole(&self) -> bool {
        !self.schema_is_damaged && self.tables.iter().all(TableState::is_whole)
    }

    /// Pages of a tree that nothing leads to any more, and what may have been rows.
    fn look_at_strays(
        &mut self,
        walker: &Walker<'_>,
        free_is_known: bool,
    ) -> Result<(), SalvageError> {
        for (number, used) in walker.used.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            if *used {
                continue;
            }
            let kind = walker.kind(number)?;
            let holds_no_rows = matches!(
                kind,
                Some(NodeKind::IndexInterior | NodeKind::IndexLeaf | NodeKind::TableInterior)
            );
            if !holds_no_rows || self.tables.iter().any(|table| !table.has_rowid) {
                self.stray_pages.push(number);
            }
            // A page that is free still looks as it did before its rows were deleted.
            if free_is_known {
                self.unassigned += walker.claimed_rows(number)?;
            }
        }
        Ok(())
    }

    /// A counter of rowids says where the last row ends.
    fn narrow_by_sequence(&mut self, image: &Path) {
        let Ok(mut connection) = Connection::open(image, Access::ReadOnly, Duration::ZERO) else {
            return;
        };
        let rows = connection.query("SELECT name, seq FROM sqlite_sequence", &[]);
        connection.close();
        for row in rows.unwrap_or_default() {
            let [SqlValue::Text(name), SqlValue::Integer(last)] = row.as_slice() else {
                continue;
            };
            let table = self.tables.iter_mut().find(|table| table.name == *name);
            for hole in table.into_iter().flat_map(|table| &mut table.tree.holes) {
                if hole.high == i128::from(i64::MAX) {
                    hole.high = i128::from(*last).max(hole.low);
                }
            }
        }
    }

    /// How many rows a table has lost, when `saved` were saved.
    pub(super) fn lost(&self, table: &TableState, saved: u64) -> Lost {
        if table.is_whole() {
            let rows = table.entries.unwrap_or_else(|| table.tree.rows());
            return Lost::Exactly(rows.saturating_sub(saved));
        }
        if let Some((_, entries)) = &table.counted_by {
            return Lost::Exactly(entries.saturating_sub(saved));
        }
        if !table.has_rowid {
            return Lost::AtMost(self.stray_pages.len() as u64 * self.rows_per_page);
        }
        let (mut known, mut below) = (0_u64, 0_u64);
        let mut strays = self.stray_pages.len() as u64 * self.rows_per_page;
        for hole in &table.tree.holes {
            let width = width_left(hole, &table.tree.leaves);
            match hole.rows_max {
                Some(rows_max) => known = known.saturating_add(width.min(rows_max)),
                None => {
                    // Where leaves were found below it, the page itself was no leaf.
                    let is_stray = self.stray_pages.contains(&hole.page);
                    if table.adopted > 0 && is_stray {
                        strays = strays.saturating_sub(self.rows_per_page);
                    }
                    below = below.saturating_add(width);
                }
            }
        }
        Lost::AtMost(known.saturating_add(below.min(strays)))
    }
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

/// Gives leaves that nothing leads to any more to the one table whose hole they fit: by their rowids,
/// their width and where the rowid itself is stored. A leaf that fits two tables is given to none.
fn adopt(walker: &mut Walker<'_>, tables: &mut [TableState]) -> Result<(), SalvageError> {
    let is_damaged = |table: &TableState| table.has_rowid && !table.tree.holes.is_empty();
    if !tables.iter().any(is_damaged) {
        return Ok(());
    }
    let mut found: Vec<(usize, Leaf, Vec<u32>)> = Vec::new();
    let free: Vec<usize> = (0..walker.used.len())
        .filter(|n| !walker.used[*n])
        .collect();
    for number in free {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let mut fitting = Vec::new();
        for (at, table) in tables.iter().enumerate().filter(|(_, it)| is_damaged(it)) {
            if let Some((leaf, overflow)) = walker.orphan(number, table.shape)?
                && fits(&leaf, &table.tree, table.shape)
            {
                fitting.push((at, leaf, overflow));
            }
        }
        if fitting.len() == 1 {
            found.append(&mut fitting);
        }
    }
    let overlaps = |one: &(usize, Leaf, Vec<u32>), other: &(usize, Leaf, Vec<u32>)| {
        one.0 == other.0
            && one.1.page != other.1.page
            && one.1.first() <= other.1.last()
            && other.1.first() <= one.1.last()
    };
    let alone: Vec<bool> = found
        .iter()
        .map(|one| !found.iter().any(|other| overlaps(one, other)))
        .collect();
    for ((at, leaf, overflow), alone) in found.into_iter().zip(alone) {
        if alone {
            for page in overflow.into_iter().chain([leaf.page]) {
                walker.used[page as usize] = true;
            }
            tables[at].adopted += 1;
            tables[at].tree.leaves.push(leaf);
        }
    }
    Ok(())
}

fn fits(leaf: &Leaf, tree: &Tree, shape: Shape) -> bool {
    let (first, last) = (i128::from(leaf.first()), i128::from(leaf.last()));
    let in_a_hole = tree
        .holes
        .iter()
        .any(|hole| first > hole.low && last <= hole.high);
    let is_free = tree
        .leaves
        .iter()
        .all(|other| leaf.last() < other.first() || leaf.first() > other.last());
    in_a_hole && is_free && leaf.columns == shape.columns
}

/// Pages of a database that shrinks by itself which say who points to whom.
fn mark_pointer_maps(walker: &mut Walker<'_>) -> Result<(), SalvageError> {
    let header = walker.pages.read(1)?;
    if u32_at(&header, 52).unwrap_or_default() == 0 {
        return Ok(());
    }
    let step = walker.pages.usable() / 5 + 1;
    let lock_page = walker.pages.lock_page() as usize;
    for map in (2..walker.used.len()).step_by(step) {
        let map = if map == lock_page { map + 1 } else { map };
        if let Some(used) = walker.used.get_mut(map) {
            *used = true;
        }
    }
    Ok(())
}

/// Table, index, first page, and whether some rows have no entry.
type IndexRow = (String, String, u32, bool);

fn read_schema(image: &Path) -> Result<(Vec<TableState>, Vec<IndexRow>), SalvageError> {
    let mut connection = Connection::open(image, Access::ReadOnly, Duration::ZERO)?;
    let read = read_schema_of(&mut connection);
    connection.close();
    read.map_err(|error| {
        SalvageError::Nothing(format!("the names of its tables cannot be read: {error}"))
    })
}

fn read_schema_of(
    connection: &mut Connection,
) -> Result<(Vec<TableState>, Vec<IndexRow>), DbError> {
    let mut tables = Vec::new();
    let mut indexes = Vec::new();
    let sql = "SELECT s.name, s.rootpage, l.wr FROM sqlite_schema s, pragma_table_list l \
               WHERE s.type = 'table' AND s.rootpage > 0 AND l.schema = 'main' AND l.name = s.name \
               AND s.name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY s.name";
    for row in connection.query(sql, &[])? {
        let [SqlValue::Text(name), root, without_rowid] = row.as_slice() else {
            continue;
        };
        let has_rowid = *without_rowid == SqlValue::Integer(0);
        tables.push(read_table(connection, name, number(root), has_rowid)?);
        let sql = "SELECT i.name, s.rootpage, i.partial FROM pragma_index_list(?1) i, sqlite_schema s \
                   WHERE s.type = 'index' AND s.name = i.name";
        for row in connection.query(sql, &[name.as_str().into()])? {
            if let [SqlValue::Text(index), root, partial] = row.as_slice() {
                let is_partial = *partial != SqlValue::Integer(0);
                indexes.push((name.clone(), index.clone(), number(root), is_partial));
            }
        }
    }
    Ok((tables, indexes))
}

fn read_table(
    connection: &mut Connection,
    name: &str,
    root: u32,
    has_rowid: bool,
) -> Result<TableState, DbError> {
    let sql = "SELECT name, type, pk, hidden, \
               EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk') \
               FROM pragma_table_xinfo(?1) ORDER BY cid";
    let mut table = TableState {
        name: name.to_owned(),
        root,
        shape: SCHEMA,
        columns: Vec::new(),
        key: Vec::new(),
        has_rowid,
        tree: Tree::default(),
        counted_by: None,
        entries: None,
        adopted: 0,
    };
    let (mut stored, mut alias, mut key) = (0, None, Vec::new());
    for row in connection.query(sql, &[name.into()])? {
        let [
            SqlValue::Text(column),
            SqlValue::Text(kind),
            pk,
            hidden,
            has_index,
        ] = row.as_slice()
        else {
            continue;
        };
        let (pk, hidden) = (number(pk), number(hidden));
        if pk > 0 {
            key.push((pk, column.clone()));
        }
        let is_rowid = pk == 1 && kind.eq_ignore_ascii_case("INTEGER");
        if has_rowid && is_rowid && *has_index == SqlValue::Integer(0) {
            alias = Some(stored);
        }
        // 2 is computed whenever it is asked for, 3 is computed and stored.
        stored += usize::from(hidden != 2);
        if hidden == 0 {
            table.columns.push(column.clone());
        }
    }
    key.sort();
    table.key = key.into_iter().map(|(_, column)| column).collect();
    table.shape = Shape {
        columns: stored,
        alias: alias.filter(|_| table.key.len() == 1),
    };
    Ok(table)
}

fn number(value: &SqlValue) -> u32 {
    match value {
        SqlValue::Integer(number) => u32::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}
