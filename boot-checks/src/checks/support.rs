//! How what the services say becomes a finding. The same error is the same finding in every check.

use std::path::Path;

use crate::config::{Migrations, PythonConfig};
use crate::context::{Context, NoSources};
use crate::host;
use crate::host::migration_command::ensure_none_is_under_way;
use crate::model::{CheckError, CheckResult, Finding, Findings, Mode};
use crate::python::{SourceError, Sources};
use crate::services::db::{DbError, Structure};
use crate::services::migrations::MigrationSetError;

/// The finding that a database error amounts to.
pub(super) fn database_finding(cx: &Context, error: &DbError) -> Finding {
    let name = database_name(cx);
    let finding = match error {
        DbError::Locked { .. } => {
            let holder = cx
                .last_lock_holder()
                .unwrap_or_else(|| "another process".to_owned());
            Finding::new("database_locked", format!("{name} is locked by {holder}"))
                .cause("a transaction is open there; a lock is never a sign of damage")
                .action(
                    "end that transaction or process, then boot again; --lock-timeout waits longer",
                )
                .pattern("database_locked")
        }
        DbError::Corrupt { .. } => Finding::new("database_corrupt", format!("{name} is damaged"))
            .cause("its pages contradict each other")
            .action(keep_and_restore(cx))
            .pattern("database_corrupt"),
        DbError::NotADatabase => Finding::new(
            "not_a_database",
            format!("{name} is not an SQLite database"),
        )
        .action(wrong_file(cx))
        .pattern("database_corrupt"),
        DbError::CannotOpen { .. } => {
            let finding = Finding::new("database_cannot_open", format!("{name} cannot be opened"))
                .action(
                    "check the permissions of the file, of its -wal and -shm, and of its folder",
                );
            with_its_permissions(cx, finding)
        }
        DbError::ReadOnly { .. } => {
            let finding = Finding::new("database_read_only", format!("{name} cannot be written"))
                .action("check the owner and the permissions of the file and of its folder");
            with_its_permissions(cx, finding)
        }
        DbError::Full => Finding::new("disk_full", format!("no room left to write {name}"))
            .action("free space on that file system, then boot again")
            .pattern("disk_full"),
        DbError::Io { .. } => Finding::new(
            "database_io",
            format!("the system cannot read or write {name}"),
        )
        .action("look at the kernel's log and at the health of that disk"),
        DbError::LogAlone { log } => {
            let message = format!("{name} is empty, and {} is not", short(cx, log));
            Finding::new("database_empty", message)
                .cause("opening it would delete what lies beside it, which may hold committed rows")
                .action("copy all of its files away, then boot without leaving a check out")
        }
        DbError::SideFile { file } => {
            let message = format!("{} is no file", short(cx, file));
            Finding::new("database_cannot_open", message)
                .cause("SQLite keeps what belongs to the database under this name")
                .action("move it away: it is none of the database's files")
        }
        DbError::Changed | DbError::Other { .. } => {
            Finding::new("database_error", format!("{name} cannot answer: {error}"))
        }
    };
    finding.evidence("sqlite", error)
}

/// Runs a question against the database; an error is the one finding.
pub(super) fn ask(
    cx: &Context,
    question: impl FnMut(&mut crate::services::db::Connection) -> Result<Findings, DbError>,
) -> CheckResult {
    if cx.database_path().is_none() {
        return Ok(Findings::not_applicable("the database is in memory"));
    }
    match cx.look(question) {
        Ok(findings) => Ok(findings),
        Err(error) => Ok(Findings::problem(database_finding(cx, &error))),
    }
}

/// Judges the structure of the tables that this boot asks for.
pub(super) fn ask_structure(
    cx: &Context,
    judge: impl FnOnce(&Structure) -> Findings,
) -> CheckResult {
    if cx.database_path().is_none() {
        return Ok(Findings::not_applicable("the database is in memory"));
    }
    Ok(match cx.structure() {
        Ok(structure) => judge(&structure),
        Err(error) => Findings::problem(database_finding(cx, &error)),
    })
}

/// Judges the application's Python sources.
pub(super) fn ask_sources(
    cx: &Context,
    judge: impl FnOnce(&PythonConfig, &Sources) -> Findings,
) -> CheckResult {
    let asked = cx.python().and_then(|python| Ok((python, cx.sources()?)));
    match asked {
        Ok((python, sources)) => Ok(judge(python, &sources)),
        Err(NoSources::NotPython(reason)) => Ok(Findings::not_applicable(reason)),
        Err(NoSources::Unreadable(error)) => source_finding(&error),
    }
}

/// The finding that sources which cannot be looked at amount to.
fn source_finding(error: &SourceError) -> CheckResult {
    let code = match error {
        SourceError::Package { .. } => "package_missing",
        SourceError::EntryPoint { .. } => "entry_point_missing",
        SourceError::Environment(_) => "environment_missing",
        SourceError::Closed { source, .. } => {
            return Err(CheckError::new(format!("{error}: {source}")).action(error.hint()));
        }
        SourceError::Root(_) | SourceError::Worker(_) => {
            return Err(CheckError::new(error.to_string()).action(error.hint()));
        }
    };
    let finding = Finding::new(code, error.to_string()).action(error.hint());
    Ok(Findings::problem(match code {
        "environment_missing" => finding.cause("boot.toml names it, and it was not made here"),
        _ => finding
            .cause("it was moved, renamed or deleted, or boot.toml names it wrongly")
            .pattern("missing_internal_module"),
    }))
}

