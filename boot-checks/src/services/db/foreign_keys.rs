//! References of rows to rows of other tables, and those that lead nowhere.

use std::collections::BTreeMap;

use super::{Connection, DbError, Row, quoted};
use crate::model::SqlValue;

/// A reference as a table declares it. Names are in small letters: SQLite tells none apart by its case.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The table whose rows refer.
    pub child: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that they refer to; it may not exist.
    pub parent: String,
    /// The parent's columns, in the same order, whether they are there or not.
    pub parent_columns: Vec<String>,
    /// Whether the parent's columns are no unique key of it: SQLite cannot check such a reference.
    pub is_mismatch: bool,
    /// Rows that refer to nothing.
    pub broken: Vec<BrokenRow>,
    /// Whether the parent's columns are those of its primary key because no others are named.
    is_implicit: bool,
    /// Whether the parent has such columns, one for each.
    is_there: bool,
}

/// A row that refers to a row which does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokenRow {
    /// What it refers by.
    pub key: Row,
    /// Its primary key, or its number; empty where it has none that can be asked for.
    pub identity: Row,
    /// Whether that is a primary key: a number that is none may be another's where a table is made anew.
    pub has_key: bool,
    /// What stands in it, by column; empty where there are too many such rows. Without what is only computed:
    /// that says nothing of its own, and may fail.
    pub content: BTreeMap<String, SqlValue>,
}

/// Every reference of a database.
#[derive(Clone, Debug, Default)]
pub struct ForeignKeys {
    /// Columns of each table whose values are compared; none of a view or a virtual table.
    pub tables: BTreeMap<String, Vec<String>>,
    /// By child.
    pub references: Vec<Reference>,
}

/// Rows whose contents are held in memory at once: those of one reference beyond are known by their keys.
const CONTENTS_MAX: usize = 10_000;

/// Of a longer value its beginning is compared.
const VALUE_LENGTH_MAX: usize = 256;

/// A table that is never committed.
const PROBE: &str = "gate_probe_of_a_reference";

/// The columns of each table.
type Columns = BTreeMap<String, Vec<Column>>;

#[derive(Debug)]
struct Column {
    name: String,
    /// Its place in the primary key, 0 for none.
    place: i64,
    /// Whether its values are computed from others, and no reference is by it.
    is_computed: bool,
}

impl ForeignKeys {
    /// Looks at each table by itself, within an open transaction, and leaves nothing in it: a reference that
    /// SQLite cannot check keeps it from no other table's.
    ///
    /// Safety: whether anything is broken is what SQLite's own check says, and which rows are is asked
    /// besides. Where both do not come to the same number, the rows are known by the numbers that SQLite
    /// gives, and by nothing else.
    ///
    /// # Errors
    ///
    /// SQLite's reason, where it is not that a reference names no unique key.
    pub fn read(connection: &mut Connection) -> Result<ForeignKeys, DbError> {
        let mut references = declared(connection)?;
        if references.is_empty() {
            return Ok(ForeignKeys::default());
        }
        let places = columns_of_tables(connection, &references)?;
        for of_one_table in references.chunk_by_mut(|one, other| one.child == other.child) {
            look(connection, of_one_table, &places)?;
        }
        let names = |columns: Vec<Column>| {
            let compared = columns.into_iter().filter(|it| !it.is_computed);
            compared.map(|column| column.name)
        };
        let tables = places.into_iter();
        Ok(ForeignKeys {
            tables: tables
                .map(|(table, columns)| (table, names(columns).collect()))
                .collect(),
            references,
        })
    }
}

