use sqlx::migrate::{Migrate, Migration};

use super::newly_broken::newly_broken;
use super::status::{differs_in_line_endings, rows_of_record};
use super::{MigrationRecord, MigrationSet, MigrationStatus};
use crate::model::{SqlStatement, SqlValue};
use crate::services::db::{Connection, DbError, ForeignKeys, OnLock, Structure, block_on, compare};

const RECORD_TABLE: &str = "_sqlx_migrations";

/// Applies these versions, which were pending, and makes dropped indexes, views and triggers again: all in one transaction that holds the
/// write lock from the start.
///
/// Safety: the record is read again under the lock, so that two boots never apply the same migration
/// twice, and none says that it did what another one has done; foreign keys are off on this connection, so that a rebuilt table does not cascade into its
/// children; the structure and the foreign keys are checked before COMMIT. A kill at any instant
/// leaves the state before or the state after.
///
/// # Errors
///
/// SQLite's reason, [`DbError::Changed`], or that the outcome would not be the expected one. Nothing is changed then.
pub fn apply_pending(
    connection: &mut Connection,
    set: &MigrationSet,
    versions: &[i64],
    on_lock: &mut OnLock<'_>,
) -> Result<(), DbError> {
    let is_as_planned = |status: &MigrationStatus| {
        let is_pending = status.record == MigrationRecord::Sqlx && status.pending == versions;
        let is_plain = status.unknown.is_empty() && status.out_of_order.is_empty();
        is_pending && is_plain && !(versions.is_empty() && status.difference.is_empty())
    };
    in_one_transaction(connection, set, on_lock, is_as_planned, |connection| {
        set.ensure_they_may_run(versions)?;
        for migration in set.iter().filter(|m| versions.contains(&m.version)) {
            apply_one(connection, migration)?;
        }
        make_again(connection, set)
    })
}

/// Makes the indexes, views and triggers again that somebody has dropped: unlike a table or a column, an
/// index comes back with all that was in it.
fn make_again(connection: &mut Connection, set: &MigrationSet) -> Result<(), DbError> {
    let difference = MigrationStatus::look(connection, set)?.difference;
    if difference.holds_no_values() {
        for addition in &difference.additions {
            connection.execute(&addition.statement)?;
        }
    }
    Ok(())
}

/// What an adoption was planned for.
#[derive(Clone, Copy, Debug)]
pub struct Adopted<'a> {
    /// Names exactly the structure.
    pub fingerprint: &'a str,
    /// Rows that the migrations write and that are not there.
    pub lacking_rows: &'a [String],
}

/// Adds what is missing to a database that has no migration record, and records the migrations as
/// applied: all in one transaction.
///
/// Safety: as [`apply_pending`]; besides, the statements were computed for one exact structure, and a person may have
/// seen which rows are not there: both are refused for any other.
///
/// # Errors
///
/// SQLite's reason, or [`DbError::Changed`]. Nothing is changed then.
pub fn adopt(
    connection: &mut Connection,
    set: &MigrationSet,
    statements: &[String],
    expected: &Adopted<'_>,
    on_lock: &mut OnLock<'_>,
) -> Result<(), DbError> {
    let is_as_planned = |status: &MigrationStatus| {
        let lacking = status.lacking_rows.iter().map(ToString::to_string);
        status.record == MigrationRecord::None
            && status.fingerprint() == expected.fingerprint
            && lacking.eq(expected.lacking_rows.iter().cloned())
    };
    in_one_transaction(connection, set, on_lock, is_as_planned, |connection| {
        set.ensure_they_may_run(&set.versions())?;
        for statement in statements {
            connection.execute(statement)?;
        }
        block_on(connection.raw().ensure_migrations_table(RECORD_TABLE))?;
        for migration in set.iter() {
            block_on(connection.raw().skip(RECORD_TABLE, migration))?;
        }
        Ok(())
    })
}

/// Writes today's checksums of migrations whose texts differ in line endings or a byte order mark only.
///
/// Safety: nothing is run again. Under the write lock, each recorded checksum is compared once more
/// with the spellings of today's text; one that is none of them is left, and nothing is changed then.
///
/// # Errors
///
/// SQLite's reason, or [`DbError::Changed`].
pub fn restamp(
    connection: &mut Connection,
    set: &MigrationSet,
    versions: &[i64],
    on_lock: &mut OnLock<'_>,
) -> Result<(), DbError> {
    let mut transaction = connection.begin_exclusive()?;
    let recorded = rows_of_record(transaction.connection())?;
    let to_stamp = |version: &i64| {
        let row = recorded.iter().find(|row| row.version == *version);
        let migration = set.iter().find(|it| it.version == *version);
        let found = row.zip(migration);
        found.filter(|(row, migration)| differs_in_line_endings(migration, &row.checksum))
    };
    let to_stamp: Vec<_> = versions.iter().map_while(to_stamp).collect();
    if to_stamp.len() < versions.len() {
        return Err(DbError::Changed);
    }
    on_lock(transaction.connection())?;
    for (row, migration) in to_stamp {
        transaction.run(&SqlStatement {
            sql: format!("UPDATE {RECORD_TABLE} SET checksum = ?1 WHERE version = ?2"),
            parameters: vec![
                SqlValue::Blob(migration.checksum.to_vec()),
                row.version.into(),
            ],
        })?;
    }
    transaction.commit()
}

