//! Resolves import loops in the application's source. Proposing the edit needs the loop itself,
//! which the boot's checks do not look for; a boot therefore never runs it.

use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "fix_circular_imports",
    description: "Resolve import loops",
    risk: RiskLevel::High,
    tier: AutonomyTier::Approve,
    fixes: &["import_cycle"],
    registered: true,
};

pub(super) struct FixCircularImports;

impl Playbook for FixCircularImports {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, _cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let reason = "an import loop is resolved by editing source, which a person decides";
        Err(PlanError::NotApplicable(reason.to_owned()))
    }
}
