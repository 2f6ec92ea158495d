//! Checks: each only looks, one file each, a folder per stage.

pub mod autonomy;
pub mod codec;
pub mod core_services;
pub mod monitor;
pub mod preflight;
pub mod schema_secrets;
pub mod smoke;
pub mod startup_playbooks;
mod support;

use crate::context::Context;
use crate::model::CheckResult;

/// Looks at one thing. It never writes, never prints, and never creates what it looks for.
pub trait Check: Sync {
    /// What it asks, in a few words.
    fn title(&self) -> &'static str;

    /// Looks.
    ///
    /// # Errors
    ///
    /// When it could not look.
    fn run(&self, cx: &Context) -> CheckResult;
}
