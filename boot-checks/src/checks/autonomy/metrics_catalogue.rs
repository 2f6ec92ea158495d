//! Are the indicators known, each with its unit and its bands?

use crate::checks::Check;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::metrics::Catalogue;

/// See the module.
pub struct MetricsCatalogue;

impl Check for MetricsCatalogue {
    fn title(&self) -> &'static str {
        "Metrics catalogue"
    }

    fn run(&self, _cx: &Context) -> CheckResult {
        Ok(match Catalogue::built_in() {
            Ok(catalogue) => {
                let mut domains: Vec<_> = catalogue.kpi.iter().map(|kpi| &kpi.domain).collect();
                domains.sort();
                domains.dedup();
                let (kpis, domains) = (catalogue.kpi.len(), domains.len());
                Findings::healthy(format!("{kpis} indicators in {domains} domains"))
            }
            Err(error) => Findings::problem(Finding::new("catalogue_unsound", error)),
        })
    }
}
