//! THE table: eight stages, their steps, what a problem in each means, and which playbook may heal
//! it. The order is the order of execution. Every stage needs all steps before it that abort.

use crate::checks::{
    Check, autonomy, codec, core_services, monitor, preflight, schema_secrets, smoke,
    startup_playbooks,
};
use crate::model::{OnFailure, PlannedStage, PlannedStep, StageId, StepId};
use crate::playbooks::{self, Playbook};

/// One row of the table.
pub struct Step {
    /// Its name within the stage; the stem of its check's file.
    pub name: &'static str,
    /// What a problem means.
    pub on_failure: OnFailure,
    /// Looks.
    pub check: &'static dyn Check,
    /// May heal it.
    pub playbook: Option<&'static str>,
    /// May heal it where the one before has nothing to do.
    pub or_else: &'static [&'static str],
    /// Steps of the same stage without which it cannot look.
    pub needs: &'static [&'static str],
}

impl Step {
    /// Which playbooks may heal it, in the order in which they are asked.
    pub fn playbooks(&self) -> impl Iterator<Item = &'static dyn Playbook> + use<> {
        let ids = self
            .playbook
            .into_iter()
            .chain(self.or_else.iter().copied());
        ids.filter_map(playbooks::find)
    }
}

/// The steps of one stage.
pub struct Stage {
    /// Which.
    pub id: StageId,
    /// In order.
    pub steps: &'static [Step],
}

const fn abort(name: &'static str, check: &'static dyn Check) -> Step {
    Step {
        name,
        on_failure: OnFailure::Abort,
        check,
        playbook: None,
        or_else: &[],
        needs: &[],
    }
}

const fn warn(name: &'static str, check: &'static dyn Check) -> Step {
    Step {
        name,
        on_failure: OnFailure::Warn,
        check,
        playbook: None,
        or_else: &[],
        needs: &[],
    }
}

const fn go_on(name: &'static str, check: &'static dyn Check) -> Step {
    Step {
        name,
        on_failure: OnFailure::Continue,
        check,
        playbook: None,
        or_else: &[],
        needs: &[],
    }
}

const fn healed_by(step: Step, playbook: &'static str) -> Step {
    Step {
        playbook: Some(playbook),
        ..step
    }
}

const fn or_by(step: Step, or_else: &'static [&'static str]) -> Step {
    Step { or_else, ..step }
}

const fn needing(step: Step, needs: &'static [&'static str]) -> Step {
    Step { needs, ..step }
}

/// All stages, in order.
pub static STAGES: [Stage; 8] = [
    Stage {
        id: StageId::Preflight,
        steps: PREFLIGHT,
    },
    Stage {
        id: StageId::SchemaSecrets,
        steps: SCHEMA_SECRETS,
    },
    Stage {
        id: StageId::CoreServices,
        steps: CORE_SERVICES,
    },
    Stage {
        id: StageId::StartupPlaybooks,
        steps: STARTUP_PLAYBOOKS,
    },
    Stage {
        id: StageId::Codec,
        steps: CODEC,
    },
    Stage {
        id: StageId::Autonomy,
        steps: AUTONOMY,
    },
    Stage {
        id: StageId::Smoke,
        steps: SMOKE,
    },
    Stage {
        id: StageId::Monitor,
        steps: MONITOR,
    },
];

/// What needs no person is asked first.
const DAMAGE: &[&str] = &["rebuild_database", "salvage_database"];