/// How many references lead nowhere, and the tables of which SQLite cannot tell: those with one that names no
/// unique key. It keeps no other table from being looked at.
///
/// # Errors
///
/// SQLite's reason, where it is another.
pub(super) fn count_broken(connection: &mut Connection) -> Result<(u64, Vec<String>), DbError> {
    let sql = "SELECT name FROM main.sqlite_schema s WHERE type = 'table' AND rootpage > 0 \
               AND EXISTS (SELECT 1 FROM pragma_foreign_key_list(s.name, 'main')) ORDER BY name";
    let (mut broken, mut unchecked) = (0, Vec::new());
    for row in connection.query(sql, &[])? {
        let Some(SqlValue::Text(table)) = row.into_iter().next() else {
            continue;
        };
        match check(connection, &table) {
            Ok(rows) => broken += rows.len() as u64,
            Err(error) if error.is_mistake() => unchecked.push(table),
            Err(error) => return Err(error),
        }
    }
    Ok((broken, unchecked))
}

fn check(connection: &mut Connection, table: &str) -> Result<Vec<Row>, DbError> {
    let sql = format!("PRAGMA main.foreign_key_check({})", quoted(table));
    connection.query(&sql, &[])
}

/// In the order of their numbers within each table.
fn declared(connection: &mut Connection) -> Result<Vec<Reference>, DbError> {
    let sql = "SELECT lower(s.name), f.id, f.seq, lower(f.\"table\"), lower(f.\"from\"), lower(f.\"to\") \
               FROM main.sqlite_schema s, pragma_foreign_key_list(s.name, 'main') f \
               WHERE s.type = 'table' AND s.rootpage > 0 ORDER BY s.name, f.id, f.seq";
    let mut references: Vec<Reference> = Vec::new();
    for row in connection.query(sql, &[])? {
        let [
            SqlValue::Text(child),
            _,
            SqlValue::Integer(seq),
            SqlValue::Text(parent),
            SqlValue::Text(from),
            to,
        ] = row.as_slice()
        else {
            return Err(DbError::other("a foreign key is not understood"));
        };
        if *seq == 0 {
            references.push(Reference {
                child: child.clone(),
                columns: Vec::new(),
                parent: parent.clone(),
                parent_columns: Vec::new(),
                is_mismatch: false,
                broken: Vec::new(),
                is_implicit: *to == SqlValue::Null,
                is_there: false,
            });
        }
        let Some(reference) = references.last_mut() else {
            continue;
        };
        reference.columns.push(from.clone());
        if let SqlValue::Text(to) = to {
            reference.parent_columns.push(to.clone());
        }
    }
    Ok(references)
}

/// A virtual table is not asked: the module that it is made by may not be there.
fn columns_of_tables(
    connection: &mut Connection,
    references: &[Reference],
) -> Result<Columns, DbError> {
    let sql = "SELECT lower(name), NULL, NULL, NULL FROM main.sqlite_schema \
               WHERE type = 'view' OR (type = 'table' AND coalesce(rootpage, 0) = 0) \
               UNION ALL SELECT lower(s.name), lower(c.name), c.pk, c.hidden \
               FROM (SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0) s, \
               pragma_table_xinfo(s.name, 'main') c";
    let mut places = Columns::new();
    for row in connection.query(sql, &[])? {
        let Some((SqlValue::Text(table), column)) = row.split_first() else {
            continue;
        };
        let columns = places.entry(table.clone()).or_default();
        if let [SqlValue::Text(name), SqlValue::Integer(place), hidden] = column {
            let refers = |it: &Reference| {
                (it.child == *table && it.columns.contains(name))
                    || (it.parent == *table && it.parent_columns.contains(name))
            };
            columns.push(Column {
                name: name.clone(),
                place: *place,
                is_computed: *hidden != SqlValue::Integer(0) && !references.iter().any(refers),
            });
        }
    }
    Ok(places)
}

fn primary_key(columns: &[Column]) -> Vec<String> {
    let mut key: Vec<&Column> = columns.iter().filter(|it| it.place > 0).collect();
    key.sort_by_key(|it| it.place);
    key.into_iter().map(|it| it.name.clone()).collect()
}

