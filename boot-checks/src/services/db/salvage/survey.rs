use std::collections::HashSet;

use super::SalvageError;
use super::adopt::adopt;
use super::doubts;
use super::entry::EntryShape;
use super::image::Image;
use super::index_tree::IndexTree;
use super::node::NodeKind;
use super::pages::{Pages, u32_at};
use super::schema::{self, IndexState, SCHEMA, Trees};
use super::sound::{Shape, Tree};
use super::tree::Walker;
use super::witness::Witness;

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
    /// Of a table with rowids.
    pub(super) tree: Tree,
    /// Of a table without.
    pub(super) rows: Option<Keyed>,
    /// A whole index with an entry for each row.
    pub(super) witness: Option<Witness>,
    /// The rowids that it names, where the table has lost some.
    pub(super) known: Option<HashSet<i64>>,
    /// Why it may have had other rows, although every page that it leads to holds.
    pub(super) may_lack: Option<String>,
    /// Whether writes of this file were lost, and no index says that none of this table's was.
    pub(super) is_uncounted: bool,
    /// Whether an index alone says so: it may be the one that was not written.
    pub(super) is_disputed: bool,
    pub(super) adopted: usize,
}

/// The rows of a table without rowids.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    /// On pages that hold.
    pub(super) count: u64,
    /// Pages that do not.
    pub(super) damaged: Vec<u32>,
    /// Whether it leads to a page of something else, or to none.
    pub(super) is_crossed: bool,
}

impl TableState {
    /// Whether every page that it leads to was reached and holds.
    pub(super) fn is_reached(&self) -> bool {
        match &self.rows {
            Some(rows) => rows.damaged.is_empty() && !rows.is_crossed,
            None => self.tree.holes.is_empty(),
        }
    }

    /// What a row of a table without rowids looks like.
    pub(super) fn entry(&self) -> EntryShape {
        EntryShape {
            fields_min: self.key.len(),
            fields_max: self.shape.columns,
            ends_in_rowid: false,
            key: None,
        }
    }

    /// Whether what was reached is known to be all there was.
    pub(super) fn is_whole(&self) -> bool {
        self.is_reached() && self.may_lack.is_none() && !self.is_uncounted
    }
}

/// A page that nothing has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stray {
    pub(super) number: u32,
    /// Whether it is a sound page of a table, with something on it.
    pub(super) is_table: bool,
    /// Whether it is a sound page of an index or of a table without rowids, with something on it.
    pub(super) is_index: bool,
}

/// Every table of an image, with what can be reached of it.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) tables: Vec<TableState>,
    pub(super) indexes: Vec<Index>,
    /// Whether some of the names of tables may be lost.
    pub(super) schema_is_damaged: bool,
    /// Rows on pages that no table has for certain.
    pub(super) unassigned: u64,
    /// Pages that may have held rows and belong to nothing.
    pub(super) strays: Vec<Stray>,
    /// Whether it is known that there were no other pages.
    pub(super) length_is_known: bool,
    pub(super) rows_per_page: u64,
    /// Why it is not certain that the tables are all that there was.
    pub(super) doubts: Vec<String>,
}

/// An index with what was found of it.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) state: IndexState,
    pub(super) tree: IndexTree,
}

/// What SQLite makes anew has the shape that SQLite gives it.
const ANY: Shape = Shape {
    columns: usize::MAX,
    alias: None,
};

