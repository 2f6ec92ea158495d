//! A database of which nothing is said to be missing takes every statement that the expected one takes, and makes the
//! same of it.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::difference::Difference;
use super::{Connection, Structure, compare};

/// What lies between what these statements make and what those do.
pub(super) fn difference(actual: &str, expected: &str) -> Difference {
    let [actual, expected] = [actual, expected].map(|sql| {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute(sql).unwrap();
        Structure::read(&mut connection, &[]).unwrap()
    });
    compare(&actual, &expected)
}

/// A part as it is expected, and as it is.
type Part = (&'static str, &'static str);

fn part(all: &'static [&'static str]) -> impl Strategy<Value = Part> {
    let same = select(all).prop_map(|it| (it, it));
    let any = (select(all), select(all));
    Union::new_weighted(vec![(5, same.boxed()), (1, any.boxed())])
}

const COLUMN: &[&str] = &[
    "",
    "TEXT",
    "INTEGER",
    "TEXT COLLATE NOCASE",
    "TEXT UNIQUE",
    "NUMERIC COLLATE RTRIM UNIQUE",
];

const CONSTRAINT: &[&str] = &[
    "",
    "",
    ", UNIQUE (a)",
    ", UNIQUE (a, b)",
    ", UNIQUE (b, a)",
    ", UNIQUE (a, b COLLATE NOCASE)",
    ", UNIQUE (c COLLATE RTRIM)",
    ", CHECK (a <> 'x')",
];

const PRIMARY_KEY: &[&str] = &[
    "",
    ", id INTEGER PRIMARY KEY",
    ", PRIMARY KEY (a)",
    ", PRIMARY KEY (a, b)",
    ", PRIMARY KEY (b, a COLLATE NOCASE)",
];

const INDEX: &[&str] = &[
    "",
    "",
    "CREATE INDEX i ON t (a)",
    "CREATE UNIQUE INDEX i ON t (a)",
    "CREATE UNIQUE INDEX i ON t (b, c)",
    "CREATE UNIQUE INDEX i ON t (c COLLATE NOCASE, b)",
    "CREATE UNIQUE INDEX i ON t (lower(c))",
    "CREATE UNIQUE INDEX i ON t (a) WHERE b > 1",
];

const FOREIGN_KEY: &[&str] = &[
    "",
    "",
    "",
    ", FOREIGN KEY (a) REFERENCES p (x)",
    ", FOREIGN KEY (a) REFERENCES p",
    ", FOREIGN KEY (a) REFERENCES p ON DELETE CASCADE",
    ", FOREIGN KEY (a, b) REFERENCES p (x, y)",
    ", FOREIGN KEY (b, a) REFERENCES p (y, x) ON UPDATE CASCADE",
    ", FOREIGN KEY (a) REFERENCES p (x), FOREIGN KEY (b) REFERENCES p (y) ON DELETE SET NULL",
    ", FOREIGN KEY (a) REFERENCES p (x), FOREIGN KEY (a) REFERENCES p ON DELETE CASCADE",
];

const OWN: &[&str] = &[
    "",
    "",
    "CREATE UNIQUE INDEX own ON t (a, b, c)",
    "CREATE UNIQUE INDEX own ON t (a COLLATE BINARY)",
    "CREATE UNIQUE INDEX own ON t (b) WHERE c > 1",
    "ALTER TABLE t ADD COLUMN own DEFAULT 1",
    "ALTER TABLE t ADD COLUMN own; CREATE UNIQUE INDEX own ON t (own, c)",
    "ALTER TABLE t ADD COLUMN own CHECK (own IS NOT NULL)",
    "ALTER TABLE t ADD COLUMN own DEFAULT 1 CHECK (own < 2)",
    "ALTER TABLE t ADD COLUMN own CHECK (own > 1)",
    "ALTER TABLE t ADD COLUMN own CHECK (a <> own)",
    "ALTER TABLE t ADD COLUMN own AS (a || c) NOT NULL",
    "ALTER TABLE t ADD COLUMN own AS (a || c) CHECK (own <> 'aa')",
    "ALTER TABLE t ADD COLUMN own REFERENCES p (x)",
    "ALTER TABLE t ADD COLUMN own DEFAULT 'q' REFERENCES p (x) ON DELETE CASCADE",
];

