//! How the rows of a table without rowids are read from the table itself.
//!
//! SQLite may read such a table's columns from any index that holds them all, and `NOT INDEXED` does not
//! keep it from that: the table is an index itself. Told to use the index of the primary key, it reads the
//! table. Only a bare `count(*)` is the other way round: it goes by the smallest index whatever it is told,
//! unless that is `NOT INDEXED`.
//!
//! Safety: what is said of a table's rows is then never what a damaged index says.

use crate::model::SqlValue;
use crate::services::db::{Connection, DbError, quoted};

/// What a table without rowids is ordered by.
#[derive(Debug)]
pub(super) struct OwnKey {
    /// To stand behind the table's name.
    pub(super) indexed_by: String,
    pub(super) columns: Vec<KeyColumn>,
}

/// A part of it.
#[derive(Debug)]
pub(super) struct KeyColumn {
    /// Quoted.
    pub(super) name: String,
    /// How two values of it are compared, as `COLLATE x`: not always as the column's own are.
    pub(super) collated: String,
    is_descending: bool,
}

impl OwnKey {
    pub(super) fn read(
        connection: &mut Connection,
        table: &str,
        schema: &str,
    ) -> Result<OwnKey, DbError> {
        let sql = "SELECT name FROM pragma_index_list(?1, ?2) WHERE origin = 'pk'";
        let own = connection.query(sql, &[table.into(), schema.into()])?;
        let Some(SqlValue::Text(index)) = own.into_iter().flatten().next() else {
            return Err(DbError::other("its key has no name"));
        };
        let sql =
            "SELECT name, coll, \"desc\" FROM pragma_index_xinfo(?1, ?2) WHERE key ORDER BY seqno";
        let rows = connection.query(sql, &[index.as_str().into(), schema.into()])?;
        let columns = rows.iter().filter_map(|row| match row.as_slice() {
            [SqlValue::Text(name), SqlValue::Text(collation), descending] => Some(KeyColumn {
                name: quoted(name),
                collated: format!("COLLATE {}", quoted(collation)),
                is_descending: *descending != SqlValue::Integer(0),
            }),
            _ => None,
        });
        Ok(OwnKey {
            indexed_by: format!("INDEXED BY {}", quoted(&index)),
            columns: columns.collect(),
        })
    }

    /// The order in which the rows stand, or from the last one to the first: any other would have to read
    /// all of them before it could answer with one.
    pub(super) fn order(&self, is_backwards: bool) -> String {
        let terms = self.columns.iter().map(|column| {
            let direction = match column.is_descending == is_backwards {
                true => "ASC",
                false => "DESC",
            };
            format!("{} {} {direction}", column.name, column.collated)
        });
        terms.collect::<Vec<_>>().join(", ")
    }

    /// The whole key; with a plus before each column, so that SQLite does not take it for granted that no
    /// key is there twice.
    pub(super) fn distinct(&self) -> String {
        let terms = self.columns.iter();
        let terms = terms.map(|column| format!("+{} {}", column.name, column.collated));
        terms.collect::<Vec<_>>().join(", ")
    }
}
