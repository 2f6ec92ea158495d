use sqlx::migrate::{Migration, MigrationType};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use super::MigrationSet;
use super::beyond::beyond;
use super::seeds::{LackingRows, lacking_rows};
use crate::model::SqlValue;
use crate::services::db::{Connection, DbError, Difference, Structure, compare};

/// Tables in which other tools keep their record, and the tools' names.
pub(super) const FOREIGN_RECORDS: [(&str, &str); 12] = [
    ("alembic_version", "Alembic"),
    ("django_migrations", "Django"),
    ("schema_migrations", "Rails, golang-migrate or dbmate"),
    ("__diesel_schema_migrations", "Diesel"),
    ("flyway_schema_history", "Flyway"),
    ("databasechangelog", "Liquibase"),
    ("knex_migrations", "Knex"),
    ("SequelizeMeta", "Sequelize"),
    ("_prisma_migrations", "Prisma"),
    ("goose_db_version", "goose"),
    ("__EFMigrationsHistory", "Entity Framework"),
    ("refinery_schema_history", "refinery"),
];

/// Where sqlx keeps its record.
pub(super) const OWN_RECORD: &str = "_sqlx_migrations";

/// Who keeps the record of applied migrations in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrationRecord {
    /// Another tool.
    Foreign(&'static str),
    /// Nobody.
    None,
    /// sqlx.
    Sqlx,
}

/// A migration whose text is not the one that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Only line endings or a byte order mark differ.
    LineEndings(i64),
    /// Something else differs, and the database has exactly the structure that today's texts make.
    SameStructure(i64),
    /// Something else differs, and the structures do too.
    OtherStructure(i64),
}

/// Where a database stands against a set of migrations.
#[derive(Clone, Debug, PartialEq)]
pub struct MigrationStatus {
    /// Who keeps the record.
    pub record: MigrationRecord,
    /// Versions that are to be applied, oldest first.
    pub pending: Vec<i64>,
    /// Pending versions that are older than an applied one.
    pub out_of_order: Vec<i64>,
    /// Applied versions that the set does not have: the database is newer than the code.
    pub unknown: Vec<i64>,
    /// Versions that an earlier tool began and did not end.
    pub unfinished: Vec<i64>,
    /// Applied versions whose text has changed since.
    pub drift: Vec<Drift>,
    /// What today's text of the applied migrations makes differently, where some of it was edited.
    pub drift_difference: Vec<String>,
    /// The expected structure against the one that is there.
    pub difference: Difference,
    /// Rows that the migrations write and that are not there, where nothing says that they ever ran.
    pub lacking_rows: Vec<LackingRows>,
    /// What was looked at.
    pub structure: Structure,
}

