//! Do the playbook definitions in the registry make sense: known words for risk and tier?

use crate::checks::Check;
use crate::checks::startup_playbooks::definitions;
use crate::context::Context;
use crate::model::{AutonomyTier, CheckResult, Finding, Findings, RiskLevel};

/// See the module.
pub struct PlaybookDefinitions;

impl Check for PlaybookDefinitions {
    fn title(&self) -> &'static str {
        "Playbook definitions"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let listed = match definitions(cx) {
            Ok(listed) => listed,
            Err(finding) => return Ok(Findings::problem(*finding)),
        };
        let mut problems = Vec::new();
        for entry in &listed {
            let risk = entry.risk.as_deref().map(str::parse::<RiskLevel>);
            let tier = entry.tier.as_deref().map(str::parse::<AutonomyTier>);
            for error in [risk.and_then(Result::err), tier.and_then(Result::err)]
                .into_iter()
                .flatten()
            {
                let message = format!("playbook {}: {error}", entry.name);
                problems.push(Finding::new("playbook_definition_unsound", message));
            }
        }
        if listed.is_empty() {
            let message = "the registry holds no playbook";
            problems.push(Finding::new("playbook_unregistered", message));
        }
        Ok(Findings::from_problems(
            problems,
            format!("{} playbooks loaded", listed.len()),
        ))
    }
}
