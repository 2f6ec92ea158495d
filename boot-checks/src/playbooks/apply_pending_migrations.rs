//! Brings the database's structure up to what the code expects, by adding only.

use super::{Plan, PlanError, Playbook, run_migrator};
use crate::config::Migrations;
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};
use crate::services::migrations::{Drift, MigrationRecord, MigrationSet, MigrationStatus};

const META: PlaybookMeta = PlaybookMeta {
    id: "apply_pending_migrations",
    description: "Run schema updates",
    risk: RiskLevel::Medium,
    tier: AutonomyTier::Notify,
    fixes: &["table_missing", "column_missing", "schema_outdated"],
    registered: true,
};

pub(super) struct ApplyPendingMigrations;

impl Playbook for ApplyPendingMigrations {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        if let Migrations::External { apply, .. } = &cx.config.migrations {
            return Ok(Plan {
                summary: format!("ran `{}`", apply.join(" ")),
                changes: vec![run_migrator(cx, apply)?],
            });
        }
        let set = cx
            .migrations()
            .map_err(|error| PlanError::CannotLook(error.to_string()))?;
        let Some(set) = set else {
            let reason = "nothing says how: name `[migrations]` in boot.toml";
            return Err(PlanError::NotApplicable(reason.to_owned()));
        };
        let status = cx
            .migration_status()
            .map_err(|error| PlanError::CannotLook(error.to_string()))?;
        plan_for(&status, &set)
    }
}

fn plan_for(status: &MigrationStatus, set: &MigrationSet) -> Result<Plan, PlanError> {
    if let Some(refusal) = status.difference.refusals.first() {
        return refuse(format!("{}: {}", refusal.object, refusal.reason));
    }
    if let Some(refused) = set.first_not_to_be_run(&status.pending) {
        return refuse(refused.to_string());
    }
    match status.record {
        MigrationRecord::Foreign(tool) => refuse(format!(
            "{tool} migrates this database: name its command in boot.toml"
        )),
        MigrationRecord::None => Ok(adopt(status, set)),
        MigrationRecord::Sqlx => apply(status, set),
    }
}

fn adopt(status: &MigrationStatus, set: &MigrationSet) -> Plan {
    let objects: Vec<&str> = status
        .difference
        .additions
        .iter()
        .map(|addition| addition.object.as_str())
        .collect();
    let added = match objects.len() {
        0 => "nothing was missing".to_owned(),
        _ => format!("added {}", objects.join(", ")),
    };
    let lacking_rows: Vec<String> = status
        .lacking_rows
        .iter()
        .map(ToString::to_string)
        .collect();
    let without = match lacking_rows.len() {
        0 => String::new(),
        _ => format!(", without {} that they write", lacking_rows.join(", ")),
    };
    Plan {
        summary: format!(
            "{added}; recorded {} migrations as applied{without}",
            set.versions().len()
        ),
        changes: vec![Change::AdoptSchema {
            statements: status
                .difference
                .additions
                .iter()
                .map(|addition| addition.statement.clone())
                .collect(),
            versions: set.versions(),
            expected_fingerprint: status.fingerprint(),
            lacking_rows,
        }],
    }
}

fn apply(status: &MigrationStatus, set: &MigrationSet) -> Result<Plan, PlanError> {
    if status
        .drift
        .iter()
        .any(|drift| matches!(drift, Drift::OtherStructure(_)))
    {
        return refuse("an applied migration's text has changed since".to_owned());
    }
    if !status.unknown.is_empty()
        || !status.out_of_order.is_empty()
        || !status.unfinished.is_empty()
    {
        return refuse("the migration record does not fit the migrations".to_owned());
    }
    let difference = &status.difference;
    if status.pending.is_empty() && difference.holds_no_values() && !difference.is_empty() {
        let missing: Vec<&str> = difference
            .additions
            .iter()
            .map(|it| it.object.as_str())
            .collect();
        return Ok(Plan {
            summary: format!("made {} again", missing.join(", ")),
            changes: vec![Change::ApplyMigrations {
                versions: Vec::new(),
                texts: Vec::new(),
            }],
        });
    }
    if status.pending.is_empty() {
        return refuse(
            "every migration is recorded as applied: what is missing was lost".to_owned(),
        );
    }
    let versions: Vec<String> = status.pending.iter().map(i64::to_string).collect();
    Ok(Plan {
        summary: format!("applied migration {}", versions.join(", ")),
        changes: vec![Change::ApplyMigrations {
            versions: status.pending.clone(),
            texts: set
                .iter()
                .filter(|migration| status.pending.contains(&migration.version))
                .map(|migration| migration.sql.as_str().to_owned())
                .collect(),
        }],
    })
}

fn refuse(reason: String) -> Result<Plan, PlanError> {
    Err(PlanError::NotApplicable(reason))
}