/// All references of one table.
fn look(
    connection: &mut Connection,
    references: &mut [Reference],
    places: &Columns,
) -> Result<(), DbError> {
    let Some(child) = references.first().map(|it| it.child.clone()) else {
        return Ok(());
    };
    for reference in references.iter_mut() {
        let parent = places.get(&reference.parent);
        let columns = parent.map(Vec::as_slice).unwrap_or_default();
        if reference.is_implicit {
            reference.parent_columns = primary_key(columns);
        }
        let is_there = |name: &String| columns.iter().any(|it| it.name == *name);
        let is_one_for_each = reference.parent_columns.len() == reference.columns.len();
        reference.is_there = is_one_for_each && reference.parent_columns.iter().all(is_there);
    }
    let checked = match check(connection, &child) {
        Err(error) if error.is_mistake() => {
            for reference in references.iter_mut() {
                let has_parent = places.contains_key(&reference.parent);
                reference.is_mismatch = has_parent && is_mismatch(connection, reference)?;
            }
            if !references.iter().any(|it| it.is_mismatch) {
                return Err(error);
            }
            None
        }
        checked => Some(checked?),
    };
    for (number, reference) in references.iter_mut().enumerate() {
        let by_check = checked.as_ref().map(|rows| numbers(rows, number));
        if by_check.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let own = broken_rows(connection, reference, places)?;
        reference.broken = match by_check {
            Some(rows) if rows.len() != own.len() => rows,
            _ => own,
        };
    }
    Ok(())
}

/// What SQLite's check says of one reference of a table.
fn numbers(rows: &[Row], reference: usize) -> Vec<BrokenRow> {
    let reference = i64::try_from(reference).unwrap_or(i64::MAX);
    let rows = rows
        .iter()
        .filter(|row| row.get(3) == Some(&SqlValue::Integer(reference)));
    let known_by_number = |row: &Row| BrokenRow {
        key: Row::new(),
        identity: row.get(1).cloned().into_iter().collect(),
        has_key: false,
        content: BTreeMap::new(),
    };
    rows.map(known_by_number).collect()
}

/// Whether SQLite takes the parent's columns for no unique key: asked of a table with this reference alone.
fn is_mismatch(connection: &mut Connection, reference: &Reference) -> Result<bool, DbError> {
    let columns: Vec<String> = (0..reference.columns.len())
        .map(|it| format!("c{it}"))
        .collect();
    let columns = columns.join(", ");
    let to = match reference.is_implicit {
        true => String::new(),
        false => format!("({})", listed(&reference.parent_columns)),
    };
    let sql = format!(
        "SAVEPOINT {PROBE}; CREATE TABLE main.{PROBE} ({columns}, \
         FOREIGN KEY ({columns}) REFERENCES {} {to})",
        quoted(&reference.parent)
    );
    let checked = connection
        .execute(&sql)
        .and_then(|()| check(connection, PROBE));
    connection.execute(&format!("ROLLBACK TO {PROBE}; RELEASE {PROBE}"))?;
    match checked {
        Ok(_) => Ok(false),
        Err(error) if error.is_mistake() => Ok(true),
        Err(error) => Err(error),
    }
}

fn listed(columns: &[String]) -> String {
    let columns = columns.iter().map(|column| quoted(column));
    columns.collect::<Vec<_>>().join(", ")
}

