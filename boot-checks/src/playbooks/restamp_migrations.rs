//! Writes today's checksums of applied migrations whose files were saved with other line endings or with
//! a byte order mark: the text that ran is the same, and the application's own migrator would refuse it.

use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};
use crate::services::migrations::Drift;

const META: PlaybookMeta = PlaybookMeta {
    id: "restamp_migrations",
    description: "Renew checksums after line endings",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Notify,
    fixes: &["migration_line_endings"],
    registered: false,
};

pub(super) struct RestampMigrations;

impl Playbook for RestampMigrations {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let cannot_look = |error: String| PlanError::CannotLook(error);
        let set = cx.migrations().map_err(|it| cannot_look(it.to_string()))?;
        let Some(set) = set else {
            let reason = "the gate applies no migrations here".to_owned();
            return Err(PlanError::NotApplicable(reason));
        };
        let status = cx
            .migration_status()
            .map_err(|it| cannot_look(it.to_string()))?;
        let versions: Vec<i64> = status
            .drift
            .iter()
            .filter_map(|drift| match drift {
                Drift::LineEndings(version) => Some(*version),
                Drift::SameStructure(_) | Drift::OtherStructure(_) => None,
            })
            .collect();
        if versions.is_empty() {
            let reason = "no checksum differs by line endings only".to_owned();
            return Err(PlanError::NotApplicable(reason));
        }
        let names: Vec<String> = versions.iter().map(i64::to_string).collect();
        Ok(Plan {
            summary: format!("renewed the checksum of migration {}", names.join(", ")),
            changes: vec![Change::RestampMigrations {
                checksums: set
                    .iter()
                    .filter(|migration| versions.contains(&migration.version))
                    .map(|migration| hex(&migration.checksum))
                    .collect(),
                versions,
            }],
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
