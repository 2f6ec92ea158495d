//! What each kind of change touches, and how it is made.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::touched::KeptOpen;
use super::{DoorError, Kind};
use crate::config::Migrations;
use crate::context::Context;
use crate::host::migration_command::RunningCommand;
use crate::host::{files, rewrite};
use crate::model::{Change, SqlStatement};
use crate::services::command::CommandError;
use crate::services::db::{Connection, DbError, OnLock, create_complete};
use crate::services::migrations::MigrationSet;

/// What a change touches. Exhaustive, so that a new kind of change cannot be made without saying what
/// has to be put back.
pub(super) fn touches(cx: &Context, change: &Change) -> Vec<(PathBuf, Kind)> {
    let folders = |path: Option<&Path>| -> Vec<(PathBuf, Kind)> {
        let missing = path.into_iter().flat_map(Path::ancestors);
        let mut missing: Vec<_> = missing
            .take_while(|folder| !folder.exists())
            .map(|folder| (folder.to_owned(), Kind::Folder))
            .collect();
        missing.reverse();
        missing
    };
    let database = |kind| cx.database_path().map(|path| (path.to_owned(), kind));
    match change {
        Change::CreateFolder { path } => folders(Some(path)),
        Change::CreateFile { path, .. }
        | Change::AppendToFile { path, .. }
        | Change::EditFile { path, .. } => {
            vec![(path.clone(), Kind::File)]
        }
        Change::ReplaceOwnFile { path, .. } => {
            let mut touched = folders(path.parent());
            touched.push((path.clone(), Kind::File));
            touched
        }
        Change::CreateDatabase { path, .. } => vec![(path.clone(), Kind::Database)],
        Change::ApplyMigrations { .. }
        | Change::AdoptSchema { .. }
        | Change::RestampMigrations { .. }
        | Change::WriteRows { .. } => database(Kind::Database).into_iter().collect(),
        Change::RebuildDatabase { path, .. } | Change::RestoreCopy { path, .. } => {
            vec![(path.clone(), Kind::DatabaseSet)]
        }
        Change::RunMigrator { .. } => database(Kind::ByTool).into_iter().collect(),
    }
}

/// What a file is to hold when a change is made.
pub(super) fn planned(change: &Change) -> Option<Vec<u8>> {
    match change {
        Change::CreateFile { contents, .. } | Change::ReplaceOwnFile { contents, .. } => {
            Some(contents.clone())
        }
        Change::AppendToFile {
            expected, addition, ..
        } => Some([&expected[..], addition].concat()),
        Change::EditFile { edited, .. } => Some(edited.clone()),
        _ => None,
    }
}

/// Makes a change that is not a transaction in the application's database; `made` is told what a new database is,
/// before anybody else can write into it.
pub(super) fn perform(
    cx: &Context,
    change: &Change,
    made: &mut Option<String>,
) -> Result<(), DoorError> {
    match change {
        Change::CreateFolder { path } => std::fs::create_dir_all(path).map_err(file_error(path)),
        Change::CreateFile {
            path,
            contents,
            mode,
        } => files::create_atomic(path, contents, *mode).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => DoorError::Changed(path.clone()),
            _ => file_error_of(path, error),
        }),
        Change::AppendToFile { path, expected, .. } | Change::EditFile { path, expected, .. } => {
            rewrite(path, expected, &planned(change).unwrap_or_default())
        }
        Change::ReplaceOwnFile { path, contents } => replace_own(cx, path, contents),
        Change::CreateDatabase { path, .. } => {
            let migrations = migrations(cx)?;
            let name = |complete: &Path| {
                *made = Kind::Database
                    .state(complete, &mut KeptOpen::default())
                    .ok();
            };
            create_complete(path, &migrations, name).map_err(database_error(path))
        }
        Change::ApplyMigrations { .. }
        | Change::AdoptSchema { .. }
        | Change::RestampMigrations { .. }
        | Change::RebuildDatabase { .. }
        | Change::RestoreCopy { .. }
        | Change::RunMigrator { .. }
        | Change::WriteRows { .. } => {
            let reason = "a transaction is no change of a file".to_owned();
            Err(DoorError::NotPossible(reason))
        }
    }
}

pub(super) fn file_error_of(path: &Path, source: io::Error) -> DoorError {
    file_error(path)(source)
}

pub(super) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> DoorError + use<'_> {
    |source| DoorError::File {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn database_error(path: &Path) -> impl FnOnce(DbError) -> DoorError + use<'_> {
    |error| match error {
        DbError::Changed => DoorError::Changed(path.to_owned()),
        error => DoorError::Database(error),
    }
}

fn rewrite(path: &Path, expected: &[u8], contents: &[u8]) -> Result<(), DoorError> {
    match rewrite::rewrite_expected(path, expected, contents) {
        Ok(true) => Ok(()),
        Ok(false) => Err(DoorError::Changed(path.to_owned())),
        Err(error) => Err(file_error(path)(error)),
    }
}

fn replace_own(cx: &Context, path: &Path, contents: &[u8]) -> Result<(), DoorError> {
    if !path.starts_with(cx.state_folder()) {
        let reason = format!("{} is no file of the gate's own", path.display());
        return Err(DoorError::NotPossible(reason));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(file_error(folder))?;
    }
    files::write_atomic(path, contents, files::Durability::Synced, None).map_err(file_error(path))
}

pub(super) fn migrations(cx: &Context) -> Result<Arc<MigrationSet>, DbError> {
    let set = cx
        .migrations()
        .map_err(|error| DbError::other(error.to_string()))?;
    set.ok_or_else(|| DbError::other("this application has no migrations that the gate applies"))
}

pub(super) fn write_rows(
    connection: &mut Connection,
    statements: &[SqlStatement],
    on_lock: &mut OnLock<'_>,
) -> Result<(), DbError> {
    let mut transaction = connection.begin_exclusive()?;
    on_lock(transaction.connection())?;
    for statement in statements {
        transaction.run(statement)?;
    }
    transaction.commit()
}

pub(super) fn run_migrator(
    cx: &Context,
    argv: &[String],
    running: RunningCommand,
) -> Result<(), DoorError> {
    let Migrations::External { timeout, .. } = &cx.config.migrations else {
        return Err(DoorError::NotPossible(
            "boot.toml names no migration command".to_owned(),
        ));
    };
    let environment = cx
        .environment()
        .map_err(|error| DoorError::NotPossible(error.to_string()))?;
    let (name, value) = running.variable();
    let environment = (*environment).clone().with(name, value);
    let input = running.input().map_err(file_error(&cx.state_folder()))?;
    let done = cx.run_tool(argv, &environment, input, *timeout);
    if !matches!(done, Err(CommandError::TimedOut { .. })) {
        running.end();
    }
    let done = done?;
    if !done.succeeded() {
        return Err(DoorError::ToolFailed {
            command: argv.join(" "),
            status: done.status.to_string(),
            tail: done.tail,
        });
    }
    Ok(())
}
