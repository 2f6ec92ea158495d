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
    structure: Option<Arc<Structure>>,
    migration_status: Option<Arc<MigrationStatus>>,
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
            structure: None,
            migration_status: None,
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
    pub(super) fn structure(
        &mut self,
        names: &[&str],
        expected: &Structure,
    ) -> Result<Arc<Structure>, DbError> {
        if let Some(structure) = &self.structure {
            return Ok(Arc::clone(structure));
        }
        let structure = Structure::read_expecting(&mut self.connection, names, expected)?;
        Ok(Arc::clone(self.structure.insert(Arc::new(structure))))
    }

    /// Judged once.
    pub(super) fn migration_status(
        &mut self,
        set: &MigrationSet,
        structure: &Structure,
    ) -> Result<Arc<MigrationStatus>, DbError> {
        if let Some(status) = &self.migration_status {
            return Ok(Arc::clone(status));
        }
        let status = MigrationStatus::judge(&mut self.connection, set, structure)?;
        Ok(Arc::clone(self.migration_status.insert(Arc::new(status))))
    }
}