/// Rows that refer to nothing, whether SQLite can check that or not.
///
/// Safety: a value is looked for in the parent as SQLite's own check does: by the parent's collation, and
/// made what the parent's column makes of it. With a plus, the child's column has no say in that. Where the
/// parent's columns are not there, nothing can be found in them.
fn broken_rows(
    connection: &mut Connection,
    reference: &Reference,
    places: &Columns,
) -> Result<Vec<BrokenRow>, DbError> {
    let columns = places.get(&reference.child);
    let columns = columns.map(Vec::as_slice).unwrap_or_default();
    let broken = from_and_where(reference);
    let count = connection.scalar(&format!("SELECT count(*) {broken}"))?;
    let identity = identity(columns);
    let contents: Vec<&String> = match count {
        SqlValue::Integer(count) if count <= CONTENTS_MAX as i64 => {
            let compared = columns.iter().filter(|it| !it.is_computed);
            compared.map(|it| &it.name).collect()
        }
        _ => Vec::new(),
    };
    let key = reference.columns.iter();
    let selected: Vec<String> = key
        .map(|column| format!("c.{}", quoted(column)))
        .chain(identity.iter().map(|column| format!("c.{column}")))
        .chain(contents.iter().map(|column| beginning(column)))
        .collect();
    let sql = format!("SELECT {} {broken}", selected.join(", "));
    let has_key = !primary_key(columns).is_empty();
    let mut rows = Vec::new();
    for row in connection.query(&sql, &[])? {
        let mut values = row.into_iter();
        rows.push(BrokenRow {
            key: values.by_ref().take(reference.columns.len()).collect(),
            identity: values.by_ref().take(identity.len()).collect(),
            has_key,
            content: contents
                .iter()
                .map(|it| (*it).clone())
                .zip(values)
                .collect(),
        });
    }
    Ok(rows)
}

fn from_and_where(reference: &Reference) -> String {
    let child = quoted(&reference.child);
    let is_set: Vec<String> = reference
        .columns
        .iter()
        .map(|column| format!("c.{} IS NOT NULL", quoted(column)))
        .collect();
    let is_set = is_set.join(" AND ");
    let Some(first) = reference
        .parent_columns
        .first()
        .filter(|_| reference.is_there)
    else {
        return format!("FROM main.{child} c WHERE {is_set}");
    };
    let pairs = reference.columns.iter().zip(&reference.parent_columns);
    let is_found: Vec<String> = pairs
        .map(|(column, of_parent)| format!("p.{} = +c.{}", quoted(of_parent), quoted(column)))
        .collect();
    format!(
        "FROM main.{child} c LEFT JOIN main.{} p ON {} WHERE {is_set} AND p.{} IS NULL",
        quoted(&reference.parent),
        is_found.join(" AND "),
        quoted(first)
    )
}

/// The columns of its primary key, or the name of its number, quoted.
fn identity(columns: &[Column]) -> Vec<String> {
    let key = primary_key(columns);
    if !key.is_empty() {
        return key.iter().map(|column| quoted(column)).collect();
    }
    let is_free = |name: &&str| !columns.iter().any(|it| it.name == *name);
    let number = ["rowid", "_rowid_", "oid"].into_iter().find(is_free);
    number.into_iter().map(str::to_owned).collect()
}

