//! Runs the plan: an ordered, memoised session, one step after the other, and the one door through
//! which anything is written.

mod approvals;
mod artefacts;
mod aside;
mod backups;
mod changes;
mod door;
mod door_error;
mod heal;
mod healing;
mod in_database;
mod incident;
mod journal;
mod kept;
mod memory;
mod notices;
mod preview;
mod propose;
mod put_back;
mod put_back_plan;
mod rebuild;
mod recorder;
mod redact;
mod replace;
mod restore;
mod run;
mod selection;
mod session;
mod staged;
mod swap;
mod tidy;
mod touched;
mod undo;
#[cfg(test)]
mod undo_tests;

pub use approvals::{Approvals, Approved, QUORUM};
pub use backups::Backups;
pub use door::Door;
use door::STATE_FOLDER;
pub use door_error::{DoorError, Failure, Left};
pub use heal::{HealOptions, HealOutcome, Intent, Planned, approve, heal};
pub use journal::{Journal, JournalEntry, Phase};
pub use kept::{Kept, kept};
pub use notices::acknowledge;
pub use propose::Permit;
pub use put_back::{PutBack, PutBackError, put_back};
pub use put_back_plan::{KeptRows, PutBackPlan, TableRows, Wanted, plan_put_back};
pub use recorder::{Recorder, Sink};
pub use redact::Redactor;
pub use restore::RestoreError;
pub use run::{BootOptions, boot, refuse, refuse_without_root};
pub use selection::{Selection, SelectionError};
pub use session::Session;
pub use touched::{Kind, Touched};
pub use undo::{UndoError, Undone, undo};
