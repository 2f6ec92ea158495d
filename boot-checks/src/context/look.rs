//! An open database and what was read through it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::host::PrivateFolder;
use crate::services::db::{Access, Connection, DbError, Row, Structure};
use crate::services::migrations::{MigrationSet, MigrationStatus};

/// One statement's patience with a lock. The boot's own patience is the budget in [`Context`].
pub(super) const STATEMENT_WAIT: Duration = Duration::from_millis(100);

/// How often a journal is taken for a live transaction's before it is taken for a crash's.
pub(super) const LOOKS_AT_A_JOURNAL: usize = 8;

/// What is waited between two such looks.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

pub(super) struct Look {
    pub(super) connection: Connection,
    schema: Option<Schema>,
    answers: BTreeMap<&'static str, Arc<[Row]>>,
    _copy: Option<PrivateFolder>,
}

impl Look {
    pub(super) fn open(
        path: &Path,
        access: Access,
        copy: Option<PrivateFolder>,
    ) -> Result<Look, DbError> {
        let connection = Connection::open(path, access, STATEMENT_WAIT)?;
        Ok(Look::of(connection, copy))
    }

    pub(super) fn of(connection: Connection, copy: Option<PrivateFolder>) -> Look {
        Look {
            connection,
            schema: None,
            answers: BTreeMap::new(),
            _copy: copy,
        }
    }

    /// Opens it for reading where it is, unless its journal is a crash's.
    ///
    /// Safety: SQLite takes a journal for a live transaction's as long as its owner has a lock, and reads what was
    /// committed before; any other it would have to roll back, which it refuses through a connection that may not
    /// write, before it writes (<https://www.sqlite.org/rescode.html#readonly_rollback>). It refuses too where the
    /// owner came between its look at the locks and that at the journal; a crash's is refused each time.
    pub(super) fn open_beside_a_journal(path: &Path) -> Result<Option<Look>, DbError> {
        for look in 0..LOOKS_AT_A_JOURNAL {
            if look > 0 {
                std::thread::sleep(BETWEEN_LOOKS);
            }
            let mut look = Look::open(path, Access::ReadOnly, None)?;
            match look.connection.scalar("PRAGMA schema_version") {
                Ok(_) => return Ok(Some(look)),
                Err(error) => {
                    look.connection.close();
                    if !error.wants_rollback() {
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Asked once.
    pub(super) fn answer(&mut self, question: &'static str) -> Result<Arc<[Row]>, DbError> {
        if let Some(rows) = self.answers.get(question) {
            return Ok(Arc::clone(rows));
        }
        let rows: Arc<[Row]> = self.connection.query(question, &[])?.into();
        self.answers.insert(question, Arc::clone(&rows));
        Ok(rows)
    }

    /// Read once.
    pub(super) fn schema(&mut self, wanted: &Wanted<'_>) -> Result<&Schema, DbError> {
        let schema = match self.schema.take() {
            Some(schema) => schema,
            None => Schema::read(&mut self.connection, wanted)?,
        };
        Ok(self.schema.insert(schema))
    }
}

/// What is read of a database's schema.
pub(super) struct Wanted<'a> {
    /// Of these tables.
    pub(super) names: Vec<&'a str>,
    /// How they are expected to be.
    pub(super) expected: &'a Structure,
    /// What makes them; none where the gate applies no migrations.
    pub(super) migrations: Option<&'a MigrationSet>,
}

/// A database's tables, and where it stands against the migrations.
pub(super) struct Schema {
    pub(super) structure: Arc<Structure>,
    pub(super) migration_status: Result<Arc<MigrationStatus>, DbError>,
}

impl Schema {
    /// Both of one state: beside somebody who migrates, tables of before and a record of afterwards would say that the
    /// tables were lost.
    fn read(connection: &mut Connection, wanted: &Wanted<'_>) -> Result<Schema, DbError> {
        let mut reading = connection.begin_reading()?;
        let connection = reading.connection();
        let structure = match wanted.names.is_empty() {
            true => Structure::default(),
            false => Structure::read_expecting(connection, &wanted.names, wanted.expected)?,
        };
        let migration_status = match wanted.migrations {
            Some(set) => MigrationStatus::judge(connection, set, &structure),
            None => Err(DbError::other("there are no migrations")),
        };
        if let Err(error @ DbError::Locked { .. }) = migration_status {
            return Err(error);
        }
        Ok(Schema {
            structure: Arc::new(structure),
            migration_status: migration_status.map(Arc::new),
        })
    }
}
