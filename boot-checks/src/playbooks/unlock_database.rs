//! What a person means with "remove the lock": that the database opens again.
//!
//! A lock is held by a live process or by nobody: the kernel ends a dead process's locks. So there
//! is nothing to remove, ever. Looking again, with patience, is the check's work; deleting `-wal`,
//! `-shm` or `-journal` would delete committed rows and is never done.

use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "unlock_database",
    description: "Remove DB locks",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["database_locked"],
    registered: true,
};

pub(super) struct UnlockDatabase;

impl Playbook for UnlockDatabase {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let holder = cx
            .last_lock_holder()
            .unwrap_or_else(|| "a live process".to_owned());
        Err(PlanError::NotApplicable(format!(
            "the lock belongs to {holder}; it ends with its transaction, and removing it would lose \
             rows"
        )))
    }
}
