//! Does governance decide, and does it hold back? Every playbook is put to it in observe mode, where
//! none may act, and in heal mode without an approval, where none of high risk may. What was done
//! without asking and nobody has acknowledged yet is said here, in every boot.

use crate::checks::Check;
use crate::context::Context;
use crate::model::{Approval, CheckResult, Decision, Finding, Findings, Mode, RiskLevel};
use crate::services::governance::decide;
use crate::services::notices::{self, Notice};

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
        let mut findings = Findings::from_problems(problems, observed);
        match notices::read(&cx.state_folder()) {
            Ok(notices) => findings.notes.extend(notices.iter().map(said)),
            // What they say stands in the records too; it keeps nothing from starting.
            Err(error) => findings = findings.note(format!("cannot read the notices: {error}")),
        }
        Ok(findings)
    }
}

fn said(notice: &Notice) -> String {
    let Notice {
        run_id,
        playbook,
        summary,
        is_done,
    } = notice;
    let ending = match is_done {
        true => "",
        false => ", or had begun to when it was interrupted",
    };
    format!(
        "{playbook} {summary} in run {run_id}{ending}; `cargo xtask acknowledge {run_id}` takes \
         this notice away"
    )
}
