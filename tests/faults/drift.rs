//! The structure is not the one that the migrations lead to: what can be added without losing a value
//! is added, all else is refused with the difference, and every byte stays.

use std::process::Command;

use crate::boots::{self, Boot, boot, command};
use crate::holders::bytes;
use crate::sandbox::Sandbox;

const CONFIGURATION: &str = "
name = \"orders\"
[database]
url = \"sqlite:///./var/grace.db\"
[migrations]
folder = \"migrations\"
[tables]
orders = [\"id\", \"total REAL\"]
";

pub(crate) const MIGRATIONS: [(&str, &str); 2] = [
    (
        "1_first.sql",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL, note TEXT);\n\
         CREATE INDEX orders_by_total ON orders (total);\n\
         CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT);\n",
    ),
    (
        "3_paid.sql",
        "ALTER TABLE orders ADD COLUMN paid INTEGER;\n",
    ),
];

const ROWS: &str = "
    INSERT INTO settings VALUES ('k', 'v');
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO orders (id, total, note) SELECT i, i * 0.5, 'order ' || i FROM n;";

/// An application with migrations of its own, booted once, with rows in it.
pub(crate) fn orders() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.root().join("boot.toml"), CONFIGURATION).unwrap();
    for (name, sql) in MIGRATIONS {
        add_migration(&sandbox, name, sql);
    }
    let first = boot(sandbox.root());
    assert_eq!(first.code, Some(0), "{}", first.text());
    run(&sandbox, ROWS);
    sandbox
}

pub(crate) fn add_migration(sandbox: &Sandbox, name: &str, sql: &str) {
    let folder = sandbox.root().join("migrations");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), sql).unwrap();
}

fn run(sandbox: &Sandbox, sql: &str) {
    let mut connection = sandbox.open();
    connection.execute(sql).unwrap();
    connection.close();
}

pub(crate) fn number(sandbox: &Sandbox, sql: &str) -> i64 {
    let mut connection = sandbox.open();
    let found = connection.scalar(sql);
    connection.close();
    match found {
        Ok(boot_checks::model::SqlValue::Integer(number)) => number,
        other => panic!("{sql}: {other:?}"),
    }
}

/// The console breaks lines.
fn words(boot: &Boot) -> String {
    boot.unwrapped()
}

fn healed(sandbox: &Sandbox, what: &str) {
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{what}: {}", healed.text());
    assert!(words(&healed).contains(what), "{what}: {}", healed.text());
    assert_eq!(
        number(
            sandbox,
            "SELECT count(*) FROM orders WHERE note = 'order ' || id"
        ),
        1000
    );
    let again = boot(sandbox.root());
    assert_eq!(again.code, Some(0), "{what}: {}", again.text());
    assert!(
        !words(&again).contains("fixed by apply"),
        "{what}: {}",
        again.text()
    );
}

fn refused(sandbox: &Sandbox, what: &[&str]) {
    let before = bytes(sandbox);
    for _ in 0..2 {
        let refused = boot(sandbox.root());
        assert_eq!(refused.code, Some(1), "{what:?}: {}", refused.text());
        for what in what {
            assert!(words(&refused).contains(what), "{what}: {}", refused.text());
        }
        assert!(before == bytes(sandbox), "{what:?}: a byte was changed");
    }
}

const FORGET: &str = "DROP TABLE _sqlx_migrations";

#[test]
fn a_dropped_column_is_added_where_no_record_says_that_it_had_values() {
    let sandbox = orders();
    run(&sandbox, "ALTER TABLE orders DROP COLUMN paid");
    refused(
        &sandbox,
        &[
            "column orders.paid",
            "somebody dropped it",
            "cargo xtask backups restore",
        ],
    );
    run(&sandbox, FORGET);
    healed(&sandbox, "added column orders.paid");
}

#[test]
fn a_dropped_table_is_made_where_no_record_says_that_it_had_rows() {
    let sandbox = orders();
    run(&sandbox, "DROP TABLE settings");
    refused(
        &sandbox,
        &[
            "table settings",
            "somebody dropped it",
            "cargo xtask backups restore",
        ],
    );
    run(&sandbox, FORGET);
    healed(&sandbox, "added table settings");
}

