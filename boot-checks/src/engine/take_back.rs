//! Changes that failed, or did not heal, are taken back at once.

use std::path::Path;

use super::door::Part;
use super::restore::Restore;
use super::{Door, Kind, Left, Phase, Touched};

impl Door {
    /// Puts back what is no longer as it was, the last first, and notes what came of it.
    pub(super) fn restore(&self, part: Part<'_>, done: &mut [Touched]) -> Left {
        let mut left = Left::TakenBack;
        // What others made since of what was left as it was is theirs. Whose it is, which a tool may have changed, is
        // not in its state.
        let is_changed =
            |touched: &&mut Touched| touched.kind == Kind::ByTool || !touched.is_as_before();
        let changed = done.iter_mut().filter(is_changed);
        for touched in changed.rev() {
            if let Err(stays) = self.restore_one(touched) {
                left = Left::Something(stays.or(left.stays()));
            }
        }
        let phase = if left.is_nothing() {
            Phase::TakenBack
        } else {
            Phase::Failed
        };
        // What came of it is reported; a journal that cannot be written says less.
        let _ = self.note(part, phase, done);
        left
    }

    /// Where it stays, says why where there is more to say than that.
    fn restore_one(&self, touched: &mut Touched) -> Result<(), Option<String>> {
        let restore = Restore {
            root: self.root(),
            backups: self.backups(),
            is_at_once: true,
        };
        if touched.kind == Kind::ByTool {
            let doubt = restore.ensure_nobody_loses(touched);
            doubt.map_err(|doubt| Some(restore.left_by_tool(touched, &doubt)))?;
        }
        let mut target = touched.before.clone();
        let mut announce = |state: &str| {
            state.clone_into(&mut target);
            Ok(())
        };
        match restore.run(touched, &mut announce) {
            Ok(true) => {
                touched.after = Some(target);
                Ok(())
            }
            // A folder that others have put something into by now is theirs as well.
            Ok(false) if is_in_use(&touched.place(self.root())) => Ok(()),
            Err(error) if touched.kind == Kind::ByTool => {
                Err(Some(restore.left_by_tool(touched, &error)))
            }
            Ok(false) | Err(_) => Err(None),
        }
    }
}

fn is_in_use(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut names| names.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::touched::KeptOpen;
    use crate::model::{Decision, Repair, RepairResult, StageId, StepId};

    #[test]
    fn what_others_made_of_what_stayed_as_it_was_is_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "old").unwrap();
        let before = Kind::File.state(&path, &mut KeptOpen::default()).unwrap();
        let door = Door::new(folder.path(), "20260101_000000");
        let touched = Touched {
            after: Some(before.clone()),
            ..door.touched(&path, Kind::File, before, None)
        };
        std::fs::write(&path, "theirs").unwrap();
        let step = StepId {
            stage: StageId::Preflight,
            name: "a_check",
        };
        let repair = Repair {
            playbook: "a_test",
            summary: String::new(),
            decision: Decision::Apply,
            changes: Vec::new(),
            fingerprint: String::new(),
            proposal: None,
            result: RepairResult::Proposed,
        };
        assert!(door.take_back(step, &repair, vec![touched]).is_nothing());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
    }
}