fn in_one_transaction(
    connection: &mut Connection,
    set: &MigrationSet,
    on_lock: &mut OnLock<'_>,
    is_as_planned: impl FnOnce(&MigrationStatus) -> bool,
    change: impl FnOnce(&mut Connection) -> Result<(), DbError>,
) -> Result<(), DbError> {
    connection.execute("PRAGMA foreign_keys = OFF")?;
    let mut transaction = connection.begin_exclusive()?;
    if !is_as_planned(&MigrationStatus::look(transaction.connection(), set)?) {
        return Err(DbError::Changed);
    }
    on_lock(transaction.connection())?;
    let keys_before = ForeignKeys::read(transaction.connection())?;
    change(transaction.connection())?;
    verify(transaction.connection(), set, &keys_before)?;
    transaction.commit()
}

/// Before COMMIT, while everything can still be taken back.
fn verify(
    connection: &mut Connection,
    set: &MigrationSet,
    keys_before: &ForeignKeys,
) -> Result<(), DbError> {
    let names = set.expected().names_of_tables_and_views();
    let difference = compare(&Structure::read(connection, &names)?, set.expected());
    if let Some(addition) = difference.additions.first() {
        return Err(DbError::other(format!(
            "{} would still be missing",
            addition.object
        )));
    }
    if let Some(refusal) = difference.refusals.first() {
        return Err(DbError::other(format!(
            "{} would still differ",
            refusal.object
        )));
    }
    match newly_broken(keys_before, &ForeignKeys::read(connection)?) {
        Some(words) => Err(DbError::other(words)),
        None => Ok(()),
    }
}

