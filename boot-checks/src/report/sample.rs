//! Boots made by hand, with a fixed clock: the three canonical endings and what else may come.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::model::{
    AutonomyTier, Change, CheckError, CommandFile, Decision, Ending, Event, Finding, Mode,
    OnFailure, PlannedStage, PlannedStep, PlaybookMeta, Repair, RepairResult, RiskLevel,
    SqlStatement, SqlValue, StageId, Start, StepId, StepOutcome, StepReport, Verdict,
};

const MIGRATE: PlaybookMeta = PlaybookMeta {
    id: "apply_pending_migrations",
    description: "Run schema updates",
    risk: RiskLevel::Medium,
    tier: AutonomyTier::Notify,
    fixes: &["schema_outdated"],
    registered: true,
};

/// Each stage's steps: name, title, what a problem means, what a healthy one saw.
const STEPS: [&[(&str, &str, OnFailure, &str)]; 8] = {
    use OnFailure::{Abort, Continue, Warn};
    [
        &[
            (
                "database_exists",
                "Database exists",
                Abort,
                "/srv/grace/var/grace.db, 28 KiB",
            ),
            ("schema_version", "Schema up to date", Abort, "version 3"),
            ("port_free", "Port free", Warn, "127.0.0.1:8000"),
        ],
        &[("secret_key", "SECRET_KEY is set", Warn, "from .env")],
        &[(
            "database",
            "Database connection",
            Abort,
            "write probe rolled back",
        )],
        &[(
            "verify_async_subscriptions",
            "Subscriptions answer",
            Continue,
            "3 of 3",
        )],
        &[("emoji", "Emoji output works", Warn, "utf-8")],
        &[("rules", "Proactive rules", Continue, "")],
        &[("database_query", "Database query", Warn, "6 rows")],
        &[("schedules", "Schedules written", Continue, "3 schedules")],
    ]
};

pub(crate) fn start() -> Start {
    let plan = StageId::ALL.into_iter().zip(STEPS).map(|(stage, steps)| {
        let steps = steps
            .iter()
            .map(|&(name, title, on_failure, _)| PlannedStep {
                id: StepId { stage, name },
                on_failure,
                title,
                playbooks: (name == "schema_version")
                    .then_some(MIGRATE)
                    .into_iter()
                    .collect(),
                skip_reason: None,
            });
        PlannedStage {
            id: stage,
            steps: steps.collect(),
        }
    });
    Start {
        run_id: "20251109_183015".to_owned(),
        timestamp: "2025-11-09T18:30:15.123456".to_owned(),
        application: "grace".to_owned(),
        root: "/srv/grace".to_owned(),
        mode: Mode::Heal,
        strict: false,
        again: " --root /srv/grace".to_owned(),
        plan: plan.collect(),
    }
}

/// The events of a boot in which these steps ended so and all others well; it stops behind the
/// stage that holds `abort`.
pub(crate) fn boot(
    start: Start,
    outcome: impl Fn(&str) -> Option<StepOutcome>,
    ending: Ending,
) -> Vec<Event> {
    let mut events = vec![Event::BootStarted(start.clone())];
    let last = match &ending {
        Ending::Aborted { by } => by.stage,
        Ending::Completed => StageId::Monitor,
        _ => StageId::Preflight,
    };
    for (planned, steps) in start.plan.iter().zip(STEPS) {
        if planned.id > last {
            break;
        }
        events.push(Event::StageStarted(planned.id));
        for (planned, &(name, _, on_failure, observed)) in planned.steps.iter().zip(steps) {
            let skipped = planned.skip_reason.clone();
            let outcome = outcome(name)
                .or(skipped.map(|reason| StepOutcome::Skipped { reason }))
                .unwrap_or(StepOutcome::Passed);
            step(&mut events, planned.id, on_failure, observed, outcome);
        }
        events.push(Event::StageFinished(planned.id));
    }
    events.push(Event::BootFinished {
        ending,
        duration: Duration::from_micros(12_345),
    });
    events
}

