//! Are the proactive rules sound: does each watch a known indicator and propose a playbook that
//! there is?

use crate::checks::Check;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::services::metrics::Catalogue;

/// See the module.
pub struct ProactiveRules;

impl Check for ProactiveRules {
    fn title(&self) -> &'static str {
        "Proactive rules"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let catalogue = match Catalogue::built_in() {
            Ok(catalogue) => catalogue,
            Err(error) => return Ok(Findings::problem(Finding::new("catalogue_unsound", error))),
        };
        let problems = catalogue
            .rule
            .iter()
            .filter(|rule| cx.registry.iter().all(|meta| meta.id != rule.playbook))
            .map(|rule| {
                let message = format!(
                    "rule {} proposes {}, which is no playbook",
                    rule.name, rule.playbook
                );
                Finding::new("rule_unsound", message)
            })
            .collect();
        Ok(Findings::from_problems(
            problems,
            format!("{} rules loaded", catalogue.rule.len()),
        ))
    }
}
