//! Every row of every table, to be compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection, quoted};

/// What was acknowledged: the rows of each table, by the columns that it had.
pub(crate) struct Rows(Vec<Table>);

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

    /// Whether each of them is still there; a table may have got more.
    pub(crate) fn are_all_in(&self, path: &Path) -> Result<(), String> {
        let mut connection = open(path);
        for table in &self.0 {
            let now = rows(&mut connection, &table.name, &table.columns)?;
            for (row, number) in &table.rows {
                if now.get(row).is_none_or(|found| found < number) {
                    return Err(format!("{:?} lost {row}", table.name));
                }
            }
        }
        let check = connection.scalar("PRAGMA integrity_check");
        connection.close();
        match check {
            Ok(SqlValue::Text(word)) if word == "ok" => Ok(()),
            other => Err(format!("integrity_check: {other:?}")),
        }
    }
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