fn step(
    events: &mut Vec<Event>,
    id: StepId,
    on_failure: OnFailure,
    observed: &str,
    outcome: StepOutcome,
) {
    let is_run = !matches!(
        outcome,
        StepOutcome::Skipped { .. } | StepOutcome::NotRun { .. }
    );
    let facts = match id.name {
        "emoji" => BTreeMap::from([("console_encoding", json!("utf-8"))]),
        "schema_version" => BTreeMap::from([("schema_mismatches", json!(0))]),
        _ => BTreeMap::new(),
    };
    let report = StepReport {
        id,
        on_failure,
        outcome,
        observed: if is_run { observed } else { "" }.to_owned(),
        notes: Vec::new(),
        facts,
        duration: Duration::from_micros(if is_run { 250 } else { 0 }),
    };
    if is_run {
        events.push(Event::StepStarted(id));
    }
    for repair in report.repairs() {
        if repair.result != RepairResult::Proposed {
            events.push(Event::RepairStarted {
                step: id,
                playbook: repair.playbook,
                summary: repair.summary.clone(),
            });
        }
        events.push(Event::RepairFinished {
            step: id,
            repair: repair.clone(),
        });
    }
    events.push(Event::StepFinished(report));
}

pub(crate) fn schema_outdated() -> Finding {
    Finding::new(
        "schema_outdated",
        "table playbooks lacks the columns risk_level and autonomy_tier",
    )
    .evidence("database", "/srv/grace/var/grace.db")
    .evidence("version", "1, the code wants 3")
    .cause("an older version of the application made this database")
    .action("run `cargo xtask boot` without --observe, or `cargo xtask heal apply_pending_migrations --plan`")
    .pattern("playbook_missing_risk_fields")
}

pub(crate) fn repair(decision: Decision, result: RepairResult) -> Repair {
    Repair {
        playbook: MIGRATE.id,
        summary: "Applied migrations 2 and 3".to_owned(),
        decision,
        changes: vec![Change::ApplyMigrations {
            versions: vec![2, 3],
            texts: Vec::new(),
        }],
        fingerprint: "5f2c9a".to_owned(),
        proposal: None,
        result,
    }
}

fn secret_missing() -> StepOutcome {
    StepOutcome::Warned {
        problems: vec![
            Finding::new("secret_missing", "SECRET_KEY is not set")
                .evidence("looked in", "the environment and /srv/grace/.env")
                .action("add SECRET_KEY=<random-string> to /srv/grace/.env"),
        ],
        repairs: Vec::new(),
    }
}

/// All well.
pub(crate) fn completed() -> Vec<Event> {
    boot(start(), |_| None, Ending::Completed)
}

/// One step healed, one with a warning.
pub(crate) fn completed_with_fixes() -> Vec<Event> {
    let outcome = |name: &str| match name {
        "schema_version" => Some(StepOutcome::Fixed {
            problems: vec![schema_outdated()],
            repairs: vec![repair(Decision::ApplyAndNotify, RepairResult::Verified)],
        }),
        "secret_key" => Some(secret_missing()),
        _ => None,
    };
    boot(start(), outcome, Ending::Completed)
}

/// A critical step failed, its heal was taken back; another could not look.
pub(crate) fn aborted() -> Vec<Event> {
    let outcome = |name: &str| match name {
        "schema_version" => Some(StepOutcome::Failed {
            problems: vec![schema_outdated()],
            repairs: vec![repair(
                Decision::ApplyAndNotify,
                RepairResult::Failed {
                    error: "disk I/O error (SQLite 10)".to_owned(),
                    taken_back: true,
                    stays: None,
                },
            )],
        }),
        "port_free" => Some(StepOutcome::Errored {
            error: CheckError::new("permission denied on 127.0.0.1:80")
                .action("choose a port above 1023"),
        }),
        _ => None,
    };
    let by = StepId {
        stage: StageId::Preflight,
        name: "schema_version",
    };
    boot(start(), outcome, Ending::Aborted { by })
}

