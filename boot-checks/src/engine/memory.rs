//! What one boot remembers for the next ones.

use std::io::Write as _;

use super::STATE_FOLDER;
use crate::context::{Context, INTEGRITY_FILE};
use crate::host::files::{Durability, write_atomic};
use crate::model::{BootReport, Mode};
use crate::services::db::{FileSet, Integrity, MainFile};

/// At the end of a boot. What cannot be written is not there for the next boot, which then looks
/// harder; this one is over and was right.
pub(super) fn remember(cx: &Context, report: &BootReport) {
    if cx.mode == Mode::Observe || cx.database_path().is_none() {
        return;
    }
    remember_database(cx);
    remember_integrity(cx, report);
}

/// Whatever is being changed, the last look at every page is no longer the last word. The boot that
/// ends well writes it down again; after one that does not, the next looks at every page.
pub(super) fn forget_integrity(root: &std::path::Path) {
    let _ = std::fs::remove_file(root.join(STATE_FOLDER).join(INTEGRITY_FILE));
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
    if !report.success() {
        if report.verdict_word() != "partial" {
            forget_integrity(&cx.config.root);
        }
        return;
    }
    let file = cx.integrity_file();
    let (due, last) = cx.integrity_due();
    let text = match (due, cx.integrity(), last) {
        (None, _, Some(last)) => {
            let appended = std::fs::OpenOptions::new()
                .append(true)
                .open(&file)
                .and_then(|mut file| file.write_all(b"."));
            if appended.is_ok() {
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