fn beginning(column: &str) -> String {
    let column = quoted(column);
    format!(
        "CASE WHEN typeof(c.{column}) IN ('text', 'blob') AND length(c.{column}) > {VALUE_LENGTH_MAX} \
         THEN substr(c.{column}, 1, {VALUE_LENGTH_MAX}) ELSE c.{column} END"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> ForeignKeys {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute("PRAGMA foreign_keys = OFF").unwrap();
        connection.execute(sql).unwrap();
        ForeignKeys::read(&mut connection).unwrap()
    }

    /// Which rows are broken is asked besides SQLite's own check, and must come to the same.
    #[test]
    fn a_value_is_found_where_sqlite_finds_it() {
        let parents = [
            "INTEGER PRIMARY KEY",
            "INTEGER UNIQUE",
            "TEXT PRIMARY KEY",
            "BLOB UNIQUE",
            "REAL UNIQUE",
            "NUMERIC UNIQUE",
            "UNIQUE",
            "TEXT COLLATE NOCASE UNIQUE",
        ];
        let children = ["INTEGER", "TEXT", "BLOB", "REAL", "", "TEXT COLLATE RTRIM"];
        let values = "(1), ('1'), ('01'), (1.0), ('1.0'), (2.5), ('2.5'), ('a'), ('A'), ('a '), (x'61'), \
                      (-0.0), (9007199254740993), ('9007199254740993'), (NULL)";
        let mut broken = 0;
        for (parent, child) in parents
            .iter()
            .flat_map(|it| children.map(|child| (it, child)))
        {
            for few in [
                "(1)",
                "('1')",
                "('a')",
                "(2.5), ('A')",
                "(9007199254740992.0), (0)",
            ] {
                let sql = format!(
                    "CREATE TABLE p (k {parent}); CREATE TABLE c (v {child} REFERENCES p (k));
                     INSERT OR IGNORE INTO p SELECT column1 FROM (VALUES {few})
                     WHERE '{parent}' <> 'INTEGER PRIMARY KEY' OR typeof(column1) = 'integer';
                     INSERT INTO c VALUES {values}"
                );
                let mut connection = Connection::in_memory().unwrap();
                connection.execute("PRAGMA foreign_keys = OFF").unwrap();
                connection.execute(&sql).unwrap();
                let checked = check(&mut connection, "c").unwrap();
                let keys = ForeignKeys::read(&mut connection).unwrap();
                let places = columns_of_tables(&mut connection, &keys.references).unwrap();
                let own = broken_rows(&mut connection, &keys.references[0], &places).unwrap();
                let numbers = |rows: &[BrokenRow]| {
                    let mut numbers: Vec<String> =
                        rows.iter().map(|it| format!("{:?}", it.identity)).collect();
                    numbers.sort();
                    numbers
                };
                let by_check = super::numbers(&checked, 0);
                assert_eq!(
                    numbers(&own),
                    numbers(&by_check),
                    "{parent}, {child}, {few}"
                );
                broken += own.len();
            }
        }
        assert!(broken > 1_000, "{broken}");
    }

    #[test]
    fn what_no_module_is_there_for_is_passed_over() {
        let keys = read(
            "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p);
             INSERT INTO c VALUES (1); CREATE VIEW v AS SELECT 1; PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema VALUES ('table', 'w', 'w', 0, 'CREATE VIRTUAL TABLE w USING unknown (x)');
             PRAGMA writable_schema = OFF",
        );
        let tables: Vec<&str> = keys.tables.keys().map(String::as_str).collect();
        assert_eq!(tables, ["c", "p", "v", "w"]);
        assert_eq!(keys.references[0].broken.len(), 1);
    }

    #[test]
    fn what_is_only_computed_is_not_held() {
        for kept in ["VIRTUAL", "STORED"] {
            let keys = read(&format!(
                "CREATE TABLE c (x, p AS (x + 1) {kept} REFERENCES gone (id), v AS (x || '!') {kept});
                 INSERT INTO c (x) VALUES (1)"
            ));
            let row = &keys.references[0].broken[0];
            let columns: Vec<&String> = row.content.keys().collect();
            assert_eq!(columns, ["p", "x"]);
            assert_eq!(keys.tables["c"], ["x", "p"]);
        }
    }

    #[test]
    fn contents_of_many_rows_and_the_ends_of_long_values_are_not_held() {
        let keys = read(&format!(
            "CREATE TABLE c (p REFERENCES gone, x); INSERT INTO c VALUES (1, hex(zeroblob({VALUE_LENGTH_MAX})))"
        ));
        let row = &keys.references[0].broken[0];
        assert_eq!(
            row.content["x"],
            "0".repeat(VALUE_LENGTH_MAX).as_str().into()
        );
        let keys = read(&format!(
            "CREATE TABLE c (p REFERENCES gone, x);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {CONTENTS_MAX})
             INSERT INTO c SELECT i, i FROM n"
        ));
        let rows = &keys.references[0].broken;
        assert_eq!(rows.len(), CONTENTS_MAX + 1);
        assert!(rows.iter().all(|row| row.content.is_empty()));
    }
}
