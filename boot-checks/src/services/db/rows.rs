use std::collections::BTreeMap;

use super::{Connection, DbError, quoted};
use crate::model::SqlValue;

/// Rows of each table by its name; none where they cannot be counted, because of damage or because the
/// table is made by a module that is not there.
///
/// # Errors
///
/// When not even the names of the tables can be read.
pub fn count_rows(connection: &mut Connection) -> Result<BTreeMap<String, Option<u64>>, DbError> {
    let names = connection.query(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        &[],
    )?;
    let mut rows = BTreeMap::new();
    for row in names {
        let Some(SqlValue::Text(name)) = row.into_iter().next() else {
            continue;
        };
        let counted = connection.scalar(&format!("SELECT count(*) FROM {}", quoted(&name)));
        let count = match counted {
            Ok(SqlValue::Integer(count)) => u64::try_from(count).ok(),
            _ => None,
        };
        rows.insert(name, count);
    }
    Ok(rows)
}