impl Survey {
    /// Goes through all trees. Where the table of tables is damaged, the image gets a sound one first.
    pub(super) fn of(image: &Image) -> Result<Survey, SalvageError> {
        let length_is_known = image.length_is_known;
        let (missing, image) = (&image.missing, image.path.as_path());
        let mut pages = Pages::open(image)?;
        let schema = Walker::new(&pages, missing).table(1, SCHEMA)?;
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
        let Trees {
            mut tables,
            indexes,
            statistics,
        } = schema::read(image)?;
        let mut walker = Walker::new(&pages, missing);
        mark_pointer_maps(&mut walker)?;
        walker.table(1, SCHEMA)?;
        walk_tables(&mut walker, &mut tables)?;
        let mut doubts = Vec::new();
        for root in statistics {
            if !walker.table(root, ANY)?.holes.is_empty() {
                doubts.push("what SQLite knows of the tables' sizes is damaged".to_owned());
            }
        }
        let indexes = walk_indexes(&mut walker, &mut tables, indexes)?;
        doubts::ask_indexes(image, &mut tables, &indexes)?;
        let free_is_known = walker.free_list()?;
        if free_is_known {
            adopt(&mut walker, &mut tables)?;
        }
        doubts::explain_by_indexes(&mut walker, &tables, &indexes)?;
        let strays = strays(&walker)?;
        // A page that is free still looks as it did before its rows were deleted.
        let unassigned = match free_is_known {
            true => claimed_rows(&walker, &strays)?,
            false => 0,
        };
        let mut survey = Survey {
            tables,
            indexes: Vec::new(),
            schema_is_damaged,
            unassigned,
            strays,
            length_is_known,
            rows_per_page: walker.rows_per_page(),
            doubts,
        };
        survey.doubt(&walker, &indexes)?;
        survey.indexes = indexes;
        Ok(survey)
    }

    /// Whether every row that there was is proven to be in the tables as they are.
    ///
    /// Safety: every page of the file has its place: once in the tree of one table or index, or it is
    /// proven to be free. Every page of every table adds up to its last byte, and its rows stand in the
    /// order of their keys, within the bounds of the pages above. Every index that is whole has, for each
    /// of its entries, a row with these values. Damage is then nowhere but in what holds no rows.
    pub(super) fn is_whole(&self) -> bool {
        !self.schema_is_damaged
            && self.doubts.is_empty()
            && self.strays.is_empty()
            && self.tables.iter().all(TableState::is_whole)
    }
}

fn walk_tables(walker: &mut Walker<'_>, tables: &mut [TableState]) -> Result<(), SalvageError> {
    for table in tables {
        if table.has_rowid {
            table.tree = walker.table(table.root, table.shape)?;
            continue;
        }
        let tree = walker.index(table.root, table.entry())?;
        table.rows = Some(Keyed {
            count: tree.entries,
            is_crossed: tree.is_crossed || tree.strangers > 0,
            damaged: tree.damaged,
        });
    }
    Ok(())
}

fn walk_indexes(
    walker: &mut Walker<'_>,
    tables: &mut [TableState],
    indexes: Vec<IndexState>,
) -> Result<Vec<Index>, SalvageError> {
    let mut walked = Vec::new();
    for state in indexes {
        let Some(table) = tables.iter_mut().find(|table| table.name == state.table) else {
            continue;
        };
        let tree = walker.index(state.root, state.entry(table.has_rowid))?;
        if tree.is_whole() && !state.is_partial {
            let witness = Witness::of(&state, &tree);
            // The one that says more of a row than its rowid.
            if table.witness.as_ref().is_none_or(|it| it.columns.is_none()) {
                table.witness = Some(witness);
                if !table.is_reached() {
                    table.known = Some(tree.rowids.iter().copied().collect());
                }
            }
        }
        walked.push(Index { state, tree });
    }
    Ok(walked)
}

fn strays(walker: &Walker<'_>) -> Result<Vec<Stray>, SalvageError> {
    let mut strays = Vec::new();
    for number in walker.without_place() {
        let page = walker.pages.read(number)?;
        let kind = walker
            .sound(number, &page)
            .filter(|node| !node.cells.is_empty())
            .map(|node| node.kind);
        strays.push(Stray {
            number,
            is_table: matches!(kind, Some(NodeKind::TableLeaf | NodeKind::TableInterior)),
            is_index: matches!(kind, Some(NodeKind::IndexLeaf | NodeKind::IndexInterior)),
        });
    }
    Ok(strays)
}

fn claimed_rows(walker: &Walker<'_>, strays: &[Stray]) -> Result<u64, SalvageError> {
    let mut rows = 0;
    for stray in strays {
        rows += walker.claimed_rows(stray.number)?;
    }
    Ok(rows)
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