/// The same incident, looked at only.
pub(crate) fn observed() -> Vec<Event> {
    let mut start = start();
    start.mode = Mode::Observe;
    let outcome = |name: &str| {
        (name == "schema_version").then(|| StepOutcome::Failed {
            problems: vec![schema_outdated()],
            repairs: vec![repair(Decision::ObserveOnly, RepairResult::Proposed)],
        })
    };
    let by = StepId {
        stage: StageId::Preflight,
        name: "schema_version",
    };
    boot(start, outcome, Ending::Aborted { by })
}

/// Only one step was asked for.
pub(crate) fn partial() -> Vec<Event> {
    let mut start = start();
    let steps = start.plan.iter_mut().flat_map(|stage| &mut stage.steps);
    for step in steps.filter(|step| step.id.name != "database_exists") {
        step.skip_reason = Some("not asked for".to_owned());
    }
    boot(start, |_| None, Ending::Completed)
}

/// A boot that holds every kind of change, result and outcome with a text in it.
pub(crate) fn every_kind() -> Vec<Event> {
    let path = || PathBuf::from("/srv/grace/x");
    let bytes = || b"never rendered".to_vec();
    let statements = || {
        vec![SqlStatement {
            sql: "UPDATE t SET a = ?1".to_owned(),
            parameters: vec![
                SqlValue::Null,
                SqlValue::from(1),
                SqlValue::Real(0.5),
                SqlValue::from("text"),
                SqlValue::Blob(b"text as bytes".to_vec()),
            ],
        }]
    };
    let changes = vec![
        Change::CreateFolder { path: path() },
        Change::CreateFile {
            path: path(),
            contents: bytes(),
            mode: 0o600,
        },
        Change::AppendToFile {
            path: path(),
            expected: bytes(),
            addition: bytes(),
        },
        Change::ReplaceOwnFile {
            path: path(),
            contents: bytes(),
        },
        Change::CreateDatabase {
            path: path(),
            versions: vec![1],
            texts: vec!["CREATE TABLE t (b)".to_owned()],
        },
        Change::ApplyMigrations {
            versions: vec![1],
            texts: vec!["ALTER TABLE t ADD COLUMN a".to_owned()],
        },
        Change::AdoptSchema {
            statements: vec!["ALTER TABLE t ADD COLUMN a".to_owned()],
            versions: vec![1],
            expected_fingerprint: "abc".to_owned(),
            lacking_rows: vec!["1 row of t".to_owned()],
        },
        Change::WriteRows {
            statements: statements(),
        },
        Change::RunMigrator {
            argv: vec!["alembic".to_owned()],
            files: vec![CommandFile {
                path: "alembic.ini".to_owned(),
                sha256: "abc".to_owned(),
            }],
        },
    ];
    let result = RepairResult::NotVerified {
        problems: vec![schema_outdated()],
        taken_back: true,
        stays: None,
    };
    let healed = Repair {
        changes,
        ..repair(Decision::Apply, result)
    };
    let failed = StepOutcome::Failed {
        problems: vec![schema_outdated()],
        repairs: vec![healed],
    };
    let outcome = |name: &str| (name == "schema_version").then(|| failed.clone());
    let refused = Ending::Refused {
        verdict: Verdict::LockHeld,
        reason: "pid 42 holds the lock".to_owned(),
    };
    let mut events = boot(start(), outcome, refused);
    for event in &mut events {
        if let Event::StepFinished(step) = event {
            step.notes.push("a note".to_owned());
            step.facts
                .insert("nested", json!({"a": ["b", {"c": "d"}], "e": null}));
        }
    }
    let id = StepId {
        stage: StageId::Preflight,
        name: "port_free",
    };
    let waiting = Event::Waiting {
        step: id,
        reason: "something".to_owned(),
    };
    events.insert(events.len() - 1, waiting);
    events
}