#[test]
fn a_dropped_index_holds_no_value_and_is_made_again() {
    for forget in ["", FORGET] {
        let sandbox = orders();
        run(&sandbox, "DROP INDEX orders_by_total");
        run(&sandbox, forget);
        healed(&sandbox, "index orders_by_total");
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'orders_by_total'";
        assert_eq!(number(&sandbox, sql), 1);
    }
}

#[test]
fn a_dropped_index_is_not_made_where_something_else_is_gone_too() {
    let sandbox = orders();
    run(&sandbox, "DROP INDEX orders_by_total; DROP TABLE settings");
    refused(
        &sandbox,
        &[
            "index orders_by_total",
            "table settings",
            "cargo xtask backups restore",
        ],
    );
}

#[test]
fn a_renamed_column_is_refused() {
    for forget in ["", FORGET] {
        let sandbox = orders();
        run(&sandbox, "ALTER TABLE orders RENAME COLUMN note TO remark");
        run(&sandbox, forget);
        refused(
            &sandbox,
            &[
                "column orders.note",
                "found remark",
                "a rename is suspected",
            ],
        );
    }
}

#[test]
fn a_renamed_table_is_refused_with_its_rows() {
    for forget in ["", FORGET] {
        let sandbox = orders();
        run(&sandbox, "ALTER TABLE orders RENAME TO orders_2025");
        run(&sandbox, forget);
        refused(
            &sandbox,
            &[
                "table orders",
                "found orders_2025, which has its columns",
                "a rename is suspected",
            ],
        );
        assert_eq!(number(&sandbox, "SELECT count(*) FROM orders_2025"), 1000);
    }
}

#[test]
fn another_type_is_refused() {
    let sandbox = orders();
    run(
        &sandbox,
        "CREATE TABLE other (id INTEGER PRIMARY KEY, total TEXT, note TEXT, paid INTEGER);
         INSERT INTO other SELECT * FROM orders; DROP TABLE orders;
         ALTER TABLE other RENAME TO orders; CREATE INDEX orders_by_total ON orders (total)",
    );
    refused(
        &sandbox,
        &[
            "column orders.total",
            "found TEXT, expected REAL",
            "affinity",
        ],
    );
}

#[test]
fn another_action_of_a_foreign_key_and_another_computation_are_refused() {
    let lines = "CREATE TABLE lines (id INTEGER PRIMARY KEY, n INTEGER, double INTEGER AS (n * 2),
                   parent INTEGER REFERENCES orders (id) ON DELETE CASCADE);";
    for forget in ["", FORGET] {
        for (was, is, what) in [
            (
                "CASCADE",
                "RESTRICT",
                [
                    "foreign key parent -> orders(id) of lines",
                    "found ON DELETE RESTRICT, expected ON DELETE CASCADE",
                ],
            ),
            (
                "n * 2",
                "n * 3",
                [
                    "column lines.double",
                    "found AS (n * 3), expected AS (n * 2)",
                ],
            ),
        ] {
            let sandbox = orders();
            add_migration(&sandbox, "4_lines.sql", lines);
            healed(&sandbox, "applied migration 4");
            let other = lines.replace(was, is);
            run(&sandbox, &format!("DROP TABLE lines; {other} {forget}"));
            refused(&sandbox, &what);
        }
    }
}

#[test]
fn a_unique_index_of_ones_own_is_refused_where_it_may_refuse_rows() {
    let sandbox = orders();
    run(
        &sandbox,
        "CREATE INDEX own ON orders (note); CREATE UNIQUE INDEX with_key ON orders (note, id);",
    );
    let fine = boot(sandbox.root());
    assert_eq!(fine.code, Some(0), "{}", fine.text());
    run(&sandbox, "CREATE UNIQUE INDEX one_note ON orders (note)");
    refused(
        &sandbox,
        &["index one_note", "rows would be refused", "drop it;"],
    );
    add_migration(
        &sandbox,
        "4_one_note.sql",
        "CREATE UNIQUE INDEX one_note ON orders (note);",
    );
    refused(&sandbox, &["index one_note"]);
    run(&sandbox, "DROP INDEX one_note");
    healed(&sandbox, "applied migration 4");
}

