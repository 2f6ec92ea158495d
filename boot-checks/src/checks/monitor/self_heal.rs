//! Is the self-heal loop scheduled for the monitor? `schedule_monitor` writes the schedule.

use super::scheduled;
use crate::checks::Check;
use crate::context::Context;
use crate::model::CheckResult;

/// See the module.
pub struct SelfHeal;

/// SPEC.md, "Stage 8".
const EVERY_SECONDS: u64 = 300;

impl Check for SelfHeal {
    fn title(&self) -> &'static str {
        "Self-heal loop"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        scheduled(cx, "self_heal", EVERY_SECONDS)
    }
}
