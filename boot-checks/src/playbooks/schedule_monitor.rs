//! Writes the schedules that the monitor reads.

use serde::{Deserialize, Serialize};

use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "schedule_monitor",
    description: "Write the monitor's schedules",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["schedule_missing"],
    registered: false,
};

/// Something that is done again and again after the boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// What is done.
    pub name: String,
    /// Seconds from one start to the next.
    pub every_seconds: u64,
}

/// SPEC.md, "Stage 8".
pub const SCHEDULES: [(&str, u64); 3] = [
    ("self_heal", 300),
    ("metrics_snapshot", 60),
    ("proactive_intelligence", 600),
];

pub(super) struct ScheduleMonitor;

impl Playbook for ScheduleMonitor {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let schedules: Vec<Schedule> = SCHEDULES
            .iter()
            .map(|(name, every_seconds)| Schedule {
                name: (*name).to_owned(),
                every_seconds: *every_seconds,
            })
            .collect();
        let mut contents = serde_json::to_vec_pretty(&schedules)
            .map_err(|error| PlanError::CannotLook(error.to_string()))?;
        contents.push(b'\n');
        Ok(Plan {
            summary: format!("wrote {} schedules for the monitor", schedules.len()),
            changes: vec![Change::ReplaceOwnFile {
                path: cx.schedule_file(),
                contents,
            }],
        })
    }
}
