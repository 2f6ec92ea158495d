use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::changes::{file_error, migrations, perform, planned, touches, write_rows};
use super::memory::{forget_integrity, unsettle_integrity};
use super::touched::{ABSENT, KeptOpen, digest_of};
use super::{Backups, DoorError, Failure, Journal, JournalEntry, Kind, Left, Phase, Touched};
use crate::context::Context;
use crate::host::{self, links};
use crate::model::{Change, Repair, StepId};
use crate::services::migrations::{Adopted, adopt, apply_pending, restamp};

/// The one door: nothing but this writes to the application's files or its database. Each change is
/// atomic in itself, is in the journal with all that undoing it needs before it begins, and a copy
/// of what it replaces is on the disk by then.
#[derive(Debug)]
pub struct Door {
    root: PathBuf,
    journal: Journal,
    backups: Backups,
    /// Held from the first command on that the application's own tool runs.
    pub(super) tools_turn: Mutex<Option<File>>,
}

/// Where the gate's own state stands, below the application's root.
pub(super) const STATE_FOLDER: &str = "var/boot";

/// The repair that a change belongs to, for the journal.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    step: StepId,
    repair: &'a Repair,
}

impl Door {
    /// The door of one run to the application below `root`.
    pub fn new(root: &Path, run_id: &str) -> Door {
        let state_folder = root.join(STATE_FOLDER);
        Door {
            root: root.to_owned(),
            journal: Journal::new(&state_folder, run_id),
            backups: Backups::new(&state_folder, run_id),
            tools_turn: Mutex::default(),
        }
    }

