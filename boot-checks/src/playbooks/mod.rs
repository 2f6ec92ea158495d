//! Playbooks: each says what it would change, one file each. None of them writes: the engine does,
//! through its one door.

mod apply_pending_migrations;
mod create_database;
mod create_default_env;
mod create_folders;
mod fix_circular_imports;
mod fix_unicode_logging;
mod rebuild_database;
mod register_playbooks;
mod restamp_migrations;
mod salvage_database;
mod schedule_monitor;
mod unlock_database;
mod verify_async_subscriptions;

pub use schedule_monitor::{SCHEDULES, Schedule};

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::model::{Change, Finding, PlaybookMeta};
use crate::services::command_files::files_of;

/// What a playbook would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In words for people, in the past tense: it stands in the report once it is done.
    pub summary: String,
    /// What is changed, in order.
    pub changes: Vec<Change>,
}

/// Why a playbook has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It can do nothing about this problem, for this reason; a person can.
    #[error("{0}")]
    NotApplicable(String),
    /// It could not find out what to do.
    #[error("cannot plan: {0}")]
    CannotLook(String),
}

/// A way to heal a problem.
pub trait Playbook: Sync {
    /// Describes it. Costs nothing.
    fn meta(&self) -> &'static PlaybookMeta;

    /// What it would change about these problems. Looks, and writes nothing.
    ///
    /// # Errors
    ///
    /// When it can do nothing here, or could not look.
    fn plan(&self, cx: &Context, problems: &[Finding]) -> Result<Plan, PlanError>;

    /// Texts in its changes that it makes up anew for each plan, such as a random key. A plan that
    /// differs in nothing else is the same plan.
    fn made_up(&self, _plan: &Plan) -> Vec<String> {
        Vec::new()
    }
}

/// The application's own migration command, with what it is run by: a plan whose command would do
/// something else by now is another plan.
fn run_migrator(cx: &Context, argv: &[String]) -> Result<Change, PlanError> {
    let environment = cx
        .environment()
        .map_err(|error| PlanError::CannotLook(error.to_string()))?;
    let search_path = environment.get("PATH").map(|found| found.value.as_str());
    let works_on: Vec<PathBuf> = cx.database_path().into_iter().map(Path::to_owned).collect();
    Ok(Change::RunMigrator {
        argv: argv.to_vec(),
        files: files_of(argv, &cx.config.root, search_path, &works_on),
    })
}

/// All playbooks. The first six are SPEC.md's; the rest are the gate's own chores.
pub const ALL: [&dyn Playbook; 13] = [
    &fix_unicode_logging::FixUnicodeLogging,
    &apply_pending_migrations::ApplyPendingMigrations,
    &verify_async_subscriptions::VerifyAsyncSubscriptions,
    &unlock_database::UnlockDatabase,
    &fix_circular_imports::FixCircularImports,
    &create_default_env::CreateDefaultEnv,
    &create_database::CreateDatabase,
    &create_folders::CreateFolders,
    &register_playbooks::RegisterPlaybooks,
    &restamp_migrations::RestampMigrations,
    &rebuild_database::RebuildDatabase,
    &salvage_database::SalvageDatabase,
    &schedule_monitor::ScheduleMonitor,
];

/// The playbook with this name.
pub fn find(id: &str) -> Option<&'static dyn Playbook> {
    ALL.into_iter().find(|playbook| playbook.meta().id == id)
}

/// What an application's registry lists.
pub fn registered() -> Vec<PlaybookMeta> {
    ALL.into_iter()
        .map(|playbook| *playbook.meta())
        .filter(|meta| meta.registered)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AutonomyTier, RiskLevel};

    /// SPEC.md, "Startup Playbooks".
    const SPECIFIED: [(&str, RiskLevel, AutonomyTier); 6] = [
        ("fix_unicode_logging", RiskLevel::Low, AutonomyTier::Auto),
        (
            "apply_pending_migrations",
            RiskLevel::Medium,
            AutonomyTier::Notify,
        ),
        (
            "verify_async_subscriptions",
            RiskLevel::Low,
            AutonomyTier::Auto,
        ),
        ("unlock_database", RiskLevel::Low, AutonomyTier::Auto),
        (
            "fix_circular_imports",
            RiskLevel::High,
            AutonomyTier::Approve,
        ),
        ("create_default_env", RiskLevel::Low, AutonomyTier::Auto),
    ];

    #[test]
    fn the_registry_is_the_specified_one() {
        let registered: Vec<_> = registered()
            .iter()
            .map(|meta| (meta.id, meta.risk, meta.tier))
            .collect();
        assert_eq!(registered, SPECIFIED);
    }

    #[test]
    fn every_file_is_in_the_table() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/playbooks");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|stem| stem != "mod")
            .collect();
        let mut ids: Vec<&str> = ALL.iter().map(|playbook| playbook.meta().id).collect();
        files.sort();
        ids.sort_unstable();
        assert_eq!(files, ids);
    }
}
