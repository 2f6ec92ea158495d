//! Databases with a page of something else, and what a salvage makes of them.

use std::path::Path;
use std::time::Duration;

use boot_checks::model::SqlValue;
use boot_checks::services::db::salvage::{SalvageError, Salvaged, salvage};
use boot_checks::services::db::{Access, Connection};

/// The number of the page that a table or an index begins with.
pub(crate) fn root_page(path: &Path, name: &str) -> usize {
    let mut connection = Connection::open(path, Access::ReadOnly, Duration::ZERO).unwrap();
    let sql = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'");
    let root = connection.scalar(&sql);
    connection.close();
    match root {
        Ok(SqlValue::Integer(root)) => usize::try_from(root).unwrap(),
        other => panic!("{name}: {other:?}"),
    }
}

/// Fills the page that a table or an index begins with.
pub(crate) fn fill_root_page(path: &Path, name: &str, page_size: usize) {
    let end = root_page(path, name) * page_size;
    let mut bytes = std::fs::read(path).unwrap();
    bytes[end - page_size..end].fill(0xee);
    std::fs::write(path, bytes).unwrap();
}

/// A salvage without a backup to take anything from.
pub(crate) fn salvaged(path: &Path, work: &Path) -> Result<Salvaged, SalvageError> {
    salvage(path, &|| Ok(Box::new(std::iter::empty())), work)
}