/// The disk comes first: what is healed after it needs room.
#[rustfmt::skip]
const PREFLIGHT: &[Step] = &[
    abort("disk_space", &preflight::DiskSpace),
    needing(healed_by(abort("writable_folders", &preflight::WritableFolders), "create_folders"), &["disk_space"]),
    needing(or_by(healed_by(abort("database_exists", &preflight::DatabaseExists), "create_database"), &["salvage_database"]), &["disk_space"]),
    needing(or_by(healed_by(abort("database_readable", &preflight::DatabaseReadable), "unlock_database"), DAMAGE), &["database_exists"]),
    needing(or_by(healed_by(abort("database_intact", &preflight::DatabaseIntact), "unlock_database"), DAMAGE), &["database_readable"]),
    needing(healed_by(abort("required_tables", &preflight::RequiredTables), "apply_pending_migrations"), &["database_intact"]),
    needing(healed_by(abort("schema_version", &preflight::SchemaVersion), "apply_pending_migrations"), &["database_intact"]),
    warn("port_free", &preflight::PortFree),
    healed_by(abort("entry_point_imports", &preflight::EntryPointImports), "fix_circular_imports"),
];

#[rustfmt::skip]
const SCHEMA_SECRETS: &[Step] = &[
    healed_by(abort("verification_events_passed", &schema_secrets::VerificationEventsPassed), "apply_pending_migrations"),
    healed_by(abort("playbooks_risk_fields", &schema_secrets::PlaybooksRiskFields), "apply_pending_migrations"),
    healed_by(abort("required_columns", &schema_secrets::RequiredColumns), "apply_pending_migrations"),
    healed_by(warn("migration_checksums", &schema_secrets::MigrationChecksums), "restamp_migrations"),
    healed_by(warn("secret_key", &schema_secrets::SecretKey), "create_default_env"),
    healed_by(warn("database_url", &schema_secrets::DatabaseUrlSet), "create_default_env"),
    healed_by(warn("utf8_configured", &schema_secrets::Utf8Configured), "fix_unicode_logging"),
];

#[rustfmt::skip]
const CORE_SERVICES: &[Step] = &[
    healed_by(abort("database", &core_services::Database), "unlock_database"),
    abort("trigger_mesh", &core_services::Mesh),
    abort("metrics_collector", &core_services::Metrics),
    abort("governance", &core_services::Governance),
];

#[rustfmt::skip]
const STARTUP_PLAYBOOKS: &[Step] = &[
    healed_by(go_on("registered", &startup_playbooks::Registered), "register_playbooks"),
    healed_by(go_on("fix_unicode_logging", &startup_playbooks::UnicodeLogging), "fix_unicode_logging"),
    healed_by(go_on("apply_pending_migrations", &startup_playbooks::PendingMigrations), "apply_pending_migrations"),
    healed_by(go_on("verify_async_subscriptions", &startup_playbooks::AsyncSubscriptions), "verify_async_subscriptions"),
];

#[rustfmt::skip]
const CODEC: &[Step] = &[
    abort("ascii", &codec::Ascii),
    warn("emoji", &codec::Emoji),
    warn("unicode", &codec::Unicode),
];

#[rustfmt::skip]
const AUTONOMY: &[Step] = &[
    go_on("metrics_catalogue", &autonomy::MetricsCatalogue),
    go_on("playbook_definitions", &autonomy::PlaybookDefinitions),
    go_on("proactive_rules", &autonomy::ProactiveRules),
];

#[rustfmt::skip]
const SMOKE: &[Step] = &[
    healed_by(warn("critical_imports", &smoke::CriticalImports), "fix_circular_imports"),
    warn("critical_records", &smoke::CriticalRecords),
    warn("record_fields", &smoke::RecordFields),
    warn("database_query", &smoke::DatabaseQuery),
    warn("metrics_snapshot", &smoke::MetricsSnapshot),
];

#[rustfmt::skip]
const MONITOR: &[Step] = &[
    healed_by(go_on("self_heal", &monitor::SelfHeal), "schedule_monitor"),
    healed_by(go_on("metrics_snapshot", &monitor::MetricsSnapshotSchedule), "schedule_monitor"),
    healed_by(go_on("proactive_intelligence", &monitor::ProactiveIntelligence), "schedule_monitor"),
];

/// Names of all steps, in order.
pub fn step_ids() -> impl Iterator<Item = StepId> {
    STAGES.iter().flat_map(|stage| {
        stage.steps.iter().map(|step| StepId {
            stage: stage.id,
            name: step.name,
        })
    })
}

