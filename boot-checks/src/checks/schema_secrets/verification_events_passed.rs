//! Is the column there whose absence stops Grace with `no such column: verification_events.passed`?
//! `apply_pending_migrations` adds what is missing.

use super::required_columns::columns_of;
use crate::checks::Check;
use crate::context::Context;
use crate::model::CheckResult;

/// See the module.
pub struct VerificationEventsPassed;

impl Check for VerificationEventsPassed {
    fn title(&self) -> &'static str {
        "verification_events.passed exists"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let names = ["passed"];
        columns_of(
            cx,
            "verification_events",
            &names,
            "verification_events_schema_mismatch",
        )
    }
}