impl MigrationStatus {
    /// Looks at a database; changes nothing.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn look(connection: &mut Connection, set: &MigrationSet) -> Result<Self, DbError> {
        let names = set.expected().names_of_tables_and_views();
        let structure = Structure::read(connection, &names)?;
        MigrationStatus::judge(connection, set, &structure)
    }

    /// As [`MigrationStatus::look`], for a structure that was just read and may hold other tables.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn judge(
        connection: &mut Connection,
        set: &MigrationSet,
        structure: &Structure,
    ) -> Result<Self, DbError> {
        let (records, rows) = Records::read(connection)?;
        let structure = structure.only(set.expected());
        // Without a row, beside tables that the migrations make, it recorded nothing: running them would
        // make those tables again.
        let is_kept = !rows.is_empty() || structure.tables.is_empty();
        let record = match (records.own && is_kept, records.foreign) {
            (true, _) => MigrationRecord::Sqlx,
            (false, Some(tool)) => MigrationRecord::Foreign(tool),
            (false, None) => MigrationRecord::None,
        };
        let mut status = MigrationStatus {
            record,
            pending: Vec::new(),
            out_of_order: Vec::new(),
            unknown: Vec::new(),
            unfinished: Vec::new(),
            drift: Vec::new(),
            drift_difference: Vec::new(),
            difference: compare(&structure, set.expected()),
            lacking_rows: Vec::new(),
            structure,
        };
        match status.record {
            MigrationRecord::Foreign(_) => status.difference.only_note_own_keys(),
            MigrationRecord::None => {
                status.pending = set.versions();
                status.lacking_rows = lacking_rows(connection, set, &status.structure)?;
            }
            MigrationRecord::Sqlx => status.read_record(connection, rows, set)?,
        }
        // A pending migration may rename tables itself.
        let may_be_made_anew = status.pending.is_empty() || status.record == MigrationRecord::None;
        if may_be_made_anew && status.difference.lacks_a_table() {
            let all = Structure::read(connection, &[])?;
            status.difference.suspect_renames(&all, set.expected());
        }
        Ok(status)
    }

    /// Names exactly the structure that was looked at.
    pub fn fingerprint(&self) -> String {
        self.structure.fingerprint()
    }

    /// Whether the record and the structure are what the set leads to.
    pub fn is_current(&self) -> bool {
        let record_is_current = self.record != MigrationRecord::None
            && self.pending.is_empty()
            && self.unknown.is_empty()
            && self.unfinished.is_empty()
            && !self
                .drift
                .iter()
                .any(|drift| matches!(drift, Drift::OtherStructure(_)));
        record_is_current && self.difference.is_empty()
    }

    /// Whether something is missing that the recorded migrations made and that held values.
    pub fn has_lost_values(&self) -> bool {
        let is_recorded = self.record == MigrationRecord::Sqlx && self.pending.is_empty();
        is_recorded && !self.difference.is_empty() && !self.difference.holds_no_values()
    }

    fn read_record(
        &mut self,
        connection: &mut Connection,
        rows: Vec<Recorded>,
        set: &MigrationSet,
    ) -> Result<(), DbError> {
        let mut applied = Vec::new();
        let mut edited = Vec::new();
        for row in rows {
            if !row.success {
                self.unfinished.push(row.version);
            }
            match set
                .iter()
                .find(|migration| migration.version == row.version)
            {
                None => self.unknown.push(row.version),
                Some(migration) if *migration.checksum == row.checksum => {}
                Some(migration) if differs_in_line_endings(migration, &row.checksum) => {
                    self.drift.push(Drift::LineEndings(row.version));
                }
                Some(_) => edited.push(row.version),
            }
            applied.push(row.version);
        }
        self.pending = set.versions();
        self.pending.retain(|version| !applied.contains(version));
        let newest = applied.last().copied().unwrap_or(i64::MIN);
        self.out_of_order = self
            .pending
            .iter()
            .copied()
            .filter(|v| *v < newest)
            .collect();
        self.judge_applied(connection, set, &applied, &edited)
    }

    /// An edited migration is judged by what it makes: a shadow database is built from today's text of
    /// the applied migrations and compared with the structure that is there, in both directions. What is
    /// there and made by none of today's texts counts as a difference, see [`beyond`]; not where versions are
    /// applied that are not known here, which may have made it. Where
    /// some are pending, what cannot be had by adding is judged by that one too: they may change it.
    fn judge_applied(
        &mut self,
        connection: &mut Connection,
        set: &MigrationSet,
        applied: &[i64],
        edited: &[i64],
    ) -> Result<(), DbError> {
        let is_begun = !applied.is_empty() && self.out_of_order.is_empty();
        let changes_more = is_begun && !self.pending.is_empty();
        if edited.is_empty() && !changes_more {
            return Ok(());
        }
        let shadow = set.shadow_of(applied)?;
        let names = shadow.names_of_tables_and_views();
        let structure = Structure::read(connection, &names)?.only(&shadow);
        if changes_more {
            let difference = compare(&structure, &shadow);
            self.difference.refusals = difference.refusals;
            self.difference.notes = difference.notes;
        }
        if edited.is_empty() {
            return Ok(());
        }
        if structure.fingerprint() != shadow.fingerprint() {
            self.drift_difference = words_of_difference(&structure, &shadow);
        }
        if self.unknown.is_empty() {
            let beyond = beyond(connection, [&shadow, set.expected()])?;
            let words = beyond.iter().map(|object| {
                format!("{object} is there and would not be made: the text that was applied may have made it")
            });
            self.drift_difference.extend(words);
        }
        let drift = match self.drift_difference.is_empty() {
            true => Drift::SameStructure,
            false => Drift::OtherStructure,
        };
        self.drift
            .extend(edited.iter().map(|version| drift(*version)));
        Ok(())
    }
}