#[test]
fn other_line_endings_are_no_drift() {
    let sandbox = orders();
    let (name, sql) = MIGRATIONS[0];
    add_migration(&sandbox, name, &sql.replace('\n', "\r\n"));
    let current = boot(sandbox.root());
    assert_eq!(current.code, Some(0), "{}", current.text());
    assert_eq!(number(&sandbox, "SELECT count(*) FROM orders"), 1000);
    assert_eq!(number(&sandbox, "SELECT count(*) FROM _sqlx_migrations"), 2);
}

#[test]
fn an_edit_that_takes_objects_out_of_an_applied_migration_is_refused() {
    let sandbox = orders();
    let extras = "CREATE VIEW paid AS SELECT id FROM orders WHERE paid;
                  CREATE TRIGGER keep AFTER DELETE ON orders BEGIN SELECT 1; END;";
    add_migration(&sandbox, "4_extras.sql", extras);
    healed(&sandbox, "applied migration 4");
    let (view, _) = extras.split_once("CREATE TRIGGER").unwrap();
    for (edited, gone) in [
        ("", &["view paid", "trigger keep"][..]),
        ("-- nothing", &["view paid", "trigger keep"]),
        (view, &["trigger keep"]),
    ] {
        add_migration(&sandbox, "4_extras.sql", edited);
        refused(&sandbox, &["migration 4 was edited"]);
        refused(&sandbox, gone);
    }
    let skipped = boots::run(command(sandbox.root()).args(["--skip", "schema_version"]));
    let told = "do not make the structure that is there";
    assert!(words(&skipped).contains(told), "{}", skipped.text());
    add_migration(&sandbox, "4_extras.sql", &format!("{extras} -- all"));
    let warned = boot(sandbox.root());
    assert_eq!(warned.code, Some(0), "{}", warned.text());
    let told = "makes the same tables, indexes, views and triggers";
    assert!(words(&warned).contains(told), "{}", warned.text());
}

#[test]
fn a_database_that_is_newer_than_the_code_is_refused() {
    let sandbox = orders();
    run(
        &sandbox,
        "INSERT INTO _sqlx_migrations VALUES (9, 'x', 0, 1, x'00', 0)",
    );
    refused(
        &sandbox,
        &["newer than the code", "applied and not known here: 9"],
    );
}

#[test]
fn a_migration_out_of_order_is_refused() {
    let sandbox = orders();
    add_migration(&sandbox, "2_between.sql", "CREATE TABLE between_them (x);");
    refused(
        &sandbox,
        &[
            "a pending migration is older than an applied one",
            "pending: 2",
        ],
    );
    assert_eq!(
        number(
            &sandbox,
            "SELECT count(*) FROM sqlite_schema WHERE name = 'between_them'"
        ),
        0
    );
}

#[test]
fn a_second_file_with_an_applied_version_is_refused() {
    for name in ["1_second.sql", "0001_second.sql"] {
        let sandbox = orders();
        let sql = "CREATE INDEX by_note ON orders (note); UPDATE orders SET note = '';";
        add_migration(&sandbox, name, sql);
        refused(
            &sandbox,
            &["1_first.sql", name, "both have the version 1", "of its own"],
        );
    }
}

/// sqlx passes over each of them; a pipe that nobody writes into would be waited for.
#[test]
fn a_migration_that_is_no_file_is_refused() {
    for kind in [
        "a folder",
        "a link to a folder",
        "a pipe",
        "a link that leads nowhere",
    ] {
        let sandbox = orders();
        let file = sandbox.root().join("migrations/4_more.sql");
        let why = match kind {
            "a folder" => std::fs::create_dir(&file).map(|()| "is no file"),
            "a link to a folder" => {
                std::os::unix::fs::symlink(sandbox.root(), &file).map(|()| "is no file")
            }
            "a pipe" => Command::new("mkfifo").arg(&file).status().map(|status| {
                assert!(status.success());
                "is no file"
            }),
            _ => std::os::unix::fs::symlink("nowhere", &file).map(|()| "No such file"),
        };
        refused(&sandbox, &["4_more.sql", why.unwrap()]);
    }
}

