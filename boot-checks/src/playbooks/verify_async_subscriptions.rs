//! Shows that every subscription of the trigger mesh receives and acknowledges a probe. Looking is
//! the check's work; what a subscriber does wrong stands in source code, which this playbook does
//! not touch.

use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "verify_async_subscriptions",
    description: "Check await usage",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["subscription_deaf"],
    registered: true,
};

pub(super) struct VerifyAsyncSubscriptions;

impl Playbook for VerifyAsyncSubscriptions {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, _cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let reason = "a subscriber that does not acknowledge is a fault in its source";
        Err(PlanError::NotApplicable(reason.to_owned()))
    }
}
