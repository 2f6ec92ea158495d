//! Does the database's structure match the code?
//!
//! The migration record and the structure itself are both looked at: a record can lie, and a
//! database that the application made itself has none. What another tool migrates is judged by its
//! structure, and by that tool's own check where `boot.toml` names one.

use std::process::Stdio;
use std::time::Duration;

use crate::checks::Check;
use crate::checks::support::{
    LET_IT_FINISH, cannot_look, database_finding, healed_by_migrations, lost, unusable,
};
use crate::config::Migrations;
use crate::context::Context;
use crate::host::migration_command::{NotBegun, ensure_none_is_under_way};
use crate::model::{CheckResult, Finding, Findings};
use crate::services::command;
use crate::services::db::Refusal;
use crate::services::migrations::{
    Drift, MigrationRecord, MigrationSet, MigrationStatus, NotToBeRun,
};

/// See the module.
pub struct SchemaVersion;

impl Check for SchemaVersion {
    fn title(&self) -> &'static str {
        "Schema matches the code"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        match &cx.config.migrations {
            Migrations::None => Ok(Findings::not_applicable("boot.toml names no migrations")),
            Migrations::External { check, timeout, .. } => external(cx, check.as_deref(), *timeout),
            Migrations::BuiltIn | Migrations::Folder(_) => own(cx),
        }
    }
}

/// By the application's own tool, while nothing is still migrating.
fn external(cx: &Context, check: Option<&[String]>, timeout: Duration) -> CheckResult {
    match ensure_none_is_under_way(&cx.state_folder()) {
        Ok(()) => {}
        Err(error @ NotBegun::UnderWay(_)) => {
            let finding = Finding::new("migration_under_way", error.to_string())
                .cause("the boot that began it was killed or gave it up, or is still at it")
                .action(LET_IT_FINISH);
            return Ok(Findings::problem(finding));
        }
        Err(error @ NotBegun::Io { .. }) => return Err(cannot_look(error)),
    }
    let Some(argv) = check else {
        return Ok(Findings::not_applicable(
            "boot.toml names no `check` for its migrations",
        ));
    };
    let environment = cx.environment().map_err(cannot_look)?;
    let done = cx
        .run_tool(argv, &environment, Stdio::null(), timeout)
        .map_err(|error| cannot_look(&error).action(error.hint("check")))?;
    Ok(if done.succeeded() {
        Findings::healthy(format!("`{}` succeeded", argv.join(" ")))
    } else {
        Findings::problem(external_problem(cx, argv, &done)).fact("schema_mismatches", 1)
    })
}

fn external_problem(cx: &Context, argv: &[String], done: &command::Done) -> Finding {
    let finding = Finding::new(
        "schema_outdated",
        format!("`{}` failed: {}", argv.join(" "), done.status),
    );
    let finding = match done.tail.is_empty() {
        true => finding,
        false => finding.evidence("output", &done.tail),
    };
    healed_by_migrations(cx, finding)
}

fn own(cx: &Context) -> CheckResult {
    let Some(set) = cx.migrations().map_err(unusable)? else {
        return Ok(Findings::not_applicable("there are no migrations"));
    };
    if cx.database_path().is_none() {
        return Ok(Findings::not_applicable("the database is in memory"));
    }
    Ok(match cx.migration_status() {
        Ok(status) => {
            let mut findings =
                judge(cx, &set, &status).fact("schema_mismatches", status.difference.len());
            findings.notes.extend(status.difference.notes.clone());
            findings
        }
        Err(error) => Findings::problem(database_finding(cx, &error)),
    })
}

fn judge(cx: &Context, set: &MigrationSet, status: &MigrationStatus) -> Findings {
    // First: where a text was edited, the structure that is expected of it says nothing.
    if let Some(finding) = drift_problem(status) {
        return Findings::problem(finding);
    }
    if !status.difference.refusals.is_empty() {
        return Findings::problem(not_additive(status));
    }
    if let MigrationRecord::Foreign(tool) = status.record {
        if status.difference.is_empty() {
            return Findings::healthy(format!("{tool} migrates this database; its structure fits"));
        }
        let action = format!("name {tool}'s command under [migrations] in boot.toml, or run it");
        return Findings::problem(
            outdated(cx, status, &format!("{tool} migrates it")).action(action),
        );
    }
    if let Some(finding) = record_problem(status) {
        return Findings::problem(finding.pattern("migration_conflict"));
    }
    if let Some(refused) = set.first_not_to_be_run(&status.pending) {
        return Findings::problem(not_to_be_run(&refused));
    }
    if status.record == MigrationRecord::None {
        return Findings::problem(unrecorded(cx, status));
    }
    if !status.difference.is_empty() {
        let is_pending = !status.pending.is_empty();
        return Findings::problem(if is_pending {
            outdated(cx, status, PENDING)
        } else if status.has_lost_values() {
            lost(outdated(
                cx,
                status,
                "its record says that nothing is pending",
            ))
        } else {
            outdated(cx, status, "somebody dropped it")
        });
    }
    if !status.pending.is_empty() {
        return Findings::problem(outdated(cx, status, PENDING));
    }
    Findings::healthy("up to date")
}

