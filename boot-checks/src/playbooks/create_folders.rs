//! Makes the folders that the application writes to.

use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "create_folders",
    description: "Create missing folders",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["folder_missing"],
    registered: false,
};

pub(super) struct CreateFolders;

impl Playbook for CreateFolders {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let missing: Vec<_> = cx
            .config
            .writable_folders
            .iter()
            .filter(|folder| !folder.exists())
            .collect();
        if missing.is_empty() {
            return Err(PlanError::NotApplicable("no folder is missing".to_owned()));
        }
        let names: Vec<String> = missing
            .iter()
            .map(|path| {
                path.strip_prefix(&cx.config.root)
                    .unwrap_or(path)
                    .display()
                    .to_string()
            })
            .collect();
        Ok(Plan {
            summary: format!("created {}", names.join(", ")),
            changes: missing
                .into_iter()
                .map(|path| Change::CreateFolder { path: path.clone() })
                .collect(),
        })
    }
}
