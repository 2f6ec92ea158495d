//! Runs the plan: an ordered, memoised session, one step after the other, and the one door through
//! which anything is written.

mod artefacts;
mod door;
mod healing;
mod journal;
mod recorder;
mod redact;
mod run;
mod selection;
mod session;

pub use door::Door;
pub use journal::{Journal, JournalEntry};
pub use recorder::{Recorder, Sink};
pub use redact::Redactor;
pub use run::{BootOptions, BootOutcome, boot, refuse, refuse_without_root};
pub use selection::{Selection, SelectionError};
pub use session::Session;
