use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Journal, JournalEntry};
use crate::config::Migrations;
use crate::context::Context;
use crate::host::files;
use crate::model::{Change, Repair, SqlStatement, StepId};
use crate::services::command::{self, CommandError};
use crate::services::db::{Access, Connection, DbError, create_complete};
use crate::services::migrations::{MigrationSet, adopt, apply_pending};

/// The one door: nothing but this writes to the application's files or its database. Each change is
/// atomic in itself, is in the journal before it begins, and leaves what is needed to take it back.
#[derive(Debug)]
pub struct Door {
    journal: Journal,
}

/// How to take one change back.
#[derive(Debug)]
pub enum Undo {
    /// Remove this empty folder.
    RemoveFolder(PathBuf),
    /// Remove this file, if it still holds exactly this.
    RemoveFile(PathBuf, Vec<u8>),
    /// Put the former contents back, if the file still holds exactly the latter.
    Rewrite {
        /// The file.
        path: PathBuf,
        /// What it held.
        before: Vec<u8>,
        /// What it holds since.
        after: Vec<u8>,
    },
    /// A committed transaction or another tool's work: it stays.
    Stays,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is no longer what the plan was made for.
    #[error("{} changed since it was looked at", .0.display())]
    Changed(PathBuf),
    /// The database said no.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Somebody else held the lock for as long as the boot could wait.
    #[error("the database is locked by {holder}")]
    Locked {
        /// Who.
        holder: String,
        /// SQLite's reason.
        source: DbError,
    },
    /// The application's own tool gave no answer.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The application's own tool failed.
    #[error("`{command}` failed ({status}): {tail}")]
    ToolFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        tail: String,
    },
    /// The plan cannot be carried out for this application.
    #[error("{0}")]
    NotPossible(String),
}

/// Why a repair was not made, and whether its first changes were taken back.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: DoorError,
    /// Whether everything is as it was.
    pub taken_back: bool,
}

/// One try's patience with a lock; the boot's budget decides how many there are.
const LOCK_WAIT: Duration = Duration::from_millis(100);

impl Door {
    /// A door that writes this journal.
    pub fn new(journal: Journal) -> Door {
        Door { journal }
    }

