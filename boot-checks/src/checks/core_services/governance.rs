//! Does governance decide, and does it hold back? Every playbook is put to it in observe mode, where
//! none may act, and in heal mode without an approval, where none of high risk may.

use crate::checks::Check;
use crate::context::Context;
use crate::model::{Approval, CheckResult, Decision, Finding, Findings, Mode, RiskLevel};
use crate::services::governance::decide;

/// See the module.
pub struct Governance;

impl Check for Governance {
    fn title(&self) -> &'static str {
        "Governance framework"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let mut problems = Vec::new();
        for playbook in &cx.registry {
            let observed = decide(playbook.risk, playbook.tier, Mode::Observe, Approval::None);
            let unapproved = decide(playbook.risk, playbook.tier, Mode::Heal, Approval::None);
            let acts = matches!(unapproved, Decision::Apply | Decision::ApplyAndNotify);
            if observed != Decision::ObserveOnly || (playbook.risk >= RiskLevel::High && acts) {
                let message = format!("governance would let {} act unasked", playbook.id);
                problems.push(Finding::new("governance_open", message));
            }
        }
        if cx.registry.is_empty() {
            problems.push(Finding::new(
                "governance_idle",
                "there is no playbook to decide about",
            ));
        }
        let observed = format!(
            "decided about {} playbooks, observe-only",
            cx.registry.len()
        );
        Ok(Findings::from_problems(problems, observed))
    }
}
