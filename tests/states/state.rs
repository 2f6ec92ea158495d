//! What a database may be like.

use std::path::Path;
use std::time::Duration;

use boot_checks::services::db::{Access, Connection, quoted};
use boot_checks::services::migrations::MigrationSet;
use proptest::prelude::*;
use proptest::sample::select;
use sha2::{Digest as _, Sha384};

use crate::around::{Around, around};
use crate::extras::{Extra, extra, name};
use crate::harm::Harm;
use crate::tables::{added, columns, strict, values};

/// One database, what happened to it, and the application around it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) harm: Harm,
    pub(crate) around: Around,
    page_bytes: u32,
    encoding: &'static str,
    auto_vacuum: u8,
    user_version: i32,
    journal: &'static str,
    core: [Core; 3],
    record: Record,
    extras: Vec<(Extra, String)>,
    rows: u16,
}

/// One of the tables that a boot looks for.
#[derive(Clone, Debug)]
enum Core {
    Absent,
    /// As the first migration made it.
    Legacy,
    /// As the last migration leaves it.
    Current,
    MoreColumns(String),
    /// A column that a migration adds has another name.
    Renamed(String),
    /// One of its columns is not there.
    Fewer,
    OtherTypes,
    Strict,
    WithoutRowid,
    View,
    /// A trigger copies what is written to it.
    Copied,
    /// A trigger refuses what is written to it.
    Refusing,
}

/// Who keeps the record of migrations, and how well.
#[derive(Clone, Copy, Debug)]
enum Record {
    None,
    Complete,
    FirstOnly,
    LastOnly,
    Unfinished,
    Newer,
    Garbled,
    /// Of the same texts with other line endings.
    LineEndings,
    NotSqlx,
    Alembic,
}

const CORE: [&str; 3] = ["verification_events", "playbooks", "meta_loop_configs"];

