//! Are the columns there that say how risky a playbook is and who decides?
//! `apply_pending_migrations` adds what is missing.

use super::required_columns::columns_of;
use crate::checks::Check;
use crate::context::Context;
use crate::model::CheckResult;

/// See the module.
pub struct PlaybooksRiskFields;

impl Check for PlaybooksRiskFields {
    fn title(&self) -> &'static str {
        "playbooks.risk_level and autonomy_tier exist"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let names = ["risk_level", "autonomy_tier"];
        columns_of(cx, "playbooks", &names, "playbook_missing_risk_fields")
    }
}
