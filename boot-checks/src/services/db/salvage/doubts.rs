//! What speaks against it that the tables as they are hold every row that there was.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::SalvageError;
use super::sound::Hole;
use super::survey::{Index, Stray, Survey, TableState};
use super::tree::Walker;
use super::witness::{Witness, compare, out_of_place};
use crate::services::db::{Access, Connection};

/// Each index that is whole, beside the rows of a table all of whose pages hold. Where an index knows of
/// rows that the table does not lead to, the table has a hole somewhere.
pub(super) fn ask_indexes(
    image: &Path,
    tables: &mut [TableState],
    indexes: &[Index],
) -> Result<(), SalvageError> {
    let mut connection = Connection::open(image, Access::ReadOnly, Duration::ZERO)?;
    for table in tables.iter_mut().filter(|table| table.is_reached()) {
        let rowids = table.tree.rowids();
        for index in indexes {
            if index.state.table == table.name {
                ask(&mut connection, table, &rowids, index);
            }
        }
        if !table.has_rowid {
            let doubt = match out_of_place(&mut connection, table) {
                Ok(0) => None,
                Ok(_) => Some("has rows that do not stand where their keys say".to_owned()),
                Err(error) => Some(format!("could not be asked by its key: {error}")),
            };
            table.may_lack = table.may_lack.take().or(doubt);
        }
    }
    connection.close();
    Ok(())
}

fn ask(connection: &mut Connection, table: &mut TableState, rowids: &[i64], index: &Index) {
    let name = &index.state.name;
    // Of an index that is damaged elsewhere, or that knows only some rows, the pages that hold.
    let is_unknown = |rowid: &&i64| rowids.binary_search(rowid).is_err();
    let unknown = index.tree.rowids.iter().filter(is_unknown).count();
    let doubt = if unknown > 0 || index.tree.strangers > 0 {
        let entries = unknown as u64 + index.tree.strangers;
        Some(format!(
            "index {name} has {entries} entries of rows that it does not lead to"
        ))
    } else if index.tree.is_whole() && !index.state.is_partial {
        let witness = Witness::of(&index.state, &index.tree);
        match compare(connection, table, &witness, "main", "main") {
            Ok(agreement) if agreement.is_complete() => None,
            Ok(it) => Some(format!(
                "index {name} does not know {} rows as they are, and nothing says which of both is older",
                it.without_row + it.other_values + it.without_entry
            )),
            Err(error) => Some(format!("index {name} could not be asked: {error}")),
        }
    } else {
        None
    };
    let Some(doubt) = doubt else { return };
    if unknown > 0 && index.tree.is_whole() {
        // What it has lost may be anywhere, on pages that nothing has.
        table.known = Some(index.tree.rowids.iter().copied().collect());
        table.tree.holes.push(Hole {
            low: i128::from(i64::MIN) - 1,
            high: i128::from(i64::MAX),
            rows_max: None,
            page: table.root,
            is_elsewhere: true,
            is_foreign: false,
        });
    }
    // Both hold as they are: it may be the index that is not its own.
    table.is_disputed = true;
    table.may_lack.get_or_insert(doubt);
}

/// Pages of an index whose upper pages are damaged: nothing leads to them, and every entry on them is of
/// a row of its table that no other of its entries is of.
pub(super) fn explain_by_indexes(
    walker: &mut Walker<'_>,
    tables: &[TableState],
    indexes: &[Index],
) -> Result<(), SalvageError> {
    for index in indexes.iter().filter(|index| !index.tree.is_whole()) {
        let table = tables.iter().find(|table| table.name == index.state.table);
        let Some(table) = table.filter(|table| table.has_rowid && table.is_whole()) else {
            continue;
        };
        let mut open: HashSet<i64> = table.tree.rowids().into_iter().collect();
        for rowid in &index.tree.rowids {
            open.remove(rowid);
        }
        for number in walker.without_place() {
            let entry = index.state.entry(true);
            let Some(rowids) = walker.stray_entries(number, entry)? else {
                continue;
            };
            if rowids.iter().all(|rowid| open.contains(rowid)) {
                rowids.iter().for_each(|rowid| {
                    open.remove(rowid);
                });
                walker.used[number as usize] = true;
            }
        }
    }
    Ok(())
}

impl Survey {
    /// Writes down, of every table and of the whole, why it is not certain.
    pub(super) fn doubt(
        &mut self,
        walker: &Walker<'_>,
        indexes: &[Index],
    ) -> Result<(), SalvageError> {
        let astray = indexes.iter().map(|it| it.tree.tables.len()).sum::<usize>();
        if astray > 0 {
            self.doubts
                .push(format!("{astray} pages of a table's rows stand in indexes"));
        }
        let is_explained = self.tables.iter().any(|table| !table.is_reached());
        let strays = std::mem::take(&mut self.strays);
        if !strays.is_empty() && !is_explained {
            let pages = strays.len();
            self.doubts.push(format!(
                "nothing leads to {pages} pages, and nothing says that they are free"
            ));
        }
        let lost_writes = self.tells_of_lost_writes(&strays, indexes);
        let mut uncounted = 0;
        for table in &mut self.tables {
            if table.may_lack.is_some() || !table.is_reached() {
                continue;
            }
            let is_counted = |it: &Witness| it.columns.is_some();
            if lost_writes && !table.witness.as_ref().is_some_and(is_counted) {
                table.is_uncounted = true;
                uncounted += 1;
                continue;
            }
            let own = astray > 0 || any_fits(walker, table, &strays, indexes)?;
            if own || (!strays.is_empty() && !is_explained) {
                let words = "may have had rows on pages that nothing leads to";
                table.may_lack = Some(words.to_owned());
            }
        }
        if uncounted > 0 {
            self.doubts.push(format!(
                "some pages are older than others: of {uncounted} tables that no index counts nothing says \
                 whether they lost rows too"
            ));
        }
        self.strays = strays;
        Ok(())
    }
}

impl Survey {
    /// Whether a page holds, and not in its place or not beside the others: then it was not damaged, but
    /// a write was lost or went elsewhere, and of no other page it is certain that its own was not.
    fn tells_of_lost_writes(&self, strays: &[Stray], indexes: &[Index]) -> bool {
        let is_old = |table: &TableState| {
            table.may_lack.is_some()
                || table.rows.as_ref().is_some_and(|rows| rows.is_crossed)
                || table
                    .tree
                    .holes
                    .iter()
                    .any(|it| it.is_elsewhere || it.is_foreign)
        };
        self.tables.iter().any(is_old)
            || strays.iter().any(|stray| stray.is_table)
            || indexes.iter().any(|index| !index.tree.tables.is_empty())
    }
}

/// Whether a page that nothing leads to may be one of this table's.
fn any_fits(
    walker: &Walker<'_>,
    table: &TableState,
    strays: &[Stray],
    indexes: &[Index],
) -> Result<bool, SalvageError> {
    if !table.has_rowid {
        return Ok(strays.iter().any(|stray| stray.is_index)
            || indexes.iter().any(|index| index.tree.strangers > 0));
    }
    for stray in strays.iter().filter(|stray| stray.is_table) {
        if walker.orphan(stray.number, table.shape)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
