//! Changes that failed, or did not heal, are taken back at once.

use super::door::Part;
use super::restore::Restore;
use super::{Door, Kind, Left, Phase, Touched};

impl Door {
    /// Puts back what is no longer as it was, the last first, and notes what came of it.
    pub(super) fn restore(&self, part: Part<'_>, done: &mut [Touched]) -> Left {
        let mut left = Left::TakenBack;
        for touched in done.iter_mut().rev() {
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
            Err(error) if touched.kind == Kind::ByTool => {
                Err(Some(restore.left_by_tool(touched, &error)))
            }
            Ok(false) | Err(_) => Err(None),
        }
    }
}
