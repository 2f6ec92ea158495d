//! Is proactive intelligence scheduled for the monitor? `schedule_monitor` writes the schedule.

use super::scheduled;
use crate::checks::Check;
use crate::context::Context;
use crate::model::CheckResult;

/// See the module.
pub struct ProactiveIntelligence;

/// SPEC.md, "Stage 8".
const EVERY_SECONDS: u64 = 600;

impl Check for ProactiveIntelligence {
    fn title(&self) -> &'static str {
        "Proactive intelligence"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        scheduled(cx, "proactive_intelligence", EVERY_SECONDS)
    }
}
