//! What a change would do, in lines for people, before anything is done.

use std::path::Path;

use crate::model::Change;

/// Statements that are shown; a registry has a dozen.
const STATEMENTS_MAX: usize = 20;

/// As much of a digest tells two texts apart.
const DIGEST_SHOWN: usize = 12;

/// The lines of one change. They may hold secrets, and have to be cleaned before anybody sees them.
pub(super) fn lines(root: &Path, change: &Change) -> Vec<String> {
    let short = |path: &Path| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let added = |head: String, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let lines = text.lines().map(|line| format!("+{line}"));
        std::iter::once(head).chain(lines).collect()
    };
    let listed = |head: String, items: &mut dyn Iterator<Item = String>| {
        let items = items.take(STATEMENTS_MAX).map(|item| format!("  {item}"));
        std::iter::once(head).chain(items).collect()
    };
    match change {
        Change::CreateFolder { path } => vec![format!("make the folder {}", short(path))],
        Change::CreateFile {
            path,
            contents,
            mode,
        } => added(format!("make {} with mode {mode:o}", short(path)), contents),
        Change::AppendToFile { path, addition, .. } => {
            added(format!("add to the end of {}", short(path)), addition)
        }
        Change::EditFile { path, diff, .. } => {
            let head = format!("edit {}", short(path));
            std::iter::once(head)
                .chain(diff.lines().map(str::to_owned))
                .collect()
        }
        Change::ReplaceOwnFile { path, .. } => vec![format!("write {}", short(path))],
        Change::CreateDatabase { path, versions, .. } => {
            let head = format!("make the database {}, by these migrations", short(path));
            listed(head, &mut versions.iter().map(i64::to_string))
        }
        Change::ApplyMigrations { versions, texts } => {
            let head = "apply migrations, in one transaction".to_owned();
            let all = versions.iter().zip(texts);
            let lines = all.flat_map(|(version, text)| migration(*version, text));
            std::iter::once(head).chain(lines).collect()
        }
        Change::AdoptSchema {
            statements,
            lacking_rows,
            ..
        } => {
            let without = lacking_rows
                .iter()
                .map(|rows| format!("without {rows}, which the migrations write"));
            listed(
                "add to the database, in one transaction".to_owned(),
                &mut statements.iter().cloned().chain(without),
            )
        }
        Change::RestampMigrations { versions, .. } => listed(
            "renew the checksums of migrations, in one transaction".to_owned(),
            &mut versions.iter().map(i64::to_string),
        ),
        Change::RebuildDatabase { path, report, .. } => listed(
            format!("put in the place of {}, which is kept", short(path)),
            &mut report
                .tables
                .iter()
                .map(ToString::to_string)
                .chain(report.notes.iter().cloned()),
        ),
        Change::RestoreCopy { path, copy, .. } => vec![format!(
            "put {} in the place of {}, which is kept",
            short(copy),
            short(path)
        )],
        Change::WriteRows { statements } => listed(
            format!("run {} statements, in one transaction", statements.len()),
            &mut statements.iter().map(|one| one.sql.clone()),
        ),
        Change::RunMigrator { argv, files } => listed(
            format!("run `{}`", argv.join(" ")),
            &mut files.iter().map(|file| {
                let sha256: String = file.sha256.chars().take(DIGEST_SHOWN).collect();
                format!("by {} as it is now ({sha256})", file.path)
            }),
        ),
    }
}

/// As much of its text as a person reads.
fn migration(version: i64, text: &str) -> Vec<String> {
    let all: Vec<&str> = text.lines().collect();
    let mut lines = vec![format!("  {version}:")];
    lines.extend(
        all.iter()
            .take(STATEMENTS_MAX)
            .map(|line| format!("    {line}")),
    );
    if let Some(more) = all
        .len()
        .checked_sub(STATEMENTS_MAX)
        .filter(|more| *more > 0)
    {
        lines.push(format!("    ... {more} more lines"));
    }
    lines
}