fn core() -> impl Strategy<Value = Core> {
    prop_oneof![
        2 => Just(Core::Absent),
        4 => Just(Core::Legacy),
        4 => Just(Core::Current),
        1 => name().prop_map(Core::MoreColumns),
        1 => name().prop_map(Core::Renamed),
        1 => Just(Core::Fewer),
        1 => Just(Core::OtherTypes),
        1 => Just(Core::Strict),
        1 => Just(Core::WithoutRowid),
        1 => Just(Core::View),
        1 => Just(Core::Copied),
        1 => Just(Core::Refusing),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    use Record::*;
    prop_oneof![
        4 => Just(None),
        4 => Just(Complete),
        4 => Just(FirstOnly),
        3 => Just(LineEndings),
        1 => select(&[LastOnly, Unfinished, Newer, Garbled, NotSqlx, Alembic][..]),
    ]
}

/// With this harm.
pub(crate) fn any(harm: BoxedStrategy<Harm>) -> impl Strategy<Value = State> {
    let file = (
        select(&[512, 1024, 4096, 8192, 65_536][..]),
        prop_oneof![
            3 => Just("UTF-8"),
            1 => select(&["UTF-16le", "UTF-16be"][..]),
        ],
        0_u8..3,
        proptest::num::i32::ANY,
        select(&["DELETE", "TRUNCATE", "PERSIST", "WAL", "hot WAL"][..]),
    );
    let contents = (
        [core(), core(), core()],
        record(),
        prop::collection::vec((extra(), name()), 0..6),
        0_u16..200,
    );
    (file, contents, harm, around()).prop_map(|(file, contents, harm, around)| State {
        harm,
        around,
        page_bytes: file.0,
        encoding: file.1,
        auto_vacuum: file.2,
        user_version: file.3,
        journal: harm.journal().unwrap_or(file.4),
        core: contents.0,
        record: contents.1,
        extras: contents.2,
        rows: contents.3,
    })
}

impl State {
    /// With every row in the log only.
    pub(crate) fn with_a_hot_log() -> State {
        State {
            harm: Harm::None,
            around: Around::NOTHING,
            page_bytes: 4096,
            encoding: "UTF-8",
            auto_vacuum: 0,
            user_version: 0,
            journal: "hot WAL",
            core: [Core::Legacy, Core::Current, Core::Absent],
            record: Record::None,
            extras: Vec::new(),
            rows: 20,
        }
    }

    pub(crate) fn build(&self, path: &Path) {
        let live = path.with_extension("live");
        let mut connection = Connection::open(&live, Access::Create, Duration::ZERO).unwrap();
        let mode = self.journal.trim_start_matches("hot ");
        let pragmas = format!(
            "PRAGMA page_size = {}; PRAGMA encoding = '{}'; PRAGMA auto_vacuum = {};
             PRAGMA journal_mode = {mode}; PRAGMA wal_autocheckpoint = 0;
             PRAGMA user_version = {}; PRAGMA synchronous = OFF;",
            self.page_bytes, self.encoding, self.auto_vacuum, self.user_version
        );
        connection.execute(&pragmas).unwrap();
        for (table, core) in CORE.iter().zip(&self.core) {
            self.build_core(&mut connection, table, core);
        }
        self.build_record(&mut connection);
        for (extra, name) in &self.extras {
            // A name that is taken, or not allowed, makes the state smaller and not wrong.
            let _ = connection.execute(&extra.sql(name, &self.numbers()));
        }
        if self.journal.starts_with("hot") {
            // As a crash leaves them: closing would empty the log.
            for suffix in ["", "-wal"] {
                let from = format!("{}{suffix}", live.display());
                if Path::new(&from).exists() {
                    std::fs::copy(from, format!("{}{suffix}", path.display())).unwrap();
                }
            }
        }
        connection.close();
        if !path.exists() {
            std::fs::rename(&live, path).unwrap();
        }
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", live.display()));
        }
    }

    /// `n(i)`: the numbers up to the state's number of rows.
    fn numbers(&self) -> String {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {})",
            self.rows
        )
    }

    fn build_core(&self, connection: &mut Connection, table: &str, core: &Core) {
        let columns = columns(table);
        let made = match core {
            Core::Absent => return,
            Core::Legacy => columns.to_owned(),
            Core::Current | Core::Copied | Core::Refusing => {
                format!("{columns}{}", added(table))
            }
            Core::MoreColumns(name) => format!("{columns}{}, {}", added(table), quoted(name)),
            Core::Renamed(name) => format!("{columns}, {} TEXT", quoted(name)),
            Core::Fewer => columns.rsplit_once(',').unwrap().0.to_owned(),
            Core::OtherTypes => columns.replace("TEXT", "BLOB").replace("VARCHAR", "REAL"),
            Core::Strict => strict(columns),
            Core::WithoutRowid => format!("{columns}{}", added(table)),
            Core::View => {
                let view = format!("CREATE VIEW {table} AS SELECT 1 AS id, 'x' AS name");
                return connection.execute(&view).unwrap();
            }
        };
        let end = match core {
            Core::Strict => " STRICT",
            Core::WithoutRowid => " WITHOUT ROWID",
            _ => "",
        };
        let sql = format!("CREATE TABLE {table} ({made}){end}");
        // A name that a column has already.
        if connection.execute(&sql).is_err() {
            connection
                .execute(&format!("CREATE TABLE {table} ({columns})"))
                .unwrap();
        }
        let (names, values) = values(table);
        let insert = format!(
            "{} INSERT INTO {table} ({names}) SELECT {values} FROM n",
            self.numbers()
        );
        connection.execute(&insert).unwrap();
        let trigger = match core {
            Core::Copied => format!(
                "CREATE TABLE copies_of_{table} (id, at);
                 CREATE TRIGGER copy_{table} AFTER INSERT ON {table}
                 BEGIN INSERT INTO copies_of_{table} VALUES (new.id, 'then'); END"
            ),
            Core::Refusing => format!(
                "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table}
                 BEGIN SELECT RAISE(ABORT, 'not today'); END"
            ),
            _ => return,
        };
        connection.execute(&trigger).unwrap();
    }

    fn build_record(&self, connection: &mut Connection) {
        let alter = match self.record {
            Record::None => return,
            Record::Alembic => {
                let alembic = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
                               INSERT INTO alembic_version VALUES ('3f2a')";
                return connection.execute(alembic).unwrap();
            }
            Record::NotSqlx => {
                let other = "CREATE TABLE _sqlx_migrations (version TEXT, checksum, success)";
                return connection.execute(other).unwrap();
            }
            Record::Complete | Record::LineEndings => "",
            Record::FirstOnly => {
                "DELETE FROM _sqlx_migrations WHERE version >
                 (SELECT min(version) FROM _sqlx_migrations)"
            }
            Record::LastOnly => {
                "DELETE FROM _sqlx_migrations WHERE version <
                 (SELECT max(version) FROM _sqlx_migrations)"
            }
            Record::Unfinished => "UPDATE _sqlx_migrations SET success = 0",
            Record::Newer => {
                "INSERT INTO _sqlx_migrations VALUES (99999999999999, 'x', 0, 1, x'00', 0)"
            }
            Record::Garbled => "UPDATE _sqlx_migrations SET checksum = x'00'",
        };
        connection
            .execute(
                "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
                 installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
                 success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
            )
            .unwrap();
        for migration in MigrationSet::built_in().iter() {
            let checksum = match self.record {
                Record::LineEndings => {
                    Sha384::digest(migration.sql.as_str().replace('\n', "\r\n")).to_vec()
                }
                _ => migration.checksum.to_vec(),
            };
            let hex: String = checksum.iter().map(|byte| format!("{byte:02x}")).collect();
            let row = format!(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES ({}, 'x', 1, x'{hex}', 0)",
                migration.version
            );
            connection.execute(&row).unwrap();
        }
        connection.execute(alter).unwrap();
    }
}