/// sqlx's own connections enforce foreign keys; then DROP TABLE deletes the children.
#[test]
fn a_rebuilt_table_keeps_its_children() {
    let sandbox = orders();
    add_migration(
        &sandbox,
        "4_lines.sql",
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, \
         parent INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE);",
    );
    assert_eq!(boot(sandbox.root()).code, Some(0));
    run(&sandbox, "INSERT INTO lines (parent) SELECT id FROM orders");
    add_migration(
        &sandbox,
        "5_rebuild.sql",
        "CREATE TABLE new_orders (id INTEGER PRIMARY KEY, total REAL NOT NULL, note TEXT, paid INTEGER);
         INSERT INTO new_orders SELECT id, total, note, paid FROM orders;
         DROP TABLE orders;
         ALTER TABLE new_orders RENAME TO orders;
         CREATE INDEX orders_by_total ON orders (total);",
    );
    healed(&sandbox, "applied migration 5");
    let sql = "SELECT count(*) FROM lines JOIN orders ON orders.id = parent";
    assert_eq!(number(&sandbox, sql), 1000);
    println!("| table rebuild with cascading children | 1000 of 1000 children |");
}

/// Foreign keys are off unless an application asks for them: what they would have refused is there already.
#[test]
fn references_that_were_broken_before_refuse_no_migration() {
    let sandbox = orders();
    add_migration(
        &sandbox,
        "4_lines.sql",
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES orders (id));
         CREATE TABLE notes (body TEXT, parent INTEGER REFERENCES orders (id));",
    );
    assert_eq!(boot(sandbox.root()).code, Some(0));
    run(
        &sandbox,
        "PRAGMA foreign_keys = OFF; INSERT INTO lines VALUES (1, 1), (2, 5000);
         INSERT INTO notes VALUES ('a', 1), ('b', 1), ('c', 5000); DELETE FROM notes WHERE body = 'a'",
    );
    add_migration(
        &sandbox,
        "5_names.sql",
        "ALTER TABLE lines RENAME TO items;
         CREATE TABLE new_notes (body TEXT, parent INTEGER REFERENCES orders (id), more TEXT);
         INSERT INTO new_notes (body, parent) SELECT body, parent FROM notes;
         DROP TABLE notes; ALTER TABLE new_notes RENAME TO notes;",
    );
    healed(&sandbox, "applied migration 5");
    add_migration(
        &sandbox,
        "6_lost.sql",
        "DELETE FROM items WHERE id = 2; DELETE FROM orders WHERE id = 1;",
    );
    let refusal = boot(sandbox.root());
    assert_eq!(refusal.code, Some(3), "{}", refusal.text());
    let told = "row 1 of items would refer to a row of orders that does not exist";
    assert!(words(&refusal).contains(told), "{}", refusal.text());
    assert_eq!(number(&sandbox, "SELECT count(*) FROM orders"), 1000);
    assert_eq!(number(&sandbox, "SELECT count(*) FROM items"), 2);
}

/// One reference of one table that SQLite cannot check keeps no other from being checked.
#[test]
fn a_reference_that_names_no_unique_key_refuses_no_migration() {
    let sandbox = orders();
    add_migration(
        &sandbox,
        "4_lines.sql",
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES orders (id));",
    );
    assert_eq!(boot(sandbox.root()).code, Some(0));
    run(
        &sandbox,
        "INSERT INTO lines VALUES (1, 1); CREATE TABLE by_note (note TEXT REFERENCES orders (note))",
    );
    add_migration(&sandbox, "5_more.sql", "CREATE TABLE more (a);");
    healed(&sandbox, "applied migration 5");
    add_migration(&sandbox, "6_lost.sql", "DELETE FROM orders WHERE id = 1;");
    let refusal = boot(sandbox.root());
    assert_eq!(refusal.code, Some(3), "{}", refusal.text());
    assert_eq!(number(&sandbox, "SELECT count(*) FROM orders"), 1000);
}