const PENDING: &str = "migrations are pending";

fn record_problem(status: &MigrationStatus) -> Option<Finding> {
    let list = |versions: &[i64]| {
        versions
            .iter()
            .map(i64::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if !status.unknown.is_empty() {
        return Some(
            Finding::new("database_newer", "the database is newer than the code")
                .evidence("applied and not known here", list(&status.unknown))
                .action("deploy the code that belongs to this database"),
        );
    }
    if !status.unfinished.is_empty() {
        return Some(
            Finding::new(
                "migration_unfinished",
                "a migration was begun and never finished",
            )
            .evidence("versions", list(&status.unfinished))
            .action("compare its effects by hand, then mark it as applied or take it back"),
        );
    }
    if !status.out_of_order.is_empty() {
        return Some(
            Finding::new(
                "migrations_out_of_order",
                "a pending migration is older than an applied one",
            )
            .evidence("pending", list(&status.out_of_order))
            .cause("two branches added migrations and were merged")
            .action("give the pending migration a version of its own that comes last"),
        );
    }
    None
}

fn not_to_be_run(refused: &NotToBeRun) -> Finding {
    match &refused.why {
        None => Finding::new("migration_empty", refused.to_string())
            .cause("it was not saved, or a crash left it empty; recorded as applied, it would never run again")
            .action("restore its text, or write a comment into it that says why it has none"),
        Some(unfit) => Finding::new("migration_unfit", refused.to_string())
            .cause("no kill and no failure of it could be taken back")
            .action(unfit.action),
    }
}

fn drift_problem(status: &MigrationStatus) -> Option<Finding> {
    let changed = status.drift.iter().find_map(|drift| match drift {
        Drift::OtherStructure(version) => Some(*version),
        Drift::LineEndings(_) | Drift::SameStructure(_) => None,
    })?;
    let mut finding = Finding::new(
        "migration_drift",
        format!("migration {changed} was edited after it was applied"),
    )
    .cause("its text of today makes another structure; it is never run again")
    .action("restore its text, and put the edit into a new migration");
    for difference in &status.drift_difference {
        finding = finding.evidence("difference", difference);
    }
    Some(finding)
}

fn outdated(cx: &Context, status: &MigrationStatus, why: &str) -> Finding {
    let missing: Vec<&str> = status
        .difference
        .additions
        .iter()
        .map(|addition| addition.object.as_str())
        .collect();
    let message = match missing.len() {
        0 => format!("the schema is not up to date: {why}"),
        _ => format!("the schema lacks {}: {why}", missing.join(", ")),
    };
    let finding = Finding::new("schema_outdated", message);
    let mut finding = healed_by_migrations(cx, finding);
    if !status.pending.is_empty() && status.record == MigrationRecord::Sqlx {
        let versions: Vec<String> = status.pending.iter().map(i64::to_string).collect();
        finding = finding.evidence("pending", versions.join(", "));
    }
    match missing.first() {
        Some(object) if object.starts_with("column verification_events.") => {
            finding.pattern("verification_events_schema_mismatch")
        }
        Some(object) if object.starts_with("column playbooks.") => {
            finding.pattern("playbook_missing_risk_fields")
        }
        Some(_) => finding.pattern("schema_behind"),
        None => finding,
    }
}

/// What the migrations do to rows is not done by recording them.
fn unrecorded(cx: &Context, status: &MigrationStatus) -> Finding {
    let mut finding = outdated(cx, status, "it has no migration record");
    for rows in &status.lacking_rows {
        finding = finding.evidence("not there, and written by the migrations", rows.to_string());
    }
    match status.lacking_rows.is_empty() {
        true => finding,
        false => finding.action(
            "insert those rows by hand where the application needs them, or approve that they stay out",
        ),
    }
}

/// The difference table of what only a person can resolve.
fn not_additive(status: &MigrationStatus) -> Finding {
    let objects: Vec<&str> = status
        .difference
        .refusals
        .iter()
        .map(|refusal| refusal.object.as_str())
        .collect();
    let message = format!(
        "the schema differs in what cannot be added: {}",
        objects.join(", ")
    );
    let mut refusals = status.difference.refusals.iter();
    let action = match refusals.all(Refusal::is_own_index) {
        true => "drop it; where the application needs it, let a migration make it",
        false => "write a migration that carries the rows over; the gate only ever adds",
    };
    let mut finding = Finding::new("schema_not_additive", message).action(action);
    for refusal in &status.difference.refusals {
        let seen = format!(
            "found {}, expected {}: {}",
            if refusal.found.is_empty() {
                "no type"
            } else {
                &refusal.found
            },
            refusal.expected.trim(),
            refusal.reason
        );
        finding = finding.evidence(refusal.object.clone(), seen);
    }
    for addition in &status.difference.additions {
        finding = finding.evidence(addition.object.clone(), "missing, could be added");
    }
    finding
}