/// One row of sqlx's record.
pub(super) struct Recorded {
    pub(super) version: i64,
    pub(super) checksum: Vec<u8>,
    pub(super) success: bool,
}

/// sqlx's record, oldest first.
pub(super) fn rows_of_record(connection: &mut Connection) -> Result<Vec<Recorded>, DbError> {
    let sql = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";
    let rows = connection.query(sql, &[])?.into_iter().map(|row| {
        let [
            SqlValue::Integer(version),
            SqlValue::Blob(checksum),
            success,
        ] = row.as_slice()
        else {
            return Err(DbError::other("the table _sqlx_migrations is not sqlx's"));
        };
        Ok(Recorded {
            version: *version,
            checksum: checksum.clone(),
            success: *success == SqlValue::Integer(1),
        })
    });
    rows.collect()
}

fn words_of_difference(there: &Structure, shadow: &Structure) -> Vec<String> {
    let missing = compare(there, shadow);
    let more = compare(shadow, there);
    let mut words: Vec<String> = missing
        .additions
        .iter()
        .map(|it| format!("{} would be made and is not there", it.object))
        .collect();
    words.extend(missing.refusals.iter().map(|it| {
        let (found, expected) = (&it.found, it.expected.trim());
        format!("{}: found {found}, would be {expected}", it.object)
    }));
    words.extend(missing.notes);
    words.extend(
        more.additions
            .iter()
            .map(|it| format!("{} is there and would not be made", it.object)),
    );
    if words.is_empty() {
        words.push("constraints or their order differ".to_owned());
    }
    words
}

/// The tool, other than sqlx, that keeps a record in this database.
///
/// # Errors
///
/// SQLite's reason.
pub fn foreign_tool(connection: &mut Connection) -> Result<Option<&'static str>, DbError> {
    let records = Records::look(connection)?;
    Ok(records.foreign.filter(|_| !records.own))
}

/// Whose records of migrations there are.
struct Records {
    own: bool,
    foreign: Option<&'static str>,
}

impl Records {
    /// With the rows of sqlx's own. Where it has some, it does not matter who else keeps a record.
    fn read(connection: &mut Connection) -> Result<(Records, Vec<Recorded>), DbError> {
        match rows_of_record(connection) {
            Ok(rows) if !rows.is_empty() => Ok((Records::OWN, rows)),
            Ok(_) | Err(DbError::Other { .. }) => {
                let records = Records::look(connection)?;
                let rows = match records.own {
                    true => rows_of_record(connection)?,
                    false => Vec::new(),
                };
                Ok((records, rows))
            }
            Err(error) => Err(error),
        }
    }

    const OWN: Records = Records {
        own: true,
        foreign: None,
    };

    fn look(connection: &mut Connection) -> Result<Records, DbError> {
        let mut tables = vec![OWN_RECORD];
        tables.extend(FOREIGN_RECORDS.iter().map(|(table, _)| *table));
        let there = Structure::names(connection, &tables)?;
        let has = |table: &str| there.iter().any(|name| name.eq_ignore_ascii_case(table));
        let foreign = FOREIGN_RECORDS.into_iter().find(|(table, _)| has(table));
        Ok(Records {
            own: has(OWN_RECORD),
            foreign: foreign.map(|(_, tool)| tool),
        })
    }
}