/// The database as a person would name it.
pub(super) fn database_name(cx: &Context) -> String {
    match &cx.config.database.value.spelled {
        Some(path) => path
            .strip_prefix(&cx.config.root)
            .unwrap_or(path)
            .display()
            .to_string(),
        None => cx.config.database.value.display.clone(),
    }
}

/// A path as a person would name it.
pub(super) fn short(cx: &Context, path: &std::path::Path) -> String {
    path.strip_prefix(&cx.config.root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// What to do about a file that is no database.
pub(super) fn wrong_file(cx: &Context) -> String {
    let restore = match cx.has_kept_copies() {
        true => keep_and_restore(cx),
        false => "keep the file, and put a backup of your own in its place".to_owned(),
    };
    format!("check that DATABASE_URL names the right file; if it does, {restore}")
}

/// What to do about a damaged database.
pub(super) fn keep_and_restore(cx: &Context) -> String {
    match cx.has_kept_copies() {
        true => format!(
            "keep every file of it; a kept copy can take its place, also where a salvage is proposed: {PUT_BACK}"
        ),
        false => "keep every file of it; where a salvage is proposed, it says what comes back, and elsewhere a backup \
                  of your own has to take its place"
            .to_owned(),
    }
}

/// What the migrations made and somebody has dropped since: what was in it is gone.
pub(super) fn lost(finding: Finding) -> Finding {
    finding
        .cause("it was there when the migrations ran, and somebody dropped it")
        .action(format!(
            "put a kept copy back: {PUT_BACK}; adding it again would hide that its rows are gone"
        ))
}

/// The commands that put back what the gate has kept.
pub(super) const PUT_BACK: &str =
    "`cargo xtask backups list`, then `cargo xtask backups restore RUN`";

/// What to do about a migration command that outlived the run that began it.
pub(super) const LET_IT_FINISH: &str =
    "let that migration command finish, or end it, then boot again";

/// What a person does where migrations are pending; one that may be applied by a boot has been tried there.
pub(super) fn healed_by_migrations(cx: &Context, finding: Finding) -> Finding {
    match &cx.config.migrations {
        Migrations::External { apply, .. } => {
            let finding =
                healed_without_observe(cx, finding, "runs the configured migration command");
            match cx.mode {
                Mode::Observe => finding,
                Mode::Heal if ensure_none_is_under_way(&cx.state_folder()).is_err() => {
                    finding.action(LET_IT_FINISH)
                }
                Mode::Heal => finding.action(format!(
                    "run `{}` by hand in the application's folder and see to what it says, or let `command` \
                     under [migrations] in boot.toml name another",
                    apply.join(" ")
                )),
            }
        }
        _ => healed_without_observe(cx, finding, "applies the migrations"),
    }
}

/// Adds whose these files and folders are, and who this is; nothing where the system has no such numbers.
pub(super) fn with_permissions(mut finding: Finding, paths: &[&Path]) -> Finding {
    let Some(user) = host::user_number() else {
        return finding;
    };
    for path in paths {
        let (owner, mode) = (host::owner(path), host::unix_mode(path));
        if let (Ok(Some((owner, _))), Ok(Some(mode))) = (owner, mode) {
            let name = path.file_name().unwrap_or(path.as_os_str());
            finding = finding.evidence(
                name.to_string_lossy(),
                format!("belongs to user {owner}, mode {mode:03o}"),
            );
        }
    }
    finding.evidence("this boot", format!("runs as user {user}"))
}

/// The same of the database and its folder: SQLite needs both.
fn with_its_permissions(cx: &Context, finding: Finding) -> Finding {
    match cx.database_path() {
        Some(path) => with_permissions(finding, &[path, path.parent().unwrap_or(path)]),
        None => finding,
    }
}

/// Says that a boot that may act would heal this. One that may has tried already, and what came of
/// it stands beside the finding.
pub(super) fn healed_without_observe(cx: &Context, finding: Finding, what: &str) -> Finding {
    match cx.mode {
        Mode::Heal => finding,
        Mode::Observe => finding.action(match &cx.only_looks {
            None => format!("a boot without --observe {what}"),
            Some(reason) => format!(
                "this boot could only look: {reason}; see to it that the gate can make its own folder there, \
                 then boot again, which {what}"
            ),
        }),
    }
}

/// `1 column`, `2 columns`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The check could not look, because the migrations cannot be used.
pub(super) fn unusable(error: impl AsRef<MigrationSetError>) -> CheckError {
    let error = error.as_ref();
    cannot_look(error).action(error.hint())
}

/// The check could not look, for this reason.
pub(super) fn cannot_look(error: impl std::fmt::Display) -> CheckError {
    CheckError::new(error.to_string())
}
