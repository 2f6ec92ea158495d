//! Makes the application's database, complete with its tables, where there never was one.

use super::{Plan, PlanError, Playbook, run_migrator};
use crate::config::Migrations;
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "create_database",
    description: "Create a missing database",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["database_missing"],
    registered: false,
};

pub(super) struct CreateDatabase;

impl Playbook for CreateDatabase {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let path = cx
            .database_path()
            .ok_or_else(|| PlanError::NotApplicable("the database is in memory".to_owned()))?;
        let mut changes = Vec::new();
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            changes.push(Change::CreateFolder {
                path: folder.to_owned(),
            });
        }
        let name = path.strip_prefix(&cx.config.root).unwrap_or(path).display();
        match &cx.config.migrations {
            Migrations::BuiltIn | Migrations::Folder(_) => {
                let set = cx
                    .migrations()
                    .map_err(|it| PlanError::CannotLook(format!("{it}; {}", it.hint())))?;
                let set = set.ok_or_else(|| {
                    PlanError::NotApplicable("there are no migrations".to_owned())
                })?;
                let texts = set.iter().map(|it| it.sql.as_str().to_owned());
                changes.push(Change::CreateDatabase {
                    path: path.to_owned(),
                    versions: set.versions(),
                    texts: texts.collect(),
                });
            }
            Migrations::External { apply, .. } => {
                changes.push(run_migrator(cx, apply)?);
            }
            Migrations::None => {
                let reason = "nothing says what belongs into it: name `[migrations]` in boot.toml";
                return Err(PlanError::NotApplicable(reason.to_owned()));
            }
        }
        Ok(Plan {
            summary: format!("created database {name}"),
            changes,
        })
    }
}