/// The statements that make the expected table, and those of the one that is there.
fn tables() -> impl Strategy<Value = (String, String)> {
    let columns = (part(COLUMN), part(COLUMN), part(COLUMN));
    let rest = (
        part(PRIMARY_KEY),
        part(CONSTRAINT),
        part(CONSTRAINT),
        part(FOREIGN_KEY),
        part(INDEX),
    );
    (columns, rest, select(OWN)).prop_map(|((a, b, c), (key, one, other, foreign, index), own)| {
        let make = |of: fn(Part) -> &'static str| {
            let [a, b, c, key, one, other, foreign, index] =
                [a, b, c, key, one, other, foreign, index].map(of);
            format!(
                "CREATE TABLE p (x PRIMARY KEY, y UNIQUE, UNIQUE (x, y));
                 INSERT INTO p VALUES ('a', 'A'), ('A', 'a'), (1, 1), (2, 2), ('x', 'x'), ('q', 'q');
                 CREATE TABLE t (a {a}, b {b}, c {c}{key}{one}{other}{foreign}); {index}"
            )
        };
        (make(|it| it.0), format!("{}; {own}", make(|it| it.1)))
    })
}

const VALUE: &[&str] = &[
    "NULL", "'a'", "'A'", "'a '", "'x'", "1", "2", "'1'", "1.5", "x'61'",
];

const CONFLICT: &[&str] = &[
    "",
    "",
    "",
    "ON CONFLICT (a) DO UPDATE SET c = excluded.c",
    "ON CONFLICT (b, a) DO UPDATE SET c = excluded.c",
    "ON CONFLICT (c) DO UPDATE SET a = excluded.a",
    "ON CONFLICT (c, b) DO UPDATE SET a = excluded.a",
    "ON CONFLICT DO NOTHING",
];

fn statement() -> impl Strategy<Value = String> {
    let values = (select(VALUE), select(VALUE), select(VALUE));
    let insert = (values, select(CONFLICT)).prop_map(|((a, b, c), conflict)| {
        format!("INSERT INTO t (a, b, c) VALUES ({a}, {b}, {c}) {conflict}")
    });
    let columns = (select(&["a", "b", "c"][..]), select(&["a", "b", "c"][..]));
    let update = (columns, select(VALUE), select(VALUE))
        .prop_map(|((set, at), to, of)| format!("UPDATE t SET {set} = {to} WHERE {at} IS {of}"));
    let referred = (select(VALUE), select(VALUE)).prop_map(|(to, of)| match to < of {
        true => format!("UPDATE p SET x = {to} WHERE x IS {of}"),
        false => format!("DELETE FROM p WHERE x IS {of}"),
    });
    let weighted = [
        (8, insert.boxed()),
        (2, update.boxed()),
        (1, referred.boxed()),
    ];
    Union::new_weighted(weighted.to_vec())
}

fn made(sql: &str) -> Option<Connection> {
    let mut connection = Connection::in_memory().unwrap();
    connection.execute("PRAGMA foreign_keys = ON").unwrap();
    connection.execute(sql).ok().map(|()| connection)
}

fn rows(connection: &mut Connection) -> String {
    let rows = "SELECT group_concat(row, ' ') FROM (SELECT quote(a) || quote(b) || quote(c) AS row FROM t ORDER BY 1)";
    format!("{:?}", connection.scalar(rows))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_said_to_differ_takes_the_same_statements(
        (wanted, there) in tables(),
        statements in proptest::collection::vec(statement(), 1..30),
    ) {
        let (Some(mut expected), Some(mut actual)) = (made(&wanted), made(&there)) else {
            return Ok(());
        };
        let structure = |connection: &mut Connection| Structure::read(connection, &[]).unwrap();
        let difference = compare(&structure(&mut actual), &structure(&mut expected));
        // What is only compared differently, or refers to something of its own, is said, and is no reason not to start.
        let is_only_told = |note: &String| note.contains("COLLATE") || note.contains("foreign key");
        if !difference.is_empty() || difference.notes.iter().any(is_only_told) {
            return Ok(());
        }
        for statement in statements {
            if expected.execute(&statement).is_ok() {
                let done = actual.execute(&statement);
                prop_assert!(done.is_ok(), "{wanted}\n{there}\n{statement}: {done:?}");
                let (expected, actual) = (rows(&mut expected), rows(&mut actual));
                prop_assert_eq!(expected, actual, "{}\n{}\n{}", wanted, there, statement);
            }
        }
    }
}