    /// Names exactly these changes by this playbook.
    pub fn fingerprint(playbook: &str, changes: &[Change]) -> String {
        let mut digest = Sha256::new();
        digest.update(playbook.as_bytes());
        for change in changes {
            // `Debug` also covers the contents, which are left out of what is shown.
            digest.update(format!("{change:?}").as_bytes());
        }
        digest
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Makes the changes of a repair, in order. Where one fails, those before it are taken back.
    ///
    /// # Errors
    ///
    /// Why the first change that failed did.
    pub fn apply(&self, cx: &Context, step: StepId, repair: &Repair) -> Result<Vec<Undo>, Failure> {
        let untouched = |error| Failure {
            error,
            taken_back: true,
        };
        self.note(step, repair, "begun").map_err(|source| {
            untouched(DoorError::File {
                path: cx.state_folder(),
                source,
            })
        })?;
        let mut done = Vec::new();
        for change in &repair.changes {
            match make(cx, change) {
                Ok(undo) => done.extend(undo),
                Err(error) => {
                    let tool_ran = matches!(
                        error,
                        DoorError::ToolFailed { .. }
                            | DoorError::Command(CommandError::TimedOut { .. })
                    );
                    let taken_back = undo_all(done) && !tool_ran;
                    // The failure itself is reported; a journal that cannot be written says less.
                    let _ = self.note(step, repair, "failed");
                    return Err(Failure { error, taken_back });
                }
            }
        }
        let _ = self.note(step, repair, "applied");
        Ok(done)
    }

    /// Notes that the check passes.
    pub fn verified(&self, step: StepId, repair: &Repair) {
        // The proof stands in the report and the record too.
        let _ = self.note(step, repair, "verified");
    }

    /// Takes the changes of a repair back; false when some of it stays.
    pub fn take_back(&self, _cx: &Context, step: StepId, repair: &Repair, undo: Vec<Undo>) -> bool {
        let taken_back = undo_all(undo);
        let _ = self.note(
            step,
            repair,
            if taken_back { "taken-back" } else { "failed" },
        );
        taken_back
    }

    fn note(&self, step: StepId, repair: &Repair, phase: &str) -> io::Result<()> {
        self.journal.write(&JournalEntry {
            run_id: self.journal.run_id(),
            step: step.to_string(),
            playbook: repair.playbook,
            fingerprint: &repair.fingerprint,
            phase,
            changes: json!(repair.changes),
        })
    }
}

fn undo_all(done: Vec<Undo>) -> bool {
    let mut all = true;
    for undo in done.into_iter().rev() {
        all &= undo_one(undo);
    }
    all
}

fn undo_one(undo: Undo) -> bool {
    match undo {
        Undo::Stays => false,
        Undo::RemoveFolder(path) => std::fs::remove_dir(path).is_ok(),
        Undo::RemoveFile(path, contents) => {
            holds(&path, &contents) && std::fs::remove_file(path).is_ok()
        }
        Undo::Rewrite {
            path,
            before,
            after,
        } => holds(&path, &after) && files::rewrite_atomic(&path, &before).is_ok(),
    }
}

fn holds(path: &Path, contents: &[u8]) -> bool {
    std::fs::read(path).is_ok_and(|there| there == contents)
}

fn make(cx: &Context, change: &Change) -> Result<Vec<Undo>, DoorError> {
    match change {
        Change::CreateFolder { path } => create_folder(path),
        Change::CreateFile {
            path,
            contents,
            mode,
        } => {
            files::create_atomic(path, contents, *mode).map_err(file_error(path))?;
            Ok(vec![Undo::RemoveFile(path.clone(), contents.clone())])
        }
        Change::AppendToFile {
            path,
            expected,
            addition,
        } => append(path, expected, addition),
        Change::ReplaceOwnFile { path, contents } => replace_own(cx, path, contents),
        Change::CreateDatabase { path } => {
            create_complete(path, migrations(cx)?.as_ref())?;
            Ok(vec![Undo::Stays])
        }
        Change::ApplyMigrations { .. } => with_database(cx, |connection| {
            apply_pending(connection, migrations(cx)?.as_ref())
        }),
        Change::AdoptSchema {
            statements,
            expected_fingerprint,
            ..
        } => with_database(cx, |connection| {
            adopt(
                connection,
                migrations(cx)?.as_ref(),
                statements,
                expected_fingerprint,
            )
        }),
        Change::WriteRows { statements } => {
            with_database(cx, |connection| write_rows(connection, statements))
        }
        Change::RunMigrator { argv } => run_migrator(cx, argv),
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> DoorError + use<'_> {
    |source| DoorError::File {
        path: path.to_owned(),
        source,
    }
}

fn create_folder(path: &Path) -> Result<Vec<Undo>, DoorError> {
    let mut made: Vec<PathBuf> = path
        .ancestors()
        .take_while(|folder| !folder.exists())
        .map(Path::to_owned)
        .collect();
    made.reverse();
    std::fs::create_dir_all(path).map_err(file_error(path))?;
    Ok(made.into_iter().map(Undo::RemoveFolder).collect())
}

fn append(path: &Path, expected: &[u8], addition: &[u8]) -> Result<Vec<Undo>, DoorError> {
    let before = std::fs::read(path).map_err(file_error(path))?;
    if before != expected {
        return Err(DoorError::Changed(path.to_owned()));
    }
    let after = [expected, addition].concat();
    files::rewrite_atomic(path, &after).map_err(file_error(path))?;
    Ok(vec![Undo::Rewrite {
        path: path.to_owned(),
        before,
        after,
    }])
}

fn replace_own(cx: &Context, path: &Path, contents: &[u8]) -> Result<Vec<Undo>, DoorError> {
    if !path.starts_with(cx.state_folder()) {
        let reason = format!("{} is no file of the gate's own", path.display());
        return Err(DoorError::NotPossible(reason));
    }
    let mut undo = match path.parent() {
        Some(folder) => create_folder(folder)?,
        None => Vec::new(),
    };
    let before = std::fs::read(path).ok();
    files::write_atomic(path, contents, files::Durability::Synced, None)
        .map_err(file_error(path))?;
    undo.push(match before {
        Some(before) => Undo::Rewrite {
            path: path.to_owned(),
            before,
            after: contents.to_owned(),
        },
        None => Undo::RemoveFile(path.to_owned(), contents.to_owned()),
    });
    Ok(undo)
}

fn migrations(cx: &Context) -> Result<std::sync::Arc<MigrationSet>, DbError> {
    let set = cx
        .migrations()
        .map_err(|error| DbError::other(error.to_string()))?;
    set.ok_or_else(|| DbError::other("this application has no migrations that the gate applies"))
}

fn with_database(
    cx: &Context,
    mut change: impl FnMut(&mut Connection) -> Result<(), DbError>,
) -> Result<Vec<Undo>, DoorError> {
    let path = cx
        .database_path()
        .ok_or_else(|| DbError::other("the database is in memory"))?;
    loop {
        let mut connection = Connection::open(path, Access::ReadWrite, LOCK_WAIT)?;
        let changed = change(&mut connection);
        connection.close();
        match changed {
            Ok(()) => return Ok(vec![Undo::Stays]),
            // Every change is one transaction, so one that met a lock has done nothing.
            Err(error) if error.is_locked() => cx.wait_for_lock(error).map_err(|source| {
                let holder = cx.last_lock_holder();
                DoorError::Locked {
                    holder: holder.unwrap_or_else(|| "another process".to_owned()),
                    source,
                }
            })?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn write_rows(connection: &mut Connection, statements: &[SqlStatement]) -> Result<(), DbError> {
    let mut transaction = connection.begin_immediate()?;
    for statement in statements {
        transaction.run(statement)?;
    }
    transaction.commit()
}

fn run_migrator(cx: &Context, argv: &[String]) -> Result<Vec<Undo>, DoorError> {
    let Migrations::External { timeout, .. } = &cx.config.migrations else {
        return Err(DoorError::NotPossible(
            "boot.toml names no migration command".to_owned(),
        ));
    };
    let environment = cx
        .environment()
        .map_err(|error| DoorError::NotPossible(error.to_string()))?;
    let done = command::run(argv, &cx.config.root, &environment, *timeout)?;
    if !done.succeeded() {
        return Err(DoorError::ToolFailed {
            command: argv.join(" "),
            status: done.status.to_string(),
            tail: done.tail,
        });
    }
    Ok(vec![Undo::Stays])
}
