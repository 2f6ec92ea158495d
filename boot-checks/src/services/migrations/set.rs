use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use sqlx::AssertSqlSafe;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, Migrator};

use crate::host::files::read_regular;
use crate::services::db::block_on;
use crate::services::db::{
    Connection, DbError, Structure, Unfit, says_nothing, stay_in_one_transaction, text_of, unfit,
};

/// A migration as it was embedded when the gate was built.
struct Embedded {
    version: i64,
    description: &'static str,
    sql: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// An ordered set of migrations and the structure that they lead to.
#[derive(Debug)]
pub struct MigrationSet {
    migrator: Migrator,
    expected: Structure,
}

/// A migration that is not to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotToBeRun {
    /// Its version.
    pub version: i64,
    /// What it holds that no migration may; none where it has no statement, as a file that was saved only half:
    /// recorded as applied, its text would never be run.
    pub why: Option<Unfit>,
}

impl fmt::Display for NotToBeRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version;
        match &self.why {
            None => write!(
                f,
                "migration {version} says nothing: its file has no statement"
            ),
            Some(unfit) => write!(f, "migration {version}, {unfit}"),
        }
    }
}

/// Why a folder of migrations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrationSetError {
    /// It, or a file in it, cannot be read.
    #[error("cannot read the migrations in {}: {reason}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// sqlx's words, or the system's and the file.
        reason: String,
    },
    /// A file in it would be silently ignored.
    #[error(
        "{} is not named VERSION_NAME.sql, so it would never be applied",
        file.display()
    )]
    Misnamed {
        /// The file.
        file: PathBuf,
    },
    /// Its name is a migration's, and it is a folder, a pipe or the like, which sqlx passes over.
    #[error("{} is no file, so it would never be applied", file.display())]
    NoFile {
        /// What has the name.
        file: PathBuf,
    },
    /// Two files are one migration to the record, which knows them by their number: only one would be applied.
    #[error(
        "{} and {} both have the version {version}, so one of them would never be applied",
        first.display(),
        second.display()
    )]
    SameVersion {
        /// What their names begin with, as a number.
        version: i64,
        /// The one that comes first by name.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// A file holds what no migration may.
    #[error("{}, {unfit}", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What, and where.
        unfit: Unfit,
    },
    /// The folder has no migration.
    #[error("there is no migration in {}", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// A statement cannot be undone by a transaction.
    #[error("migration {version} opts out of transactions, so a kill could leave half of it")]
    NoTransaction {
        /// Its version.
        version: i64,
    },
    /// A kill could leave what it did until then.
    #[error(
        "migration {version} ends the transaction that it is run in, so a kill could leave half of it"
    )]
    EndsTransaction {
        /// Its version.
        version: i64,
    },
    /// The migrations do not run on an empty database.
    #[error("the migrations in {} fail on an empty database: {source}", folder.display())]
    Broken {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: DbError,
    },
}

impl MigrationSetError {
    /// What a person does about it.
    pub fn hint(&self) -> &'static str {
        match self {
            MigrationSetError::Unfit { unfit, .. } => unfit.action,
            MigrationSetError::Unreadable { .. } | MigrationSetError::Empty { .. } => {
                "let `folder` under [migrations] in boot.toml name a folder of migrations that may be read"
            }
            MigrationSetError::Misnamed { .. } | MigrationSetError::NoFile { .. } => {
                "rename it, or move it out of that folder"
            }
            MigrationSetError::SameVersion { .. } => {
                "give the one that was not applied a version of its own that comes last"
            }
            MigrationSetError::NoTransaction { .. } | MigrationSetError::EndsTransaction { .. } => {
                "write it so that it stays in one transaction"
            }
            MigrationSetError::Broken { .. } => {
                "try the migrations on an empty database, and mend the one that fails"
            }
        }
    }
}

impl MigrationSet {
    /// Grace's own.
    pub fn built_in() -> Arc<MigrationSet> {
        static BUILT_IN: LazyLock<Arc<MigrationSet>> = LazyLock::new(|| {
            let migrations = EMBEDDED.iter().map(Embedded::to_sqlx).collect();
            Arc::new(MigrationSet {
                migrator: Migrator::with_migrations(migrations),
                expected: serde_json::from_str(EXPECTED_STRUCTURE)
                    .unwrap_or_else(|error| panic!("the embedded structure: {error}")),
            })
        });
        Arc::clone(&BUILT_IN)
    }