/// The table as data; `skip_reason` says why a step is left out of this run.
pub fn planned(skip_reason: impl Fn(StepId) -> Option<String>) -> Vec<PlannedStage> {
    STAGES
        .iter()
        .map(|stage| PlannedStage {
            id: stage.id,
            steps: stage
                .steps
                .iter()
                .map(|step| {
                    let id = StepId {
                        stage: stage.id,
                        name: step.name,
                    };
                    PlannedStep {
                        id,
                        on_failure: step.on_failure,
                        title: step.check.title(),
                        playbooks: step.playbooks().map(|it| *it.meta()).collect(),
                        skip_reason: skip_reason(id),
                    }
                })
                .collect(),
        })
        .collect()
}

/// Whether a playbook may heal a step.
pub fn may_be_healed_by(id: StepId, playbook: &str) -> bool {
    step(id).is_some_and(|step| step.playbooks().any(|one| one.meta().id == playbook))
}

/// Whether a playbook heals damaged pages.
pub fn is_for_damage(playbook: &str) -> bool {
    DAMAGE.contains(&playbook)
}

/// The row of a step.
pub fn step(id: StepId) -> Option<&'static Step> {
    let stage = STAGES.iter().find(|stage| stage.id == id.stage)?;
    stage.steps.iter().find(|step| step.name == id.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_check_file_is_a_row_and_every_row_has_its_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checks");
        for stage in &STAGES {
            let mut files: Vec<String> = std::fs::read_dir(folder.join(stage.id.slug()))
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
            let mut rows: Vec<&str> = stage.steps.iter().map(|step| step.name).collect();
            files.sort();
            rows.sort_unstable();
            assert_eq!(files, rows, "{}", stage.id);
        }
    }

    #[test]
    fn every_pattern_names_steps_and_a_playbook_that_there_are() {
        for pattern in crate::patterns::all() {
            for check in pattern.checks {
                let is_step = step_ids().any(|id| id.to_string() == *check);
                assert!(is_step, "{}: no step is named {check}", pattern.id);
            }
            let playbook = pattern
                .playbook
                .is_none_or(|id| playbooks::find(id).is_some());
            assert!(playbook, "{}", pattern.id);
        }
    }

    #[test]
    fn every_pattern_that_a_finding_names_is_in_the_catalogue() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut named = Vec::new();
        let call = regex::Regex::new(r#"\.pattern\("(\w+)"\)"#).unwrap();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                named.extend(call.captures_iter(&text).map(|found| found[1].to_owned()));
            }
        }
        assert!(named.contains(&"database_locked".to_owned()), "{named:?}");
        for name in named {
            assert!(crate::patterns::find(&name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_stages_stand_in_order_and_name_playbooks_that_there_are() {
        assert_eq!(STAGES.each_ref().map(|stage| stage.id), StageId::ALL);
        for step in STAGES.iter().flat_map(|stage| stage.steps) {
            let named = step.playbook.iter().count() + step.or_else.len();
            assert_eq!(step.playbooks().count(), named, "{}", step.name);
        }
    }

    #[test]
    fn a_step_needs_only_steps_before_it() {
        for stage in &STAGES {
            for (at, step) in stage.steps.iter().enumerate() {
                for need in step.needs {
                    let before = &stage.steps[..at];
                    assert!(
                        before.iter().any(|step| step.name == *need),
                        "{} {need}",
                        step.name
                    );
                }
            }
        }
    }

    #[test]
    fn the_critical_stages_are_the_specified_ones() {
        let critical: Vec<usize> = STAGES
            .iter()
            .filter(|stage| {
                stage
                    .steps
                    .iter()
                    .any(|step| step.on_failure == OnFailure::Abort)
            })
            .map(|stage| stage.id.number())
            .collect();
        assert_eq!(critical, [1, 2, 3, 5]);
    }
}
