//! A change that is one transaction in the application's database.

use std::path::Path;

use super::changes::{database_error, file_error};
use super::door::{Part, STATE_FOLDER, no_backup};
use super::touched::KeptOpen;
use super::{Door, DoorError, Kind, Phase, Touched};
use crate::context::Context;
use crate::host;
use crate::model::SqlValue;
use crate::services::db::{Access, Connection, DbError, OnLock};

impl Door {
    /// A change that is one transaction in the application's database.
    ///
    /// Safety: the copy is taken, and in the journal, under the write lock and before the first
    /// write ([`Backups::save_database`]). What the change left is named after COMMIT, and only where
    /// `data_version` says that nobody else has committed since the lock was taken; otherwise it
    /// stays unnamed and an undo is refused, since it would take the other's rows along.
    pub(super) fn in_database(
        &self,
        cx: &Context,
        part: Part<'_>,
        done: &mut Vec<Touched>,
        mut change: impl FnMut(&mut Connection, &mut OnLock<'_>) -> Result<(), DbError>,
    ) -> Result<(), DoorError> {
        let path = cx
            .database_path()
            .ok_or_else(|| DbError::other("the database is in memory"))?;
        ensure_writable(path)?;
        cx.ensure_not_damaged()?;
        loop {
            let mut kept = KeptOpen::default();
            let (mut begun, mut refused) = (None, None);
            let mut connection = cx.open_judged(Access::ReadWrite, cx.lock_patience())?;
            let changed = change(&mut connection, &mut |connection| {
                let version = connection.scalar(DATA_VERSION)?;
                match self.begin_locked(part, path, &mut kept) {
                    Ok(touched) => {
                        begun = Some((touched, version));
                        Ok(())
                    }
                    // Through the change only words of the database come; what it is goes beside them.
                    Err(error) => {
                        let reason = DbError::other(error.to_string());
                        refused = Some(error);
                        Err(reason)
                    }
                }
            });
            if let Some((touched, version)) = &mut begun {
                touched.after = settled(&mut connection, path, &mut kept, version);
            }
            connection.close();
            drop(kept);
            if let Some(error) = refused {
                return Err(error);
            }
            match (changed, begun) {
                (Ok(()), begun) => {
                    let touched: Vec<Touched> =
                        begun.map(|(touched, _)| touched).into_iter().collect();
                    let _ = self.note(part, Phase::Applied, &touched);
                    done.extend(touched);
                    return Ok(());
                }
                // Only its beginning meets a lock ([`Connection::begin_exclusive`]): nothing was done.
                (Err(error), None) if error.is_locked() => wait(cx, error)?,
                (Err(error), begun) => {
                    done.extend(begun.map(|(touched, _)| touched));
                    return Err(database_error(path)(error));
                }
            }
        }
    }

    /// Under the database's lock: a copy of it, and the line in the journal.
    fn begin_locked(
        &self,
        part: Part<'_>,
        path: &Path,
        kept: &mut KeptOpen,
    ) -> Result<Touched, DoorError> {
        let touched = self.save_locked(path, Kind::Database, kept)?;
        self.note(part, Phase::Begun, std::slice::from_ref(&touched))
            .map_err(file_error(&self.root().join(STATE_FOLDER)))?;
        Ok(touched)
    }

    /// A copy of it. First: where there is no room for one, nothing needs to be read.
    pub(super) fn save_locked(
        &self,
        path: &Path,
        kind: Kind,
        kept: &mut KeptOpen,
    ) -> Result<Touched, DoorError> {
        let saved = self.backups().save_database(path, kept);
        let saved = saved.map_err(no_backup(path))?;
        let before = kind.state(path, kept).map_err(no_backup(path))?;
        Ok(self.touched(path, kind, before, Some(saved)))
    }
}

/// Safety: as where a run looks only. SQLite would open it all the same, and leave a log of this user's beside it.
fn ensure_writable(path: &Path) -> Result<(), DoorError> {
    match host::can_write_file(path) {
        Err(error) if path.exists() => {
            let path = path.display();
            Err(DoorError::NotPossible(format!(
                "{path} cannot be written: {error}"
            )))
        }
        _ => Ok(()),
    }
}

const DATA_VERSION: &str = "PRAGMA data_version";

/// Names what is there, with the log folded in where nobody needs it; none where somebody else has
/// committed since `version`.
fn settled(
    connection: &mut Connection,
    path: &Path,
    kept: &mut KeptOpen,
    version: &SqlValue,
) -> Option<String> {
    connection
        .query("PRAGMA wal_checkpoint(TRUNCATE)", &[])
        .ok()?;
    let state = Kind::Database.state(path, kept).ok()?;
    let now = connection.scalar(DATA_VERSION).ok()?;
    (now == *version).then_some(state)
}

pub(super) fn wait(cx: &Context, error: DbError) -> Result<(), DoorError> {
    cx.wait_for_lock(error).map_err(|source| locked(cx, source))
}

pub(super) fn locked(cx: &Context, source: DbError) -> DoorError {
    let holder = cx.last_lock_holder();
    DoorError::Locked {
        holder: holder.unwrap_or_else(|| "another process".to_owned()),
        source,
    }
}