    /// Those in a folder, in sqlx's form.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, a file would be ignored, or the migrations do not run.
    pub fn from_folder(folder: &Path) -> Result<MigrationSet, MigrationSetError> {
        let first_unfit = refuse_misfits(folder)?;
        let migrator =
            block_on(Migrator::new(folder)).map_err(|error| MigrationSetError::Unreadable {
                folder: folder.to_owned(),
                reason: error.to_string(),
            })?;
        if migrator.iter().next().is_none() {
            return Err(MigrationSetError::Empty {
                folder: folder.to_owned(),
            });
        }
        if let Some(migration) = migrator.iter().find(|migration| migration.no_tx) {
            return Err(MigrationSetError::NoTransaction {
                version: migration.version,
            });
        }
        let mut set = MigrationSet {
            migrator,
            expected: Structure::default(),
        };
        // What a pragma did to the one that is tried shows in another one only.
        set.expected = set
            .tried(folder)
            .map_err(|error| first_unfit.unwrap_or(error))?;
        Ok(set)
    }

    /// The structure that they lead to, each in one transaction.
    fn tried(&self, folder: &Path) -> Result<Structure, MigrationSetError> {
        let broken = |source| MigrationSetError::Broken {
            folder: folder.to_owned(),
            source,
        };
        let mut database = Connection::in_memory().map_err(broken)?;
        for migration in self.iter() {
            let stayed = stay_in_one_transaction(&mut database, migration.sql.as_str());
            if !stayed.map_err(broken)? {
                return Err(MigrationSetError::EndsTransaction {
                    version: migration.version,
                });
            }
        }
        Structure::read(&mut database, &[]).map_err(broken)
    }

    /// The structure that a database with all migrations has.
    pub fn expected(&self) -> &Structure {
        &self.expected
    }

    /// The migrations, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Migration> {
        self.migrator
            .iter()
            .filter(|migration| !migration.migration_type.is_down_migration())
    }

    /// The first of these migrations that is not to be run, and why. One that was applied already is what it is.
    pub fn first_not_to_be_run(&self, versions: &[i64]) -> Option<NotToBeRun> {
        let mut pending = self.iter().filter(|it| versions.contains(&it.version));
        pending.find_map(|it| {
            let why = match says_nothing(it.sql.as_str()) {
                true => None,
                false => Some(unfit(it.sql.as_str())?),
            };
            Some(NotToBeRun {
                version: it.version,
                why,
            })
        })
    }

    /// Refuses to run them.
    pub(super) fn ensure_they_may_run(&self, versions: &[i64]) -> Result<(), DbError> {
        match self.first_not_to_be_run(versions) {
            Some(refused) => Err(DbError::other(refused.to_string())),
            None => Ok(()),
        }
    }

    /// Versions, oldest first.
    pub fn versions(&self) -> Vec<i64> {
        self.iter().map(|migration| migration.version).collect()
    }

    /// Applies all of them to an empty database that nobody else has open.
    ///
    /// # Errors
    ///
    /// SQLite's reason, or why one of them is not to be run.
    pub fn apply_all(&self, connection: &mut Connection) -> Result<(), DbError> {
        self.ensure_they_may_run(&self.versions())?;
        block_on(self.migrator.run_direct(None, connection.raw(), false))?;
        Ok(())
    }

    /// The structure that only these versions lead to.
    pub(super) fn shadow_of(&self, versions: &[i64]) -> Result<Structure, DbError> {
        Structure::read(&mut self.shadow(versions)?, &[])
    }

    /// A database of our own with only these versions.
    pub(super) fn shadow(&self, versions: &[i64]) -> Result<Connection, DbError> {
        let mut connection = Connection::in_memory()?;
        for migration in self.iter().filter(|it| versions.contains(&it.version)) {
            connection.execute(migration.sql.as_str())?;
        }
        Ok(connection)
    }
}

impl Embedded {
    fn to_sqlx(&self) -> Migration {
        Migration::new(
            self.version,
            self.description.into(),
            sqlx::migrate::MigrationType::Simple,
            AssertSqlSafe(self.sql).into_sql_str(),
            false,
        )
    }
}

