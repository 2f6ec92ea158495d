//! Stage 6: metrics catalogue, playbook definitions, proactive rules.

mod metrics_catalogue;
mod playbook_definitions;
mod proactive_rules;

pub use metrics_catalogue::MetricsCatalogue;
pub use playbook_definitions::PlaybookDefinitions;
pub use proactive_rules::ProactiveRules;
