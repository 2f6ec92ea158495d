//! What a database says of itself besides its tables, carried into a new file.

use std::time::Duration;

use super::SalvageError;
use super::image::Image;
use super::pages::{Pages, u32_at};
use super::rebuild::{attach, integer};
use crate::model::SqlValue;
use crate::services::db::{Access, Connection, DbError, quoted};

/// A new database as the old one was set up, before anything is in it.
pub(super) fn prepare(connection: &mut Connection, image: &Image) -> Result<(), SalvageError> {
    // Asked of the file by itself: only databases of one encoding can be attached to each other.
    let mut damaged = Connection::open(&image.path, Access::ReadOnly, Duration::ZERO)?;
    let mut setting = |name: &str| damaged.scalar(&format!("PRAGMA {name}"));
    let settings = ["page_size", "auto_vacuum", "user_version", "application_id"].map(&mut setting);
    let encoding = setting("encoding");
    damaged.close();
    let [page_size, auto_vacuum, user_version, application_id] = settings;
    let page_size = integer(&page_size?);
    let auto_vacuum = integer(&auto_vacuum?);
    let user_version = integer(&user_version?);
    let application_id = integer(&application_id?);
    let encoding = match encoding? {
        SqlValue::Text(encoding) => encoding,
        _ => "UTF-8".to_owned(),
    };
    let cache = match default_cache_size(image)? {
        0 => String::new(),
        pages => format!("PRAGMA default_cache_size = {};", pages.unsigned_abs()),
    };
    connection.execute(&format!(
        "PRAGMA page_size = {page_size}; PRAGMA encoding = '{encoding}';
         PRAGMA auto_vacuum = {auto_vacuum}; PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;
         PRAGMA ignore_check_constraints = ON;
         PRAGMA user_version = {user_version}; PRAGMA application_id = {application_id};
         {cache}"
    ))?;
    attach(connection, &image.path, "damaged")?;
    Ok(())
}

/// Nobody asks for more pages of cache: such a number is a damaged header's, and would cost memory for ever.
const CACHE_PAGES_MAX: u32 = 1 << 20;

/// Pages of cache that a file asks for; 0 where it asks for none
/// (<https://www.sqlite.org/fileformat2.html#suggested_cache_size>).
fn default_cache_size(image: &Image) -> Result<i32, SalvageError> {
    let header = Pages::open(&image.path)?.read(1)?;
    let pages = u32_at(&header, 48).unwrap_or_default().cast_signed();
    Ok(match pages.unsigned_abs() <= CACHE_PAGES_MAX {
        true => pages,
        false => 0,
    })
}

/// What the query planner knows of the tables: without it, queries may become slow that were not.
pub(super) fn carry_statistics(
    connection: &mut Connection,
    notes: &mut Vec<String>,
) -> Result<(), SalvageError> {
    let sql = "SELECT name, sql FROM damaged.sqlite_schema WHERE type = 'table' AND rootpage > 0 \
               AND name LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY rowid";
    for row in connection.query(sql, &[])? {
        let [SqlValue::Text(name), SqlValue::Text(sql)] = row.as_slice() else {
            continue;
        };
        let table = quoted(name);
        // Such names SQLite gives to its own tables only.
        let carried = connection
            .execute("PRAGMA writable_schema = ON")
            .and_then(|()| connection.execute(sql))
            .and_then(|()| {
                let sql = format!("INSERT INTO main.{table} SELECT * FROM damaged.{table}");
                connection.execute(&sql)
            });
        connection.execute("PRAGMA writable_schema = OFF")?;
        if let Err(error) = carried {
            notes.push(format!(
                "{name}, what SQLite knows of the tables' sizes, could not be read ({error}): `ANALYZE` makes it anew"
            ));
        }
    }
    Ok(())
}

/// What a new file does not have.
pub(super) fn not_carried(image: &Image) -> Result<Option<String>, SalvageError> {
    let pages = Pages::open(&image.path)?;
    let reserved = pages.size() - pages.usable();
    Ok((reserved > 0).then(|| {
        format!(
            "{reserved} bytes of each page were reserved for an extension, such as one that adds checksums: the \
             new file has none"
        )
    }))
}

/// The journal mode that the file itself names.
pub(super) fn keep_mode(connection: &mut Connection, image: &Image) -> Result<(), DbError> {
    let mode = if image.is_wal { "WAL" } else { "DELETE" };
    connection.query(&format!("PRAGMA journal_mode = {mode}"), &[])?;
    Ok(())
}
