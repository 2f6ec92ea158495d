//! Something of the application's own, that the gate knows nothing of.

use boot_checks::services::db::quoted;
use proptest::prelude::*;
use proptest::sample::select;

/// A table, with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extra {
    Plain,
    WithoutRowid,
    Strict,
    Generated,
    PartialIndex,
    ExpressionIndex,
    FullText,
    Tree,
    View,
    Trigger,
    Children,
    Counted,
    Blobs,
    NoColumnNames,
}

const ODD_NAMES: [&str; 14] = [
    "select",
    "table",
    "it's",
    "\"quoted\"",
    "[brackets]",
    "back`tick",
    "two words",
    "日本",
    "📝",
    "-- comment",
    "a;b",
    "%",
    "PLAYBOOKS_old",
    "ÄÖÜ",
];

pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![select(&ODD_NAMES[..]).prop_map(str::to_owned), "\\PC{1,12}"]
}

impl Extra {
    /// `n` are the numbers of its rows.
    pub(crate) fn sql(self, name: &str, n: &str) -> String {
        let table = quoted(name);
        let index = quoted(&format!("{name} by"));
        let fill = format!("{n} INSERT INTO {table} SELECT i, 'row ' || i FROM n");
        match self {
            Extra::Plain => format!("CREATE TABLE {table} (id, {table} TEXT); {fill}"),
            Extra::WithoutRowid => {
                format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, x) WITHOUT ROWID; {fill}")
            }
            Extra::Strict => format!("CREATE TABLE {table} (id INTEGER, x ANY) STRICT; {fill}"),
            Extra::Generated => format!(
                "CREATE TABLE {table} (id INTEGER, x TEXT, twice AS (id * 2),
                 stored TEXT AS (x || id) STORED);
                 {n} INSERT INTO {table} (id, x) SELECT i, 'row ' || i FROM n"
            ),
            Extra::PartialIndex => format!(
                "CREATE TABLE {table} (id, x); CREATE INDEX {index} ON {table} (x) WHERE id > 3; {fill}"
            ),
            Extra::ExpressionIndex => format!(
                "CREATE TABLE {table} (id, x); CREATE UNIQUE INDEX {index} ON {table} (id, lower(x)); {fill}"
            ),
            Extra::FullText => format!("CREATE VIRTUAL TABLE {table} USING fts5(id, x); {fill}"),
            Extra::Tree => format!(
                "CREATE VIRTUAL TABLE {table} USING rtree(id, x, y);
                 {n} INSERT INTO {table} SELECT i, i, i + 1 FROM n"
            ),
            Extra::View => format!("CREATE VIEW {table} AS SELECT * FROM nowhere"),
            Extra::Trigger => format!(
                "CREATE TABLE {table} (id, x); CREATE TRIGGER {index} AFTER INSERT ON {table}
                 BEGIN UPDATE {table} SET x = x || '!' WHERE id = new.id; END; {fill}"
            ),
            Extra::Children => format!(
                "CREATE TABLE {table} (id INTEGER PRIMARY KEY, x);
                 CREATE TABLE {index} (parent REFERENCES {table} (id) ON DELETE CASCADE);
                 {fill}; INSERT INTO {index} SELECT id FROM {table}; INSERT INTO {index} VALUES (-1)"
            ),
            Extra::Counted => {
                format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY AUTOINCREMENT, x); {fill}")
            }
            Extra::Blobs => format!(
                "CREATE TABLE {table} (id, x BLOB);
                 {n} INSERT INTO {table} SELECT i, zeroblob(i * 40) FROM n;
                 INSERT INTO {table} VALUES (NULL, CAST(x'ff00fe' AS TEXT)), (9e999, -0.0)"
            ),
            Extra::NoColumnNames => format!("CREATE TABLE {table} AS {n} SELECT i, i * 2 FROM n"),
        }
    }
}

pub(crate) fn extra() -> impl Strategy<Value = Extra> {
    use Extra::*;
    select(
        &[
            Plain,
            WithoutRowid,
            Strict,
            Generated,
            PartialIndex,
            ExpressionIndex,
            FullText,
            Tree,
            View,
            Trigger,
            Children,
            Counted,
            Blobs,
            NoColumnNames,
        ][..],
    )
}
