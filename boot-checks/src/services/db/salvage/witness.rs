//! What an index knows of the rows of its table.

use super::index_tree::IndexTree;
use super::own_key::OwnKey;
use super::rebuild::{integer, rowid_name};
use super::schema::IndexState;
use super::survey::TableState;
use crate::services::db::{Connection, DbError, quoted};

/// An index that is whole, with an entry for each row.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) index: String,
    /// The columns that it holds; none where it holds something else.
    pub(super) columns: Option<Vec<String>>,
    /// Entries on its pages, whatever SQLite reads of them.
    pub(super) entries: u64,
    /// Whether it is known that no two of them are of one row, where rows have no rowids.
    pub(super) names_each_key_once: bool,
}

impl Witness {
    pub(super) fn of(index: &IndexState, tree: &IndexTree) -> Witness {
        Witness {
            index: index.name.clone(),
            columns: index.columns.clone(),
            entries: tree.entries,
            names_each_key_once: tree.names_each_key_once(),
        }
    }
}

/// Entries of an index beside the rows of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    /// Entries, each of another row.
    pub(super) entries: u64,
    /// Entries whose row is not there.
    pub(super) without_row: u64,
    /// Entries whose row has other values.
    pub(super) other_values: u64,
    /// Rows without an entry.
    pub(super) without_entry: u64,
}

impl Agreement {
    /// Whether the index and the table say the same.
    pub(super) fn is_complete(&self) -> bool {
        self.without_row == 0 && self.other_values == 0 && self.without_entry == 0
    }

    /// How many rows there are not, where every row that is there is one that the index knows.
    pub(super) fn lost(&self) -> Option<u64> {
        (self.other_values == 0 && self.without_entry == 0).then_some(self.without_row)
    }
}

/// Compares the index as it stands in one attached database with the rows of the same table in another.
///
/// Safety: SQLite does not always read the index alone. Of an index that a `UNIQUE` in a table without rowids
/// makes, it looks each entry's row up in the index's own table, and passes over an entry whose row is not there.
/// So the entries on the index's pages are what counts: those that were passed over are of rows that are
/// not there either, as long as every row that is there has an entry that was read.
pub(super) fn compare(
    connection: &mut Connection,
    table: &TableState,
    witness: &Witness,
    index_in: &str,
    rows_in: &str,
) -> Result<Agreement, DbError> {
    let (name, index) = (quoted(&table.name), quoted(&witness.index));
    // Each part of the key with how it is compared.
    let (key, its_rows): (Vec<(String, String)>, String) = match rowid_name(table) {
        Some(rowid) => (
            vec![(rowid.to_owned(), String::new())],
            "NOT INDEXED".to_owned(),
        ),
        None if table.has_rowid => return Err(DbError::other("its rowids cannot be asked for")),
        None => {
            // Else the index might be asked about itself.
            let own = OwnKey::read(connection, &table.name, rows_in)?;
            let columns = own.columns.into_iter();
            let key = columns.map(|column| (column.name, column.collated));
            (key.collect(), own.indexed_by)
        }
    };
    let (key, collated): (Vec<String>, Vec<String>) = key.into_iter().unzip();
    let columns = witness.columns.as_deref().unwrap_or_default();
    let keys = numbered(&key, "gate_key_");
    let values = numbered(
        columns
            .iter()
            .map(|it| quoted(it))
            .collect::<Vec<_>>()
            .as_slice(),
        "gate_value_",
    );
    let selected: Vec<String> = keys
        .iter()
        .chain(&values)
        .map(|(column, as_name)| format!("{column} AS {as_name}"))
        .collect();
    let same_key: Vec<String> = keys
        .iter()
        .zip(&collated)
        .map(|((column, as_name), collated)| format!("r.{column} = e.{as_name} {collated}"))
        .collect();
    let differs: Vec<String> = values
        .iter()
        .map(|(column, as_name)| {
            format!("r.{column} COLLATE BINARY IS NOT e.{as_name} COLLATE BINARY")
        })
        .collect();
    let differs = if differs.is_empty() {
        "0".to_owned()
    } else {
        differs.join(" OR ")
    };
    let is_there = format!("r.{} IS NOT NULL", key[0]);
    let entries = format!(
        "SELECT {} FROM {index_in}.{name} INDEXED BY {index}",
        selected.join(", ")
    );
    let sql = format!(
        "SELECT count(*), total(NOT {is_there}), total({is_there} AND ({differs})) \
         FROM ({entries}) e LEFT JOIN {rows_in}.{name} r {its_rows} ON {}",
        same_key.join(" AND ")
    );
    let mut numbers = connection
        .query(&sql, &[])?
        .into_iter()
        .flatten()
        .map(|value| match value {
            crate::model::SqlValue::Real(number) => number as u64,
            value => integer(&value).unsigned_abs(),
        });
    let mut next = || numbers.next().unwrap_or_default();
    let (count, without_row, other_values) = (next(), next(), next());
    // With a plus: SQLite would otherwise take it for granted that no row has two entries.
    let names: Vec<String> = keys
        .iter()
        .zip(&collated)
        .map(|((_, as_name), collated)| format!("+{as_name} {collated}"))
        .collect();
    let sql = format!(
        "SELECT count(*) FROM (SELECT DISTINCT {} FROM ({entries}))",
        names.join(", ")
    );
    let distinct = integer(&connection.scalar(&sql)?).unsigned_abs();
    let sql = format!("SELECT count(*) FROM {rows_in}.{name} NOT INDEXED");
    let rows = integer(&connection.scalar(&sql)?).unsigned_abs();
    // Two entries of one row are one entry too many, whichever it is.
    let mut doubled = count - distinct;
    let Some(passed_over) = witness.entries.checked_sub(count) else {
        return Err(DbError::other("more was read of it than its pages hold"));
    };
    if passed_over > 0 && !witness.names_each_key_once {
        // How many rows they are of is not known.
        doubled += 1;
    }
    Ok(Agreement {
        entries: distinct + passed_over,
        without_row: without_row + passed_over,
        other_values: other_values + doubled,
        without_entry: rows.saturating_sub(count - without_row),
    })
}

