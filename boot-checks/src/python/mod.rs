//! Looks at a Python application's sources for what would crash its start, without running it.
//!
//! The rule of this module: a false alarm is worse than a miss. Whatever cannot be known without running the
//! application (guards, hooks, computed names and paths, compiled code) is left unjudged and counted.

mod calls;
mod coroutines;
mod cycles;
mod definitions;
mod edit;
mod environment;
mod error;
mod expressions;
mod facts;
mod finder;
mod fix;
mod load;
mod local_import;
mod locals;
mod lower;
mod names;
mod paths;
mod place;
mod project;
mod record;
mod report;
mod requirements;
mod resolver;
mod scan;
mod scope;
mod simulate;
mod source;
mod sources;
mod suggest;
mod target;
mod verdicts;
mod world;

#[cfg(test)]
mod tests;

pub(crate) use finder::is_closed;

pub use edit::{EditProposal, TextEdit};
pub use error::SourceError;
pub use fix::{propose_await_fixes, propose_cycle_fixes};
pub use place::Place;
pub use project::Project;
pub use record::{AttributeResolution, RecordResolution};
pub use report::{Counts, Link, Problem, ProblemKind, SourceReport};
pub use sources::{Sources, analyse};