/// Before anything is run. sqlx silently ignores what is not `<VERSION>_<NAME>.sql` or is no file, and its record has
/// one row for each version; a migration that is there and never runs is a false green. Answers what is wrong with the
/// first that holds what no migration may.
fn refuse_misfits(folder: &Path) -> Result<Option<MigrationSetError>, MigrationSetError> {
    let unreadable = |error: std::io::Error| MigrationSetError::Unreadable {
        folder: folder.to_owned(),
        reason: error.to_string(),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();
    let mut first_unfit = None;
    let mut by_version: BTreeMap<i64, PathBuf> = BTreeMap::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if !name.to_ascii_lowercase().ends_with(".sql") {
            continue;
        }
        let version = name
            .split_once('_')
            .map(|(version, _)| version.parse::<i64>());
        let (Some(Ok(version)), true) = (version, name.ends_with(".sql")) else {
            return Err(MigrationSetError::Misnamed { file });
        };
        // Nobody runs them.
        let is_run = !name.ends_with(".down.sql");
        if is_run && let Some(first) = by_version.insert(version, file.clone()) {
            return Err(MigrationSetError::SameVersion {
                version,
                first,
                second: file,
            });
        }
        if !is_run {
            continue;
        }
        let unreadable_file = |error: std::io::Error| MigrationSetError::Unreadable {
            folder: folder.to_owned(),
            reason: format!("{name}: {error}"),
        };
        // Before it is opened: a pipe would be waited for.
        let metadata = std::fs::metadata(&file).map_err(unreadable_file)?;
        if !metadata.is_file() {
            return Err(MigrationSetError::NoFile { file });
        }
        let bytes = read_regular(&file).map_err(unreadable_file)?;
        match text_of(&bytes).map(unfit) {
            Err(unfit) => return Err(MigrationSetError::Unfit { file, unfit }),
            Ok(Some(unfit)) if first_unfit.is_none() => {
                first_unfit = Some(MigrationSetError::Unfit { file, unfit });
            }
            Ok(_) => {}
        }
    }
    Ok(first_unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_structure_is_the_one_that_the_migrations_lead_to() {
        let set = MigrationSet::built_in();
        assert_eq!(*set.expected(), set.tried(Path::new("")).unwrap());
        assert!(set.versions().is_sorted() && !set.versions().is_empty());
    }

    #[test]
    fn a_file_that_sqlx_would_ignore_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("0001_a.sql"), "CREATE TABLE a (x);").unwrap();
        assert!(MigrationSet::from_folder(folder.path()).is_ok());
        std::fs::write(folder.path().join("second.sql"), "CREATE TABLE b (x);").unwrap();
        let error = MigrationSet::from_folder(folder.path()).unwrap_err();
        assert!(
            matches!(error, MigrationSetError::Misnamed { .. }),
            "{error}"
        );
    }

    #[test]
    fn two_files_of_one_version_are_refused() {
        for second in ["0001_b.sql", "1_b.sql", "+1_b.sql", "1_b.up.sql"] {
            let folder = tempfile::tempdir().unwrap();
            for (name, sql) in [
                ("0001_a.sql", "CREATE TABLE a (x);"),
                ("0001_a.down.sql", "DROP TABLE a;"),
                ("2_c.up.sql", "CREATE TABLE c (x);"),
                ("2_c.down.sql", "DROP TABLE c;"),
            ] {
                std::fs::write(folder.path().join(name), sql).unwrap();
            }
            assert!(MigrationSet::from_folder(folder.path()).is_ok());
            std::fs::write(folder.path().join(second), "CREATE TABLE b (x);").unwrap();
            let error = MigrationSet::from_folder(folder.path()).unwrap_err();
            let is_it = matches!(error, MigrationSetError::SameVersion { version: 1, .. });
            let message = error.to_string();
            let names_both = message.contains("0001_a.sql") && message.contains(second);
            assert!(is_it && names_both, "{message}");
        }
    }

    #[test]
    fn migrations_that_cannot_be_taken_back_or_do_not_run_are_refused() {
        for sql in [
            "-- no-transaction\nCREATE TABLE a (x);",
            "CREATE TABEL a (x);",
            "CREATE TABLE a (x); COMMIT; CREATE TABLE b (x); BEGIN;",
            "VACUUM;",
            "CREATE TABLE a (x);\0CREATE TABLE b (x);",
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("1_a.sql"), sql).unwrap();
            assert!(MigrationSet::from_folder(folder.path()).is_err(), "{sql}");
        }
    }

    /// As they are run: of a row that is the application's nothing is known here.
    #[test]
    fn references_to_what_is_not_here_refuse_no_migration() {
        let tables = "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT);
                      CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p, code REFERENCES p (code), g REFERENCES gone);";
        for sql in [
            "UPDATE p SET code = 'b'; DELETE FROM p WHERE id = 99;",
            "INSERT INTO c (id, p, code, g) VALUES (5, 1, 'a', 2);",
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("1_a.sql"), tables).unwrap();
            std::fs::write(folder.path().join("2_b.sql"), sql).unwrap();
            let set = MigrationSet::from_folder(folder.path());
            assert!(set.is_ok(), "{sql}: {}", set.unwrap_err());
        }
    }

    /// What was applied by another program is as it is, and nobody runs what would take it back.
    #[test]
    fn what_no_migration_may_hold_is_refused_of_those_that_are_to_be_run() {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql) in [
            ("1_a.up.sql", "PRAGMA journal_mode=WAL; CREATE TABLE a (x);"),
            ("2_b.up.sql", "CREATE TABLE b (x);"),
            ("2_b.down.sql", "VACUUM; \0"),
        ] {
            std::fs::write(folder.path().join(name), sql).unwrap();
        }
        let set = MigrationSet::from_folder(folder.path()).unwrap();
        let refused = set.first_not_to_be_run(&set.versions()).unwrap();
        assert_eq!(refused.version, 1);
        assert!(refused.to_string().contains("journal_mode"), "{refused}");
        assert_eq!(set.first_not_to_be_run(&[2]), None);
        let mut connection = Connection::in_memory().unwrap();
        assert!(set.apply_all(&mut connection).is_err());
    }
}