/// Names that no column has.
fn numbered(columns: &[String], prefix: &str) -> Vec<(String, String)> {
    let numbers = columns.iter().enumerate();
    numbers
        .map(|(number, column)| (column.clone(), format!("\"{prefix}{number}\"")))
        .collect()
}

/// How many rows of a table without rowids cannot be found by their own key, or have the key of another:
/// their pages do not stand where their keys say.
pub(super) fn out_of_place(
    connection: &mut Connection,
    table: &TableState,
) -> Result<u64, DbError> {
    let name = quoted(&table.name);
    let own = OwnKey::read(connection, &table.name, "main")?;
    let by_key = &own.indexed_by;
    let same: Vec<String> = own
        .columns
        .iter()
        .map(|column| format!("there.{0} = here.{0} {1}", column.name, column.collated))
        .collect();
    let sql = format!(
        "SELECT count(*) FROM main.{name} here {by_key} WHERE NOT EXISTS \
         (SELECT 1 FROM main.{name} there {by_key} WHERE {})",
        same.join(" AND ")
    );
    let astray = integer(&connection.scalar(&sql)?).unsigned_abs();
    let sql = format!(
        "SELECT (SELECT count(*) FROM main.{name} NOT INDEXED) - \
         (SELECT count(*) FROM (SELECT DISTINCT {} FROM main.{name} {by_key}))",
        own.distinct()
    );
    let doubled = integer(&connection.scalar(&sql)?).unsigned_abs();
    Ok(astray + doubled)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::services::db::Access;
    use crate::services::db::salvage::image::Missing;
    use crate::services::db::salvage::pages::Pages;
    use crate::services::db::salvage::schema;
    use crate::services::db::salvage::tree::Walker;

    /// SQLite takes it for granted that each entry of an index is of another row.
    #[test]
    fn two_entries_of_one_row_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t (x || '');
                   INSERT INTO t VALUES (5, 'one'), (6, 'two')";
        connection.execute(sql).unwrap();
        connection.close();
        let mut bytes = std::fs::read(&path).unwrap();
        // The record of an entry: its length, the types of a text and of a byte, and both.
        let entry = b"\x03\x13\x01two\x06";
        let at = bytes.windows(entry.len()).position(|it| it == entry);
        bytes[at.unwrap() + entry.len() - 1] = 5;
        std::fs::write(&path, bytes).unwrap();
        let trees = schema::read(&path).unwrap();
        let witness = Witness {
            index: "i".to_owned(),
            columns: None,
            entries: 2,
            names_each_key_once: false,
        };
        let mut connection = Connection::open(&path, Access::ReadOnly, Duration::ZERO).unwrap();
        let agreement = compare(&mut connection, &trees.tables[0], &witness, "main", "main");
        connection.close();
        let seen = Agreement {
            entries: 1,
            without_row: 0,
            other_values: 1,
            without_entry: 0,
        };
        assert_eq!(agreement, Ok(seen));
    }

    /// The older one of the table's only page in its place, beside an index that knows two rows more.
    fn beside_an_older_page(table: &str, change_entry: bool) -> Agreement {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path, Access::Create, Duration::ZERO).unwrap();
        let sql = format!(
            "PRAGMA page_size = 4096; CREATE TABLE t {table} WITHOUT ROWID; INSERT INTO t VALUES ('a', 1)"
        );
        connection.execute(&sql).unwrap();
        let trees = schema::read(&path).unwrap();
        let root = trees.tables[0].root as usize;
        let page = (root - 1) * 4096..root * 4096;
        let old = std::fs::read(&path).unwrap()[page.clone()].to_vec();
        let sql = "INSERT INTO t VALUES ('b', 2), ('c', 3)";
        connection.execute(sql).unwrap();
        connection.close();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[page].copy_from_slice(&old);
        if change_entry {
            // The record of an entry: its length, the types of a byte and of a text, and both.
            let entry = b"\x03\x01\x0f\x03c";
            let at = bytes.windows(entry.len()).position(|it| it == entry);
            bytes[at.unwrap() + entry.len() - 1] = b'b';
        }
        std::fs::write(&path, bytes).unwrap();
        let missing = Missing::default();
        let pages = Pages::open(&path).unwrap();
        let mut walker = Walker::new(&pages, &missing);
        let is_it = |index: &&IndexState| index.root != trees.tables[0].root;
        let index = trees.indexes.iter().find(is_it).unwrap();
        let tree = walker.index(index.root, index.entry(false)).unwrap();
        let witness = Witness::of(index, &tree);
        let mut connection = Connection::open(&path, Access::ReadOnly, Duration::ZERO).unwrap();
        let agreement = compare(&mut connection, &trees.tables[0], &witness, "main", "main");
        connection.close();
        agreement.unwrap()
    }

    /// Two rows are missing, whichever way SQLite goes through the index.
    #[test]
    fn entries_that_sqlite_passes_over_are_seen() {
        for table in [
            "(n TEXT PRIMARY KEY, v INT UNIQUE)",
            "(n TEXT PRIMARY KEY, v INT, UNIQUE (v))",
            "(n TEXT COLLATE NOCASE PRIMARY KEY, v INT, UNIQUE (v))",
        ] {
            let agreement = beside_an_older_page(table, false);
            assert_eq!(agreement.lost(), Some(2), "{table}: {agreement:?}");
            assert!(!agreement.is_complete(), "{table}: {agreement:?}");
        }
    }

    #[test]
    fn of_two_entries_of_one_missing_row_no_number_is_known() {
        let agreement = beside_an_older_page("(n TEXT PRIMARY KEY, v INT UNIQUE)", true);
        assert_eq!(agreement.lost(), None, "{agreement:?}");
    }
}
