//! Known incidents: what they look like in text, why they happen, and what heals them.
//!
//! The catalogue is data (`fixtures/patterns/<id>/pattern.toml`), compiled in as constants. The
//! search engine behind it is built on first use, so a boot that recognises nothing pays nothing.
//! Adding a pattern is adding a folder; the build names file and line of whatever is wrong in it.

mod anchors;
mod catalogue;
mod diagnose;
mod diagnosis;
mod evaluate;
mod fixture;
mod fixtures;
mod follow;
mod follow_state;
#[cfg(test)]
#[allow(
    clippy::print_stdout,
    reason = "the build script speaks to cargo this way"
)]
#[path = "../../build/patterns.rs"]
mod generator;
#[cfg(test)]
mod generator_tests;
mod line;
mod matcher;
mod metadata;
mod ownership;
mod pattern;
mod prefix;
mod pretty;
mod source;
mod tally;
#[cfg(test)]
mod tests;
mod traceback;

pub use catalogue::{all, find};
pub use diagnose::{
    DiagnoseError, Options, diagnose_bytes, diagnose_path, diagnose_reader, recognise,
};
pub use diagnosis::{Diagnosis, EscalationNote, Incident, Place};
pub use evaluate::{EvaluateError, Evaluation, LabelScore, Miss, evaluate};
pub use fixture::{Arrangement, Expectation, Fixture, Outcome, Probe, Restored};
pub use fixtures::{Embedded, controls, replays};
pub use follow::{Follower, Poll, Reset};
pub use follow_state::FollowerState;
pub use metadata::METADATA_JSON;
pub use ownership::OwnPackages;
pub use pattern::{Escalation, LookAlike, Other, Pattern, Sample, Signature};
pub use pretty::pretty;
pub use source::SourceError;