/// Runs the text as it is and writes sqlx's own form of the record, within the open transaction.
fn apply_one(connection: &mut Connection, migration: &Migration) -> Result<(), DbError> {
    connection
        .execute(migration.sql.as_str())
        .map_err(|error| match error {
            DbError::Other { code, message } => DbError::Other {
                code,
                message: format!("migration {}: {message}", migration.version),
            },
            other => other,
        })?;
    block_on(connection.raw().skip(RECORD_TABLE, migration))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(migrations: &[(&str, &str)]) -> (tempfile::TempDir, MigrationSet) {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql) in migrations {
            std::fs::write(folder.path().join(name), sql).unwrap();
        }
        let set = MigrationSet::from_folder(folder.path()).unwrap();
        (folder, set)
    }

    const FIRST: (&str, &str) = (
        "1_a.sql",
        "CREATE TABLE p (id INTEGER PRIMARY KEY);
                     CREATE TABLE c (p REFERENCES p (id) ON DELETE CASCADE);",
    );
    const REBUILD: (&str, &str) = (
        "2_b.sql",
        "CREATE TABLE p2 (id INTEGER PRIMARY KEY, x); INSERT INTO p2 (id) SELECT id FROM p;
                     DROP TABLE p; ALTER TABLE p2 RENAME TO p;",
    );

    fn count(connection: &mut Connection, table: &str) -> SqlValue {
        connection
            .scalar(&format!("SELECT count(*) FROM {table}"))
            .unwrap()
    }

    #[test]
    fn a_rebuilt_table_keeps_its_children() {
        let (_folder, first) = set_of(&[FIRST]);
        let (_folder, both) = set_of(&[FIRST, REBUILD]);
        let mut connection = Connection::in_memory().unwrap();
        first.apply_all(&mut connection).unwrap();
        connection.execute("PRAGMA foreign_keys = ON").unwrap();
        connection
            .execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                 INSERT INTO p SELECT i FROM n; INSERT INTO c SELECT id FROM p;",
            )
            .unwrap();
        apply_pending(&mut connection, &both, &[2], &mut |_| Ok(())).unwrap();
        assert_eq!(count(&mut connection, "c"), SqlValue::Integer(1000));
        assert!(
            MigrationStatus::look(&mut connection, &both)
                .unwrap()
                .is_current()
        );
    }

    #[test]
    fn a_migration_that_says_nothing_is_not_recorded() {
        let (_folder, first) = set_of(&[FIRST]);
        let (_folder, set) = set_of(&[FIRST, ("2_b.sql", "\u{feff}\n")]);
        let mut connection = Connection::in_memory().unwrap();
        assert!(set.apply_all(&mut connection).is_err());
        first.apply_all(&mut connection).unwrap();
        let error = apply_pending(&mut connection, &set, &[2], &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("says nothing"), "{error}");
        assert_eq!(set.first_not_to_be_run(&[1]), None);
    }

    #[test]
    fn a_failing_migration_leaves_no_half() {
        let (_folder, first) = set_of(&[FIRST]);
        let (_folder, both) = set_of(&[
            FIRST,
            ("2_b.sql", "CREATE TABLE q (x); CREATE TABLE r (x);"),
        ]);
        let mut connection = Connection::in_memory().unwrap();
        first.apply_all(&mut connection).unwrap();
        connection.execute("CREATE TABLE r (y)").unwrap();
        let before = Structure::read(&mut connection, &[]).unwrap();
        let error = apply_pending(&mut connection, &both, &[2], &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "migration 2: table r already exists");
        assert_eq!(Structure::read(&mut connection, &[]).unwrap(), before);
        assert_eq!(count(&mut connection, RECORD_TABLE), SqlValue::Integer(1));
    }

    #[test]
    fn a_plan_for_another_structure_is_refused() {
        let (_folder, set) = set_of(&[FIRST]);
        let mut connection = Connection::in_memory().unwrap();
        let status = MigrationStatus::look(&mut connection, &set).unwrap();
        connection
            .execute("CREATE TABLE p (id INTEGER PRIMARY KEY, y)")
            .unwrap();
        let error = adopt(
            &mut connection,
            &set,
            &[],
            &Adopted {
                fingerprint: &status.fingerprint(),
                lacking_rows: &[],
            },
            &mut |_| Ok(()),
        )
        .unwrap_err();
        assert_eq!(error, DbError::Changed);
    }

    #[test]
    fn a_row_that_went_since_a_person_looked_is_looked_at_again() {
        let (_folder, set) = set_of(&[(
            "1_a.sql",
            "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1)",
        )]);
        let mut connection = Connection::in_memory().unwrap();
        connection
            .execute("CREATE TABLE p (id INTEGER PRIMARY KEY)")
            .unwrap();
        let status = MigrationStatus::look(&mut connection, &set).unwrap();
        let lacking: Vec<String> = status
            .lacking_rows
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut adopt = |lacking_rows: &[String]| {
            let expected = Adopted {
                fingerprint: &status.fingerprint(),
                lacking_rows,
            };
            adopt(&mut connection, &set, &[], &expected, &mut |_| Ok(()))
        };
        assert_eq!(adopt(&[]), Err(DbError::Changed));
        assert_eq!((lacking.len(), adopt(&lacking)), (1, Ok(())));
    }

    #[test]
    fn what_somebody_else_applied_is_not_said_to_be_done() {
        let (_folder, set) = set_of(&[FIRST, REBUILD]);
        let mut connection = Connection::in_memory().unwrap();
        set.apply_all(&mut connection).unwrap();
        for versions in [&[2][..], &[]] {
            let ended = apply_pending(&mut connection, &set, versions, &mut |_| {
                panic!("nothing is to be kept for it")
            });
            assert_eq!(ended, Err(DbError::Changed), "{versions:?}");
        }
        // Another one that is not known here came behind the first.
        let newer = "UPDATE _sqlx_migrations SET version = 3 WHERE version = 2";
        connection.execute(newer).unwrap();
        let ended = apply_pending(&mut connection, &set, &[2], &mut |_| Ok(()));
        assert_eq!(ended, Err(DbError::Changed));
    }

    #[test]
    fn new_broken_references_are_refused() {
        let (_folder, first) = set_of(&[FIRST]);
        let drops_parents = ("2_b.sql", "DELETE FROM p;");
        let (_folder, both) = set_of(&[FIRST, drops_parents]);
        let mut connection = Connection::in_memory().unwrap();
        first.apply_all(&mut connection).unwrap();
        connection
            .execute("INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);")
            .unwrap();
        let apply =
            |connection: &mut Connection| apply_pending(connection, &both, &[2], &mut |_| Ok(()));
        let error = apply(&mut connection).unwrap_err().to_string();
        assert_eq!(
            error,
            "row 1 of c would refer to a row of p that does not exist"
        );
        assert_eq!(count(&mut connection, "p"), SqlValue::Integer(1));
        // As many as before, and another one.
        connection.execute("INSERT INTO c VALUES (2)").unwrap();
        let instead = ("2_b.sql", "DELETE FROM c WHERE p = 2; DELETE FROM p;");
        let (_folder, instead) = set_of(&[FIRST, instead]);
        assert!(apply_pending(&mut connection, &instead, &[2], &mut |_| Ok(())).is_err());
        // What was broken before stays so.
        let (_folder, other) = set_of(&[FIRST, ("2_b.sql", "INSERT INTO p VALUES (3);")]);
        apply_pending(&mut connection, &other, &[2], &mut |_| Ok(())).unwrap();
    }

    #[test]
    fn a_checksum_of_another_text_is_never_stamped_over() {
        let (_folder, set) = set_of(&[FIRST]);
        let mut connection = Connection::in_memory().unwrap();
        set.apply_all(&mut connection).unwrap();
        let stamp = |connection: &mut Connection| restamp(connection, &set, &[1], &mut |_| Ok(()));
        assert!(stamp(&mut connection).is_err(), "nothing to stamp");
        connection
            .execute("UPDATE _sqlx_migrations SET checksum = x'00'")
            .unwrap();
        assert!(stamp(&mut connection).is_err(), "another text");
        let kept = connection.scalar("SELECT checksum FROM _sqlx_migrations");
        assert_eq!(kept, Ok(SqlValue::Blob(vec![0])));
    }
}
