//! Is the metrics snapshot scheduled for the monitor? `schedule_monitor` writes the schedule.

use super::scheduled;
use crate::checks::Check;
use crate::context::Context;
use crate::model::CheckResult;

/// See the module.
pub struct MetricsSnapshotSchedule;

/// SPEC.md, "Stage 8".
const EVERY_SECONDS: u64 = 60;

impl Check for MetricsSnapshotSchedule {
    fn title(&self) -> &'static str {
        "Metrics snapshot schedule"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        scheduled(cx, "metrics_snapshot", EVERY_SECONDS)
    }
}