    /// The run whose door it is.
    pub fn run_id(&self) -> &str {
        self.journal.run_id()
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

    /// Makes the changes of a repair, in order, and says what they touched. Where one fails, those
    /// before it are taken back.
    ///
    /// # Errors
    ///
    /// Why the first change that failed did, and what is left of those before it.
    pub fn apply(
        &self,
        cx: &Context,
        step: StepId,
        repair: &Repair,
    ) -> Result<Vec<Touched>, Failure> {
        let part = Part { step, repair };
        let mut done = Vec::new();
        // Nobody may have a file open that is replaced, or taken back, this process included.
        cx.forget_connection();
        // Before a copy is made: each makes the oldest run's give way.
        let whole = self.journal.ensure_whole().map_err(DoorError::Journal);
        let made = whole.and_then(|()| {
            let mut changes = repair.changes.iter();
            changes.try_for_each(|change| self.make(cx, part, change, &mut done))
        });
        match made {
            Ok(()) => Ok(done),
            Err(error) => Err(self.give_up(part, error, done)),
        }
    }

    /// Takes back what was begun of a repair.
    fn give_up(&self, part: Part<'_>, error: DoorError, mut done: Vec<Touched>) -> Failure {
        if done.is_empty() {
            return Failure {
                error,
                left: Left::Untouched,
                changed_nothing: true,
            };
        }
        let changed_nothing = done.iter().all(Touched::is_as_before);
        let is_untouched = changed_nothing && !error.has_run();
        let left = match self.restore(part, &mut done) {
            Left::TakenBack if is_untouched => Left::Untouched,
            left => left,
        };
        Failure {
            error,
            left,
            changed_nothing,
        }
    }

    /// Notes that the check passes.
    pub fn verified(&self, step: StepId, repair: &Repair) {
        // The proof stands in the report and the record too.
        let _ = self.note(Part { step, repair }, Phase::Verified, &[]);
    }

    /// Takes the changes of a repair back.
    pub fn take_back(&self, step: StepId, repair: &Repair, mut touched: Vec<Touched>) -> Left {
        self.restore(Part { step, repair }, &mut touched)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn backups(&self) -> &Backups {
        &self.backups
    }

    pub(super) fn note(&self, part: Part<'_>, phase: Phase, touched: &[Touched]) -> io::Result<()> {
        if phase == Phase::Begun {
            match touched.iter().any(|touched| touched.kind.is_database()) {
                true => forget_integrity(&self.root),
                false => unsettle_integrity(&self.root),
            }
        }
        self.journal.write(&JournalEntry {
            run_id: self.journal.run_id().to_owned(),
            step: part.step.to_string(),
            playbook: part.repair.playbook.to_owned(),
            fingerprint: part.repair.fingerprint.clone(),
            phase,
            changes: match phase {
                Phase::Begun => json!(part.repair.changes),
                _ => Value::Null,
            },
            touched: touched.to_vec(),
        })
    }

    /// Makes one change; `done` grows by what it touched, also where it failed half-way.
    fn make(
        &self,
        cx: &Context,
        part: Part<'_>,
        change: &Change,
        done: &mut Vec<Touched>,
    ) -> Result<(), DoorError> {
        let set = || migrations(cx);
        match change {
            Change::CreateFolder { .. }
            | Change::CreateFile { .. }
            | Change::AppendToFile { .. }
            | Change::EditFile { .. }
            | Change::ReplaceOwnFile { .. }
            | Change::CreateDatabase { .. } => self.make_here(cx, part, change, done),
            Change::RunMigrator { argv, .. } => self.run_tool(cx, part, argv, done),
            Change::ApplyMigrations { versions, .. } => {
                self.in_database(cx, part, done, |connection, on_lock| {
                    apply_pending(connection, set()?.as_ref(), versions, on_lock)
                })
            }
            Change::AdoptSchema {
                statements,
                expected_fingerprint: fingerprint,
                lacking_rows,
                ..
            } => self.in_database(cx, part, done, |connection, on_lock| {
                let set = set()?;
                let expected = Adopted {
                    fingerprint,
                    lacking_rows,
                };
                adopt(connection, &set, statements, &expected, on_lock)
            }),
            Change::RestampMigrations { versions, .. } => {
                self.in_database(cx, part, done, |connection, on_lock| {
                    restamp(connection, set()?.as_ref(), versions, on_lock)
                })
            }
            Change::RebuildDatabase {
                path,
                present,
                report,
            } => {
                let plan = super::rebuild::Plan {
                    path,
                    present,
                    report,
                };
                self.rebuild(cx, part, &plan, done)
            }
            Change::RestoreCopy {
                path,
                copy,
                kept,
                present,
            } => {
                let plan = super::replace::Plan {
                    path,
                    copy,
                    kept,
                    present,
                };
                self.replace(cx, part, &plan, done)
            }
            Change::WriteRows { statements } => {
                self.in_database(cx, part, done, |connection, on_lock| {
                    write_rows(connection, statements, on_lock)
                })
            }
        }
    }

    /// A change that is not a transaction in the application's database.
    ///
    /// Safety: each is made by one atomic step, which replaces nothing but what it was planned for. So where it
    /// failed, and what is there is neither what was before nor what was planned, somebody else made it meanwhile,
    /// and it is not this run's to take back.
    fn make_here(
        &self,
        cx: &Context,
        part: Part<'_>,
        change: &Change,
        done: &mut Vec<Touched>,
    ) -> Result<(), DoorError> {
        let mut touched = Vec::new();
        for (path, kind) in touches(cx, change) {
            let mut one = self.save(&path, kind).map_err(no_backup(&path))?;
            if kind == Kind::File {
                one.planned = planned(change).map(|contents| digest_of(&contents));
            }
            touched.push(one);
        }
        self.note(part, Phase::Begun, &touched)
            .map_err(file_error(&self.root.join(STATE_FOLDER)))?;
        let mut new_database = None;
        let made = perform(cx, change, &mut new_database);
        for one in &mut touched {
            let path = self.root.join(&one.path);
            let now = one.kind.state(&path, &mut KeptOpen::default()).ok();
            // What others have written since is not the run's own.
            let is_certain =
                |now: &String| one.planned.is_none() || one.is_planned(now) || made.is_err();
            one.after = match one.kind {
                Kind::Database if made.is_ok() => new_database.take(),
                _ => now.filter(is_certain),
            };
        }
        let (own, others): (Vec<_>, Vec<_>) = touched
            .into_iter()
            .partition(|one| made.is_ok() || is_own(one));
        done.extend(own.iter().cloned());
        if made.is_ok() {
            // Without this line an undo is refused; the change itself is whole.
            let _ = self.note(part, Phase::Applied, &own);
        } else if !others.is_empty() {
            let untouched = others.into_iter().map(|one| Touched {
                after: Some(one.before.clone()),
                ..one
            });
            let _ = self.note(part, Phase::Failed, &untouched.collect::<Vec<_>>());
        }
        made
    }

    /// What is there now, with a copy where a file is.
    fn save(&self, path: &Path, kind: Kind) -> io::Result<Touched> {
        let before = kind.state(path, &mut KeptOpen::default())?;
        let saved = match kind {
            Kind::File if before != ABSENT => Some(self.backups.save_file(path)?),
            _ => None,
        };
        Ok(self.touched(path, kind, before, saved))
    }

    pub(super) fn touched(
        &self,
        path: &Path,
        kind: Kind,
        before: String,
        saved: Option<String>,
    ) -> Touched {
        let owner = match kind {
            // Where it cannot be told, it cannot be given back either.
            Kind::File | Kind::Database | Kind::ByTool if before != ABSENT => {
                host::owner(path).ok().flatten()
            }
            _ => None,
        };
        let really = Some(links::without_links(path, &self.root));
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        Touched {
            path: path.to_owned(),
            kind,
            before,
            after: None,
            planned: None,
            saved,
            really,
            owner,
        }
    }
}

/// Whether a change that failed can have left this.
fn is_own(one: &Touched) -> bool {
    let is_known = |state: &String| *state == one.before || one.is_planned(state);
    one.kind == Kind::Folder || one.after.as_ref().is_none_or(is_known)
}

pub(super) fn no_backup(path: &Path) -> impl FnOnce(io::Error) -> DoorError + use<'_> {
    |source| DoorError::Backup {
        path: path.to_owned(),
        source,
    }
}
