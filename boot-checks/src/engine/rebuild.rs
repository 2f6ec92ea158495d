//! A damaged database makes room for what could be saved of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::changes::file_error_of;
use super::door::{Part, no_backup};
use super::in_database::wait;
use super::in_place::LockedOut;
use super::kept::copies_of;
use super::swap::SwapError;
use super::touched::{KeptOpen, Kind};
use super::{Door, DoorError, Touched, staged};
use crate::context::Context;
use crate::host;
use crate::host::migration_command::ensure_none_is_under_way;
use crate::model::SalvageReport;
use crate::services::db::salvage::{self, SalvageError};
use crate::services::db::{DbError, side_file};

/// What was approved.
pub(super) struct Plan<'a> {
    /// The main file.
    pub(super) path: &'a Path,
    /// Names exactly the files that the plan was made for.
    pub(super) present: &'a str,
    /// What came of the rehearsal.
    pub(super) report: &'a SalvageReport,
}

impl Door {
    /// Safety: everybody else is kept out. The whole set is copied to the quarantine and flushed before
    /// anything is built, and what is built comes from that copy, so that the files themselves are not
    /// touched until the new one is whole, verified and flushed. Where the files, or what comes of
    /// them, are not what was shown, nothing is changed. The quarantine is never removed by the gate.
    pub(super) fn rebuild(
        &self,
        cx: &Context,
        part: Part<'_>,
        plan: &Plan<'_>,
        done: &mut Vec<Touched>,
    ) -> Result<(), DoorError> {
        let _lock = locked_out(cx, plan.path)?;
        let mut kept = KeptOpen::default();
        let io = |source| file_error_of(plan.path, source);
        let before = Kind::DatabaseSet.state(plan.path, &mut kept).map_err(io)?;
        let quarantine = self.backups().quarantine();
        let saved = quarantine.save_set(plan.path, &mut kept);
        let saved = saved.map_err(no_backup(plan.path))?;
        let copy = quarantine.folder().join(&saved);
        if salvage::digest_of_set(&copy).map_err(io)? != plan.present {
            return Err(DoorError::Changed(plan.path.to_owned()));
        }
        let staged = self.build(plan, &copy)?;
        self.swap_in(part, plan.path, &staged, (before, Some(saved)), done)
    }

    /// The new file, beside the database, flushed.
    fn build(&self, plan: &Plan<'_>, copy: &Path) -> Result<PathBuf, DoorError> {
        let io = |source| file_error_of(plan.path, source);
        let folder = plan.path.parent().unwrap_or(Path::new("."));
        remove_workshops(plan.path);
        let prefix = workshop_prefix(plan.path);
        let mut work = tempfile::Builder::new();
        host::only_the_owner_may_enter(work.prefix(&prefix));
        let work = work.tempdir_in(folder).map_err(io)?;
        let kept = || copies_of(self.root(), plan.path);
        let made = salvage::salvage(copy, &kept, work.path()).map_err(|error| match error {
            SalvageError::Io(source) => file_error_of(plan.path, source),
            SalvageError::Database(error) => DoorError::Database(error),
            other => DoorError::NotPossible(other.to_string()),
        })?;
        if made.report != *plan.report {
            return Err(DoorError::Changed(plan.path.to_owned()));
        }
        self.keep_report(copy, &made.report).map_err(io)?;
        let file = File::options().write(true).open(&made.file).map_err(io)?;
        // Where the main file is gone, its log tells whose it was.
        let files = ["", "-wal", "-journal"].map(|suffix| side_file(plan.path, suffix));
        if let Some(model) = files.iter().find(|file| file.exists()) {
            host::copy_owner_and_mode(model, &file).map_err(io)?;
        }
        file.sync_all().map_err(io)?;
        let staged = staged_name(self.root(), plan.path);
        // What a killed run left under this name never had the final one.
        fs::rename(&made.file, &staged).map_err(io)?;
        host::files::sync_folder(folder).map_err(io)?;
        Ok(staged)
    }

    /// Beside the quarantined files, for whoever looks at them later.
    fn keep_report(&self, copy: &Path, report: &SalvageReport) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(report)?;
        let mut name = copy.as_os_str().to_owned();
        name.push(".report.json");
        let mut file = File::options().write(true).create_new(true).open(name)?;
        file.write_all(&text)?;
        file.sync_all()
    }
}

/// The name under which a rebuilt file waits beside the database.
pub(super) fn staged_name(root: &Path, database: &Path) -> PathBuf {
    staged::own_name(root, database, "rebuilt")
}

fn workshop_prefix(database: &Path) -> String {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.salvage-")
}

/// Removes folders in which killed runs were building. Nothing was ever promised of what is in them.
pub(super) fn remove_workshops(database: &Path) {
    let folder = database.parent().unwrap_or(Path::new("."));
    let prefix = workshop_prefix(database);
    for name in host::files::names_in(folder, usize::MAX).unwrap_or_default() {
        if name.starts_with(&prefix) {
            let _ = fs::remove_dir_all(folder.join(name));
        }
    }
}

/// Waits for whoever has the database open, as long as the run may wait, and keeps everybody out then.
pub(super) fn locked_out(cx: &Context, path: &Path) -> Result<LockedOut, DoorError> {
    cx.forget_connection();
    ensure_none_is_under_way(&cx.state_folder())
        .map_err(|error| DoorError::NotPossible(error.to_string()))?;
    loop {
        match LockedOut::take(path) {
            Err(SwapError::InUse(_)) => wait(cx, DbError::Locked { code: 5 })?,
            other => break other.map_err(swap_error(path)),
        }
    }
}

pub(super) fn swap_error(path: &Path) -> impl Fn(SwapError) -> DoorError + use<'_> {
    |error| match error {
        SwapError::Changed { .. } => DoorError::Changed(path.to_owned()),
        SwapError::Io { path, source } => DoorError::File { path, source },
        other @ (SwapError::InUse(_)
        | SwapError::Opened { .. }
        | SwapError::Overtaken { .. }
        | SwapError::MountPoint(_)
        | SwapError::Unclear { .. }
        | SwapError::Elsewhere { .. }) => DoorError::NotPossible(other.to_string()),
    }
}
