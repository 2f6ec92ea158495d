//! Is there a database file?
//!
//! It looks at the file system only: opening a missing database would make an empty one, which would
//! "exist" the next time. `create_database` makes a missing one, but only where there is no sign
//! that one was there before: a database that has vanished is an incident and no empty start.

use std::collections::BTreeSet;

use crate::checks::Check;
use crate::checks::support::{
    PUT_BACK, database_name, healed_without_observe, short, with_permissions,
};
use crate::context::Context;
use crate::host::shell;
use crate::model::{CheckError, CheckResult, Finding, Findings};
use crate::services::db::{FileSet, MainFile};

/// See the module.
pub struct DatabaseExists;

impl Check for DatabaseExists {
    fn title(&self) -> &'static str {
        "Database exists"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let Some(files) = cx.files() else {
            return in_memory(cx);
        };
        let name = database_name(cx);
        Ok(match &files.main {
            MainFile::Missing => Findings::problem(missing(cx, &files, &name)?),
            MainFile::Empty => Findings::problem(empty(cx, &files, &name)),
            MainFile::NotAFile(kind) => Findings::problem(
                Finding::new("database_not_a_file", format!("{name} is {kind}"))
                    .evidence("named by", cx.config.database.source)
                    .action("let DATABASE_URL name a database file"),
            ),
            MainFile::Unreadable(reason) => {
                let finding = Finding::new(
                    "database_unreadable",
                    format!("{name} cannot be read: {reason}"),
                )
                .action("check the permissions of the file and of its folders");
                let folder = files.path.parent().unwrap_or(&files.path);
                Findings::problem(with_permissions(finding, &[&files.path, folder]))
            }
            MainFile::NotADatabase { bytes } => Findings::healthy(format!("{name}, {bytes} bytes")),
            MainFile::Database(header) => {
                Findings::healthy(format!("{name}, {} bytes", header.bytes))
            }
        })
    }
}

/// There is no file to miss; but whoever had one would start without any of its rows.
fn in_memory(cx: &Context) -> CheckResult {
    let what = "the database is in memory";
    let seen = seen_before(cx, what)?;
    if seen.is_empty() {
        return Ok(Findings::not_applicable(what));
    }
    let earlier = listed(&seen);
    let message = format!("{what}, and earlier boots used {earlier}");
    Ok(Findings::problem(
        Finding::new("database_vanished", message)
            .evidence("named by", cx.config.database.source)
            .cause("DATABASE_URL changed: it names no file, and what is written is gone at the end")
            .action(format!(
                "let DATABASE_URL name {earlier}; --allow-create starts with an empty one in memory"
            )),
    ))
}

/// The databases that earlier boots saw; none where an empty start is what is wanted.
fn seen_before(cx: &Context, what: &str) -> Result<BTreeSet<String>, CheckError> {
    if cx.allow_create {
        return Ok(BTreeSet::new());
    }
    cx.seen_databases().names().map_err(|error| {
        CheckError::new(format!(
            "{what}, and whether there was one before cannot be read: {error}"
        ))
    })
}

fn listed(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.join(" and ")
}

fn missing(cx: &Context, files: &FileSet, name: &str) -> Result<Finding, CheckError> {
    let left: Vec<String> = files
        .side_files()
        .iter()
        .map(|path| short(cx, path))
        .collect();
    if !left.is_empty() {
        let (are, beside, files) = match left.len() {
            1 => ("is", "it", "file"),
            _ => ("are", "them", "files"),
        };
        let finding = Finding::new(
            "database_vanished",
            format!("{name} is gone, and {} {are} still there", left.join(" and ")),
        )
        .cause(format!(
            "the main file was moved or deleted while rows were still in the side {files}"
        ))
        .action(format!(
            "put the main file back beside {beside}, or a kept copy in its place: {PUT_BACK}; do not delete \
             the side {files}"
        ));
        return Ok(finding);
    }
    let seen = seen_before(cx, &format!("{name} does not exist"))?;
    if !seen.is_empty() {
        return Ok(vanished(cx, name, &seen));
    }
    let finding = Finding::new("database_missing", format!("{name} does not exist"))
        .pattern("database_file_missing");
    Ok(healed_without_observe(
        cx,
        finding,
        "creates it, complete with its tables",
    ))
}

/// An application that was moved takes its state folder along; one whose DATABASE_URL was mistyped, or is not
/// set as it was, would start without any of its rows.
fn vanished(cx: &Context, name: &str, seen: &BTreeSet<String>) -> Finding {
    let is_itself = cx.seen_name().is_some_and(|itself| seen.contains(&itself));
    if is_itself {
        return Finding::new(
            "database_vanished",
            format!("{name} was there at an earlier boot and is gone"),
        )
        .cause("it was moved or deleted, or a disk is not mounted")
        .action(format!(
            "mount the disk, or put a kept copy back: {PUT_BACK}; --allow-create starts with an empty one"
        ));
    }
    let earlier = listed(seen);
    Finding::new(
        "database_vanished",
        format!("{name} does not exist, and earlier boots used {earlier}"),
    )
    .evidence("named by", cx.config.database.source)
    .cause("DATABASE_URL changed, or the application was moved without its database")
    .action(format!(
        "let DATABASE_URL name {earlier}, or put it at {name}; --allow-create starts with an empty one"
    ))
}

fn empty(cx: &Context, files: &FileSet, name: &str) -> Finding {
    let finding = Finding::new("database_empty", format!("{name} is an empty file"));
    if files.side_files().is_empty() {
        let away = shell::quoted(&format!("{name}.empty"));
        let away = format!("`mv {} {away}`", shell::quoted(name));
        // Where none was seen, one that is gone is made anew; what cannot be read may name it.
        let was_seen = cx
            .seen_databases()
            .names()
            .map_or(true, |seen| !seen.is_empty());
        return finding
            .cause("a program opened a missing database and went away, or a copy failed")
            .action(match was_seen {
                true => format!(
                    "put a kept copy in its place: {PUT_BACK}; or, for an empty start, {away} and boot with \
                     --allow-create"
                ),
                false => format!("restore a backup; or {away} and boot again"),
            });
    }
    let left: Vec<String> = files
        .side_files()
        .iter()
        .map(|path| short(cx, path))
        .collect();
    finding
        .evidence("beside it", left.join(", "))
        .cause("opening it would delete the write-ahead log, which may hold committed rows")
        .action("copy all of its files away before anything opens it")
}
