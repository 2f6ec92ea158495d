//! What one boot remembers for the next ones.

use std::io::Write as _;
use std::path::Path;

use super::STATE_FOLDER;
use crate::context::{Context, INTEGRITY_FILE};
use crate::host::files::{self, Durability, write_atomic};
use crate::model::{BootReport, Mode};
use crate::services::db::{FileSet, Integrity, LastCheck, MainFile};

/// At the end of a boot. What cannot be written is not there for the next boot, which then looks
/// harder; this one is over and was right.
pub(super) fn remember(cx: &Context, report: &BootReport) {
    if cx.mode == Mode::Observe || cx.database_path().is_none() {
        return;
    }
    remember_database(cx);
    remember_integrity(cx, report);
}

/// The database is being changed: the last look at every page is no longer the last word, nor is the file
/// that was looked at. The next boot that changes nothing and ends well writes both down again; until then
/// each looks at every page.
pub(super) fn forget_integrity(root: &Path) {
    let _ = std::fs::remove_file(root.join(STATE_FOLDER).join(INTEGRITY_FILE));
}

/// The same of the look alone: which file has the database's place is known still, so that one that is put
/// there is told from it by every boot and not by the first one only.
pub(super) fn unsettle_integrity(root: &Path) {
    let file = root.join(STATE_FOLDER).join(INTEGRITY_FILE);
    let last = files::read_regular(&file)
        .map(|text| LastCheck::parse(String::from_utf8_lossy(&text).into_owned()));
    let is_said = last.and_then(|last| match last.is_settled() {
        true => append(&file, LastCheck::UNSETTLED),
        // Once is enough, however many boots end badly.
        false => Ok(()),
    });
    if is_said.is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound) {
        forget_integrity(root);
    }
}

fn append(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).open(file)?;
    file.write_all(text.as_bytes())
}

/// So that a later boot can tell a database that vanished from one that never was.
/// Also at the end of a boot that blocks, or of a part of one: what is there may hold rows.
pub(super) fn remember_database(cx: &Context) {
    let is_database = |files: FileSet| matches!(files.main, MainFile::Database(_));
    if let Some(name) = cx
        .seen_name()
        .filter(|_| cx.files().is_some_and(is_database))
    {
        let _ = cx.seen_databases().add(&name);
    }
}

/// One byte more where nothing was due; a new beginning where every page was looked at, and also where
/// that took too long: it is tried again after as many boots, or every boot would be slow.
fn remember_integrity(cx: &Context, report: &BootReport) {
    let file = cx.integrity_file();
    let has_changed = report.steps().any(|step| !step.repairs().is_empty());
    if has_changed && !file.exists() {
        // What was looked at was looked at before; which file it is now is known all the same.
        let text = cx.checked_now().text().to_owned() + LastCheck::UNSETTLED;
        let _ = write_atomic(&file, text.as_bytes(), Durability::Unsynced, None);
        return;
    }
    if !report.success() {
        if report.verdict_word() != "partial" {
            unsettle_integrity(&cx.config.root);
        }
        return;
    }
    if has_changed {
        return;
    }
    let (due, last) = cx.integrity_due();
    let text = match (due, cx.integrity(), last) {
        (None, _, Some(last)) => {
            if append(&file, ".").is_ok() {
                return;
            }
            last.text().to_owned() + "."
        }
        (Some(_), Some(seen), _) if !matches!(seen, Integrity::Damaged(_)) => {
            cx.checked_now().text().to_owned()
        }
        _ => return,
    };
    let _ = write_atomic(&file, text.as_bytes(), Durability::Unsynced, None);
}
