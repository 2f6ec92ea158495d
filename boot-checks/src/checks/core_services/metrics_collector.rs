//! Does the metrics collector keep what it is given? A sample is recorded and read back.

use crate::checks::Check;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::metrics::MetricsCollector;

/// See the module.
pub struct Metrics;

const PROBE: &str = "startup.probe";

impl Check for Metrics {
    fn title(&self) -> &'static str {
        "Metrics collector"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let collector = cx.metrics.get_or_init(MetricsCollector::default);
        let sample = collector.latest(PROBE).unwrap_or_default() + 1.0;
        collector.record(PROBE, sample);
        Ok(if collector.latest(PROBE) == Some(sample) {
            Findings::healthy("a sample was recorded and read back")
        } else {
            let message = "the metrics collector lost a sample";
            Findings::problem(Finding::new("metrics_broken", message))
        })
    }
}