/// Whether the applied text was this one in another spelling.
pub(super) fn differs_in_line_endings(migration: &Migration, applied: &[u8]) -> bool {
    let plain = migration
        .sql
        .as_str()
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n");
    let with_crlf = plain.replace('\n', "\r\n");
    let spellings = [
        format!("\u{feff}{plain}"),
        format!("\u{feff}{with_crlf}"),
        with_crlf,
        plain,
    ];
    *migration.checksum != *applied && spellings.into_iter().any(|sql| checksum(sql) == applied)
}

fn checksum(sql: String) -> Vec<u8> {
    let sql = AssertSqlSafe(sql).into_sql_str();
    Migration::new(0, "".into(), MigrationType::Simple, sql, false)
        .checksum
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(setup: &str) -> MigrationStatus {
        let mut connection = Connection::in_memory().unwrap();
        MigrationSet::built_in().apply_all(&mut connection).unwrap();
        connection.execute(setup).unwrap();
        MigrationStatus::look(&mut connection, &MigrationSet::built_in()).unwrap()
    }

    #[test]
    fn a_migrated_database_is_current() {
        assert!(look("").is_current());
    }

    #[test]
    fn each_deviation_of_the_record_is_seen() {
        let newest = *MigrationSet::built_in().versions().last().unwrap();
        let oldest = MigrationSet::built_in().versions()[0];
        let delete = |version| format!("DELETE FROM _sqlx_migrations WHERE version = {version}");
        assert_eq!(look(&delete(newest)).pending, [newest]);
        assert_eq!(look(&delete(oldest)).out_of_order, [oldest]);
        let newer = "INSERT INTO _sqlx_migrations VALUES (99999999999999, 'x', 0, 1, x'00', 0)";
        assert_eq!(look(newer).unknown, [99_999_999_999_999]);
        let unfinished =
            format!("UPDATE _sqlx_migrations SET success = 0 WHERE version = {newest}");
        assert_eq!(look(&unfinished).unfinished, [newest]);
        let changed =
            format!("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = {newest}");
        assert_eq!(look(&changed).drift, [Drift::SameStructure(newest)]);
        assert!(look(&changed).is_current());
        let dropped = format!("{changed}; ALTER TABLE playbooks DROP COLUMN risk_level");
        let seen = look(&dropped);
        assert_eq!(seen.drift, [Drift::OtherStructure(newest)]);
        assert!(!seen.is_current());
        let words = "column playbooks.risk_level would be made and is not there";
        assert_eq!(seen.drift_difference, [words]);
        let other = format!(
            "{changed}; CREATE TABLE u AS SELECT * FROM playbooks; DROP TABLE playbooks;
             ALTER TABLE u RENAME TO playbooks"
        );
        assert_eq!(look(&other).drift, [Drift::OtherStructure(newest)]);
    }

    #[test]
    fn an_edit_is_judged_by_the_migrations_that_were_applied() {
        let versions = MigrationSet::built_in().versions();
        let newest = versions[versions.len() - 1];
        let edited = versions[0];
        let mut connection = Connection::in_memory().unwrap();
        let set = MigrationSet::built_in();
        for migration in set.iter().filter(|it| it.version != newest) {
            connection.execute(migration.sql.as_str()).unwrap();
        }
        connection
            .execute(&format!(
                "CREATE TABLE _sqlx_migrations (version, description, installed_on, success, checksum, execution_time);
                 INSERT INTO _sqlx_migrations SELECT {edited}, '', 0, 1, x'00', 0"
            ))
            .unwrap();
        for migration in set
            .iter()
            .filter(|it| ![edited, newest].contains(&it.version))
        {
            let sql = "INSERT INTO _sqlx_migrations VALUES (?1, '', 0, 1, ?2, 0)";
            let checksum = SqlValue::Blob(migration.checksum.to_vec());
            connection
                .query(sql, &[migration.version.into(), checksum])
                .unwrap();
        }
        let seen = MigrationStatus::look(&mut connection, &set).unwrap();
        assert_eq!(seen.drift, [Drift::SameStructure(edited)]);
        assert_eq!(seen.pending, [newest]);
    }

    const SECOND: &str = "CREATE TABLE u (id INTEGER PRIMARY KEY);
        CREATE VIEW v AS SELECT * FROM u; CREATE INDEX i ON u (id);
        CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO u VALUES (NULL); END;";

    /// What is seen where both migrations were applied, something was done, and the second has another text.
    fn look_after_an_edit(setup: &str, edited: &str, third: Option<&str>) -> MigrationStatus {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, sql: &str| std::fs::write(folder.path().join(name), sql).unwrap();
        write("1_a.sql", "CREATE TABLE t (a, b);");
        write("2_b.sql", SECOND);
        let mut connection = Connection::in_memory().unwrap();
        let set = MigrationSet::from_folder(folder.path()).unwrap();
        set.apply_all(&mut connection).unwrap();
        connection.execute(setup).unwrap();
        write("2_b.sql", edited);
        if let Some(sql) = third {
            write("3_c.sql", sql);
        }
        let set = MigrationSet::from_folder(folder.path()).unwrap();
        MigrationStatus::look(&mut connection, &set).unwrap()
    }

    #[test]
    fn what_an_edit_takes_out_of_a_migration_is_a_difference() {
        let (before_view, rest) = SECOND.split_once("CREATE VIEW").unwrap();
        let without_view = format!("{before_view}{}", rest.split_once(';').unwrap().1);
        let (without_trigger, _) = SECOND.split_once("CREATE TRIGGER").unwrap();
        for (edited, objects) in [
            ("", &["table u", "view v", "trigger g"][..]),
            ("-- nothing", &["table u", "view v", "trigger g"]),
            (&without_view, &["view v"]),
            (without_trigger, &["trigger g"]),
        ] {
            let seen = look_after_an_edit("", edited, None);
            assert_eq!(seen.drift, [Drift::OtherStructure(2)], "{edited}");
            let words = seen.drift_difference.iter();
            let named: Vec<&str> = words
                .filter_map(|it| it.split(" is there").next())
                .collect();
            assert_eq!(named, objects, "{edited}");
        }
    }

    /// Nobody knows what the text that was applied made; what tools keep their record in is known.
    #[test]
    fn what_no_migration_makes_counts_only_beside_an_edit() {
        let comment = format!("{SECOND} -- here");
        let tools = "CREATE TABLE alembic_version (version_num); CREATE TABLE _litestream_seq (id); CREATE TABLE n (i INTEGER PRIMARY KEY AUTOINCREMENT);
                     DROP TABLE n; CREATE INDEX other ON alembic_version (version_num);";
        let own = "CREATE TABLE own (a); CREATE VIEW own_view AS SELECT 1; CREATE INDEX own_index ON t (a);";
        let search = "CREATE VIRTUAL TABLE f USING fts5(a);";
        assert_eq!(look_after_an_edit(own, SECOND, None).drift, []);
        let drift = |setup, third| look_after_an_edit(setup, &comment, third).drift;
        assert_eq!(drift("", None), [Drift::SameStructure(2)]);
        assert_eq!(drift(tools, None), [Drift::SameStructure(2)]);
        assert_eq!(drift(own, None), [Drift::OtherStructure(2)]);
        let seen = look_after_an_edit(search, &comment, None);
        assert_eq!(
            seen.drift_difference.len(),
            1,
            "{:?}",
            seen.drift_difference
        );
        // A pending one makes it too.
        let third = Some("CREATE TABLE IF NOT EXISTS own (a);");
        assert_eq!(
            drift("CREATE TABLE own (a)", third),
            [Drift::SameStructure(2)]
        );
        // An applied one that is not known here may have made it.
        let newer =
            "CREATE TABLE newer (a); INSERT INTO _sqlx_migrations VALUES (9, 'x', 0, 1, x'00', 0);";
        assert_eq!(drift(newer, None), [Drift::SameStructure(2)]);
    }

    #[test]
    fn what_a_pending_migration_changes_is_no_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, sql: &str| std::fs::write(folder.path().join(name), sql).unwrap();
        write(
            "1_a.sql",
            "CREATE TABLE t (a, b); CREATE VIEW v AS SELECT a FROM t; CREATE INDEX i ON t (a);",
        );
        let mut connection = Connection::in_memory().unwrap();
        let first = MigrationSet::from_folder(folder.path()).unwrap();
        first.apply_all(&mut connection).unwrap();
        write(
            "2_b.sql",
            "DROP VIEW v; CREATE VIEW v AS SELECT b FROM t; DROP INDEX i; CREATE INDEX i ON t (b);
             ALTER TABLE t RENAME COLUMN a TO c;",
        );
        let both = MigrationSet::from_folder(folder.path()).unwrap();
        let seen = MigrationStatus::look(&mut connection, &both).unwrap();
        assert_eq!((seen.difference.refusals, seen.pending), (vec![], vec![2]));
        connection
            .execute("DROP VIEW v; CREATE VIEW v AS SELECT 1")
            .unwrap();
        let seen = MigrationStatus::look(&mut connection, &both).unwrap();
        assert_eq!(seen.difference.refusals[0].object, "view v");
    }

    #[test]
    fn line_endings_are_no_change_of_text() {
        let set = MigrationSet::built_in();
        let migration = set.iter().next().unwrap();
        let text = migration.sql.as_str();
        for spelling in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            assert!(differs_in_line_endings(migration, &checksum(spelling)));
        }
        let other = checksum(format!("{text} "));
        assert!(!differs_in_line_endings(migration, &other));
    }

    #[test]
    fn a_record_without_a_row_recorded_nothing() {
        let empty = "DELETE FROM _sqlx_migrations;";
        let all =
            "DROP TABLE playbooks; DROP TABLE verification_events; DROP TABLE meta_loop_configs;";
        let alembic = "CREATE TABLE alembic_version (version_num TEXT);";
        assert_eq!(look(empty).record, MigrationRecord::None);
        let begun = look(&format!("{empty}{all}"));
        assert_eq!(begun.record, MigrationRecord::Sqlx);
        let foreign = look(&format!("{empty}{alembic}"));
        assert_eq!(foreign.record, MigrationRecord::Foreign("Alembic"));
        assert_eq!(look(alembic).record, MigrationRecord::Sqlx);
    }

    /// It made the key perhaps, and the gate does not know its migrations; what is missing is missing all the same.
    #[test]
    fn a_key_in_what_another_tool_migrates_is_a_note() {
        let key = "CREATE UNIQUE INDEX own ON verification_events (target_component, created_at);";
        let foreign =
            "DELETE FROM _sqlx_migrations; CREATE TABLE alembic_version (version_num TEXT);";
        let told = |setup: &str| {
            let difference = look(setup).difference;
            (difference.refusals.len(), difference.notes)
        };
        assert_eq!(told(key).0, 1);
        let (refused, notes) = told(&format!("{foreign}{key}"));
        let [note] = &notes[..] else {
            panic!("{notes:?}")
        };
        assert!(
            refused == 0 && note.contains("index own is not expected"),
            "{note}"
        );
        let strict = "DROP TABLE playbooks; CREATE TABLE playbooks (id TEXT PRIMARY KEY) STRICT;";
        assert!(told(&format!("{foreign}{strict}")).0 > 0);
    }

    #[test]
    fn other_tools_are_named() {
        let mut connection = Connection::in_memory().unwrap();
        assert_eq!(foreign_tool(&mut connection).unwrap(), None);
        connection
            .execute("CREATE TABLE alembic_version (version_num TEXT)")
            .unwrap();
        assert_eq!(foreign_tool(&mut connection).unwrap(), Some("Alembic"));
    }
}
