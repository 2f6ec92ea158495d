//! Does a snapshot of the metrics hold what was recorded?

use crate::checks::Check;
use crate::context::Context;
use crate::model::{CheckError, CheckResult, Finding, Findings};

/// See the module.
pub struct MetricsSnapshot;

const PROBE: &str = "startup.snapshot_probe";

impl Check for MetricsSnapshot {
    fn title(&self) -> &'static str {
        "Metrics snapshot"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let collector = cx
            .metrics
            .get()
            .ok_or_else(|| CheckError::new("the metrics collector is not started"))?;
        collector.record(PROBE, 7.0);
        let snapshot = collector.snapshot();
        Ok(if snapshot.get(PROBE) == Some(&7.0) {
            Findings::healthy(format!("{} metrics", snapshot.len()))
        } else {
            let message = "a snapshot lacks what was recorded";
            Findings::problem(Finding::new("metrics_broken", message))
        })
    }
}
