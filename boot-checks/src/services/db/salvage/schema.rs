//! What the table of tables says: which trees there are, and what their rows have to look like.

use std::path::Path;
use std::time::Duration;

use super::SalvageError;
use super::entry::EntryShape;
use super::entry_key::KeyFields;
use super::sound::{Shape, Tree};
use super::survey::TableState;
use crate::model::SqlValue;
use crate::services::db::{Access, Connection, DbError};

/// `sqlite_schema` itself.
pub(super) const SCHEMA: Shape = Shape {
    columns: 5,
    alias: None,
};

/// An index, before any of its pages is looked at.
#[derive(Clone, Debug)]
pub(super) struct IndexState {
    pub(super) table: String,
    pub(super) name: String,
    pub(super) root: u32,
    /// Whether some rows have no entry.
    pub(super) is_partial: bool,
    /// The columns that it holds, where it holds nothing else of a row than columns.
    pub(super) columns: Option<Vec<String>>,
    /// Values of an entry, that which names its row included.
    pub(super) fields: usize,
    /// Which of them are the key of a row without a rowid.
    pub(super) key: Option<KeyFields>,
}

/// Every tree of a database.
#[derive(Debug)]
pub(super) struct Trees {
    pub(super) tables: Vec<TableState>,
    pub(super) indexes: Vec<IndexState>,
    /// First pages of tables that SQLite makes anew when it is asked to.
    pub(super) statistics: Vec<u32>,
}

pub(super) fn read(image: &Path) -> Result<Trees, SalvageError> {
    let mut connection = Connection::open(image, Access::ReadOnly, Duration::ZERO)?;
    let read = read_trees(&mut connection);
    connection.close();
    read.map_err(|error| {
        SalvageError::Nothing(format!("the names of its tables cannot be read: {error}"))
    })
}

fn read_trees(connection: &mut Connection) -> Result<Trees, DbError> {
    let mut tables = Vec::new();
    let mut indexes = Vec::new();
    let mut statistics = Vec::new();
    let sql = "SELECT s.name, s.rootpage, l.wr, s.name LIKE 'sqlite\\_stat%' ESCAPE '\\' \
               FROM sqlite_schema s, pragma_table_list l \
               WHERE s.type = 'table' AND s.rootpage > 0 AND l.schema = 'main' AND l.name = s.name \
               ORDER BY s.name";
    for row in connection.query(sql, &[])? {
        let [SqlValue::Text(name), root, without_rowid, is_statistics] = row.as_slice() else {
            continue;
        };
        if *is_statistics != SqlValue::Integer(0) {
            statistics.push(number(root));
            continue;
        }
        let has_rowid = *without_rowid == SqlValue::Integer(0);
        tables.push(read_table(connection, name, number(root), has_rowid)?);
        indexes.extend(read_indexes(connection, name, has_rowid)?);
    }
    Ok(Trees {
        tables,
        indexes,
        statistics,
    })
}

fn read_indexes(
    connection: &mut Connection,
    table: &str,
    has_rowid: bool,
) -> Result<Vec<IndexState>, DbError> {
    let sql = "SELECT i.name, s.rootpage, i.partial FROM pragma_index_list(?1) i, sqlite_schema s \
               WHERE s.type = 'index' AND s.name = i.name";
    let mut indexes = Vec::new();
    for row in connection.query(sql, &[table.into()])? {
        let [SqlValue::Text(name), root, partial] = row.as_slice() else {
            continue;
        };
        let sql = "SELECT cid, name, key FROM pragma_index_xinfo(?1)";
        let fields = connection.query(sql, &[name.as_str().into()])?;
        let keys = fields.iter().filter_map(|field| match field.as_slice() {
            [SqlValue::Integer(-1), ..] | [_, _, SqlValue::Integer(0)] => None,
            [_, SqlValue::Text(column), _] => Some(Some(column.clone())),
            _ => Some(None),
        });
        indexes.push(IndexState {
            table: table.to_owned(),
            name: name.clone(),
            root: number(root),
            is_partial: *partial != SqlValue::Integer(0),
            columns: keys.collect(),
            fields: fields.len(),
            key: match has_rowid {
                true => None,
                false => read_key(connection, table, name)?,
            },
        });
    }
    Ok(indexes)
}

/// Where the parts of a table's own key stand in the entries of one of its indexes.
fn read_key(
    connection: &mut Connection,
    table: &str,
    index: &str,
) -> Result<Option<KeyFields>, DbError> {
    let sql = "SELECT (SELECT min(f.seqno) FROM pragma_index_xinfo(?2) f \
               WHERE f.cid = k.cid AND f.coll = k.coll COLLATE NOCASE), k.coll \
               FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) k \
               WHERE l.origin = 'pk' AND k.key";
    let rows = connection.query(sql, &[table.into(), index.into()])?;
    let parts = rows.iter().map(|row| match row.as_slice() {
        [SqlValue::Integer(place), SqlValue::Text(collation)] => {
            (u32::try_from(*place).ok(), collation.as_str())
        }
        _ => (None, ""),
    });
    Ok(KeyFields::of(&parts.collect::<Vec<_>>()))
}

impl IndexState {
    /// What an entry of it looks like.
    pub(super) fn entry(&self, table_has_rowid: bool) -> EntryShape {
        EntryShape {
            fields_min: self.fields,
            fields_max: self.fields,
            ends_in_rowid: table_has_rowid,
            key: self.key,
        }
    }
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
        rows: None,
        witness: None,
        known: None,
        may_lack: None,
        is_uncounted: false,
        is_disputed: false,
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
