//! Every row of every table, to be compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection, DbError, quoted};

/// What was acknowledged: the rows of each table, by the columns that it had.
pub(crate) struct Rows(Vec<Table>);

/// How many rows of which table are no longer there.
pub(crate) type Missing = BTreeMap<String, u64>;

struct Table {
    name: String,
    columns: String,
    rows: BTreeMap<String, usize>,
}

impl Rows {
    pub(crate) fn read(path: &Path) -> Rows {
        let mut connection = open(path);
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'
                   AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> '_sqlx_migrations'";
        let names = connection.query(sql, &[]).unwrap();
        let mut tables = Vec::new();
        for name in names.iter().map(|row| text(&row[0])) {
            let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";
            let columns = connection.query(sql, &[name.as_str().into()]).unwrap();
            let columns: Vec<String> = columns.iter().map(|row| quoted(&text(&row[0]))).collect();
            let columns = columns.join(", ");
            let rows = rows(&mut connection, &name, &columns).unwrap();
            tables.push(Table {
                name,
                columns,
                rows,
            });
        }
        connection.close();
        Rows(tables)
    }

    /// Of a database that never was.
    pub(crate) fn none() -> Rows {
        Rows(Vec::new())
    }

    /// Which of them are no longer in a database that is whole; a table may have got more.
    pub(crate) fn missing(&self, path: &Path) -> Result<Missing, String> {
        if self.0.is_empty() && !path.exists() {
            return Ok(Missing::new());
        }
        let opened = Connection::open(path, Access::ReadWrite, Duration::ZERO);
        let mut connection = opened.map_err(|error| error.to_string())?;
        let missing = self.missing_in(&mut connection);
        let check = connection.scalar("PRAGMA integrity_check");
        connection.close();
        match check {
            Ok(SqlValue::Text(word)) if word == "ok" => missing,
            // Nothing else is wrong; all of its rows are missing then.
            Err(DbError::Other { message, .. }) if is_unopened(&message) => missing,
            other => Err(format!("integrity_check: {other:?}")),
        }
    }

    fn missing_in(&self, connection: &mut Connection) -> Result<Missing, String> {
        let mut missing = Missing::new();
        for table in &self.0 {
            let is_there = table.is_in(connection)?;
            let now = match is_there {
                true => rows(connection, &table.name, &table.columns),
                false => Ok(BTreeMap::new()),
            };
            let now = match now {
                Err(message) if is_unopened(&message) => BTreeMap::new(),
                now => now?,
            };
            let gone = table.rows.iter().map(|(row, number)| {
                let found = now.get(row).copied().unwrap_or_default();
                number.saturating_sub(found) as u64
            });
            match gone.sum() {
                0 if is_there => {}
                gone => drop(missing.insert(table.name.clone(), gone)),
            }
        }
        Ok(missing)
    }
}

impl Table {
    fn is_in(&self, connection: &mut Connection) -> Result<bool, String> {
        let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        let found = connection.query(sql, &[self.name.as_str().into()]);
        found
            .map(|rows| !rows.is_empty())
            .map_err(|error| error.to_string())
    }
}

/// Whether a virtual table lacks what it keeps in tables of its own: its rows count as gone then.
fn is_unopened(message: &str) -> bool {
    message.contains("vtable constructor failed") || message.contains("invalid fts5 file format")
}

fn open(path: &Path) -> Connection {
    Connection::open(path, Access::ReadWrite, Duration::ZERO).unwrap()
}

fn rows(
    connection: &mut Connection,
    table: &str,
    columns: &str,
) -> Result<BTreeMap<String, usize>, String> {
    let sql = format!("SELECT {columns} FROM {}", quoted(table));
    let rows = connection
        .query(&sql, &[])
        .map_err(|error| format!("{table:?} cannot be read: {error}"))?;
    let mut counted = BTreeMap::new();
    for row in rows {
        *counted.entry(format!("{row:?}")).or_default() += 1;
    }
    Ok(counted)
}

fn text(value: &SqlValue) -> String {
    match value {
        SqlValue::Text(text) => text.clone(),
        other => panic!("no name: {other:?}"),
    }
}
