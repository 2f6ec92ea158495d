//! A kept copy takes the place of a database.

use std::io;
use std::path::Path;

use super::changes::file_error_of;
use super::door::{Part, no_backup};
use super::rebuild::{locked_out, swap_error};
use super::swap::{Swap, main_of};
use super::touched::{ABSENT, KeptOpen, Kind};
use super::{Door, DoorError, Phase, RestoreError, STATE_FOLDER, Touched, half_way, staged};
use crate::context::Context;

/// What a person decided on.
pub(super) struct Plan<'a> {
    /// The main file.
    pub(super) path: &'a Path,
    /// The main file of the copy.
    pub(super) copy: &'a Path,
    /// Names exactly the copy.
    pub(super) kept: &'a str,
    /// Names exactly the files that are there.
    pub(super) present: &'a str,
}

impl Door {
    /// Safety: everybody else is kept out, and what is there is compared with what was shown, before
    /// anything is done. The whole of it goes to the quarantine, byte for byte and flushed, and is
    /// compared again there; the copy becomes one file that holds everything, under a name of its own.
    /// Only then does the [`Swap`] begin, which moves the side files that are there out of the way
    /// before the main file, so that no log ever lies beside another's main file, and which the next
    /// run takes up where a kill left it. The copy itself is only read.
    pub(super) fn replace(
        &self,
        cx: &Context,
        part: Part<'_>,
        plan: &Plan<'_>,
        done: &mut Vec<Touched>,
    ) -> Result<(), DoorError> {
        let io = |source| file_error_of(plan.path, source);
        let _lock = locked_out(cx, plan.path)?;
        let mut kept = KeptOpen::default();
        let before = Kind::DatabaseSet.state(plan.path, &mut kept).map_err(io)?;
        if before != plan.present {
            return Err(DoorError::Changed(plan.path.to_owned()));
        }
        let saved = match before.as_str() {
            ABSENT => None,
            _ => Some(self.set_to_quarantine(plan.path, &before, &mut kept)?),
        };
        let staged =
            staged::stage(self.root(), plan.copy, plan.path, plan.kept).map_err(stage_error)?;
        let swapped = self.swap_in(part, plan.path, &staged, (before, saved), done);
        if swapped.is_err() && done.is_empty() {
            // Not begun: what waits under its own name is of no use to anybody.
            let _ = staged::remove(&staged);
        }
        drop(kept);
        swapped
    }

    /// What is staged takes the place of what was there `before` and was `saved`, with the journal's lines
    /// around it. The caller keeps everybody else out.
    pub(super) fn swap_in(
        &self,
        part: Part<'_>,
        path: &Path,
        staged: &Path,
        (before, saved): (String, Option<String>),
        done: &mut Vec<Touched>,
    ) -> Result<(), DoorError> {
        let target = Kind::DatabaseSet
            .state(staged, &mut KeptOpen::default())
            .map_err(|source| file_error_of(path, source))?;
        let swap = Swap {
            database: path.to_owned(),
            staged: staged.to_owned(),
            present: main_of(&before).to_owned(),
            before: before.clone(),
            target: target.clone(),
            is_in_place: false,
            root: None,
            aside: self.backups().quarantine().folder(),
        };
        // What will be there is known, so that an undo is certain whenever the run is killed.
        let touched = Touched {
            after: Some(target),
            ..self.touched(path, Kind::DatabaseSet, before, saved)
        };
        let state_folder = self.root().join(STATE_FOLDER);
        self.note(part, Phase::Begun, std::slice::from_ref(&touched))
            .map_err(|source| file_error_of(&state_folder, source))?;
        if let Err(error) = swap.begin(self.root()) {
            // It is known now: who was kept out may write in a moment.
            let is_as_it_was = !half_way::may_be(&state_folder) && swap.has_changed_nothing();
            let after = match is_as_it_was {
                true => Some(touched.before.clone()),
                false => touched.after.clone(),
            };
            done.push(Touched { after, ..touched });
            return Err(swap_error(path)(error));
        }
        done.push(touched.clone());
        let _ = self.note(part, Phase::Applied, &[touched]);
        Ok(())
    }

    /// Copies the whole set, and reads the copy back: it may be all that is left of these rows.
    fn set_to_quarantine(
        &self,
        path: &Path,
        before: &str,
        kept: &mut KeptOpen,
    ) -> Result<String, DoorError> {
        let io = |source| file_error_of(path, source);
        let quarantine = self.backups().quarantine();
        let saved = quarantine.save_set(path, kept).map_err(no_backup(path))?;
        let copy = quarantine.folder().join(&saved);
        let copied = Kind::DatabaseSet.state(&copy, &mut KeptOpen::default());
        // The copy is private, whatever the original is: only the digests are compared.
        let digests = |state: &str| -> Vec<String> {
            state
                .split_whitespace()
                .skip(2)
                .map(str::to_owned)
                .collect()
        };
        if digests(&copied.map_err(io)?) != digests(before) {
            return Err(io(io::Error::other("its copy in the quarantine differs")));
        }
        Ok(saved)
    }
}

fn stage_error(error: RestoreError) -> DoorError {
    match error {
        RestoreError::Io { path, source } => DoorError::File { path, source },
        RestoreError::Database { source, .. } => DoorError::Database(source),
        other => DoorError::NotPossible(other.to_string()),
    }
}
