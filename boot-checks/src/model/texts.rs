//! Every text of an event, in one place, so that one function can clean them all.
//!
//! Each type is taken apart without `..`: whoever adds a field has to say here whether it is text.
//! Left out are only what the program's own source spells (`&'static str`), the run's name and time
//! (from our clock), and bytes that are never rendered.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::{
    Change, CheckError, CommandFile, Ending, Event, Evidence, Finding, PlannedStage, PlannedStep,
    Repair, RepairResult, SalvageReport, SqlStatement, SqlValue, Start, StepOutcome, StepReport,
};

/// What is done to each text.
type Visit<'v> = &'v mut dyn FnMut(&mut String);

impl Event {
    /// Hands every text in this event to `visit`, which may change it.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(&mut String)) {
        match self {
            Event::BootStarted(start) => start.for_each_text(visit),
            Event::StageStarted(_) | Event::StepStarted(_) | Event::StageFinished(_) => {}
            Event::RepairStarted {
                step: _,
                playbook: _,
                summary,
            } => visit(summary),
            Event::RepairFinished { step: _, repair } => repair.for_each_text(visit),
            Event::Waiting { step: _, reason } => visit(reason),
            Event::StepFinished(step) => step.for_each_text(visit),
            Event::BootFinished {
                ending,
                duration: _,
            } => ending.for_each_text(visit),
        }
    }
}

impl Start {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        let Start {
            run_id: _,
            timestamp: _,
            application,
            root,
            mode: _,
            strict: _,
            plan,
            again,
        } = self;
        visit(application);
        visit(root);
        visit(again);
        for PlannedStage { id: _, steps } in plan {
            for PlannedStep {
                id: _,
                on_failure: _,
                title: _,
                playbooks: _,
                skip_reason,
            } in steps
            {
                skip_reason.iter_mut().for_each(&mut *visit);
            }
        }
    }
}

impl Ending {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        match self {
            Ending::Completed | Ending::Aborted { by: _ } | Ending::Interrupted { signal: _ } => {}
            Ending::Panicked { message } => visit(message),
            Ending::Refused { verdict: _, reason } => visit(reason),
        }
    }
}

impl StepReport {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        let StepReport {
            id: _,
            on_failure: _,
            outcome,
            observed,
            notes,
            facts,
            duration: _,
        } = self;
        outcome.for_each_text(visit);
        visit(observed);
        notes.iter_mut().for_each(&mut *visit);
        facts.values_mut().for_each(|fact| json(fact, visit));
    }
}

impl StepOutcome {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        match self {
            StepOutcome::Passed | StepOutcome::NotRun { blocked_by: _ } => {}
            StepOutcome::Fixed { problems, repairs }
            | StepOutcome::Warned { problems, repairs }
            | StepOutcome::Failed { problems, repairs } => {
                problems.iter_mut().for_each(|it| it.for_each_text(visit));
                repairs.iter_mut().for_each(|it| it.for_each_text(visit));
            }
            StepOutcome::Errored {
                error: CheckError { message, action },
            } => {
                visit(message);
                action.iter_mut().for_each(visit);
            }
            StepOutcome::Skipped { reason } => visit(reason),
        }
    }
}

impl Finding {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        let Finding {
            code: _,
            message,
            evidence,
            cause,
            action,
            pattern: _,
        } = self;
        visit(message);
        for Evidence { label, value } in evidence {
            visit(label);
            visit(value);
        }
        cause.iter_mut().for_each(&mut *visit);
        action.iter_mut().for_each(visit);
    }
}

impl Repair {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        let Repair {
            playbook: _,
            summary,
            decision: _,
            changes,
            fingerprint,
            proposal,
            result,
        } = self;
        visit(summary);
        changes.iter_mut().for_each(|it| it.for_each_text(visit));
        visit(fingerprint);
        proposal.iter_mut().for_each(&mut *visit);
        match result {
            RepairResult::Verified | RepairResult::Proposed => {}
            RepairResult::Refused { error } => visit(error),
            RepairResult::Failed {
                error,
                taken_back: _,
                stays,
            } => {
                visit(error);
                stays.iter_mut().for_each(&mut *visit);
            }
            RepairResult::NotVerified {
                problems,
                taken_back: _,
                stays,
            } => {
                problems.iter_mut().for_each(|it| it.for_each_text(visit));
                stays.iter_mut().for_each(&mut *visit);
            }
        }
    }
}

impl Change {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        match self {
            Change::CreateFolder { path: it } => path(it, visit),
            Change::CreateFile {
                path: it,
                contents: _,
                mode: _,
            } => path(it, visit),
            Change::AppendToFile {
                path: it,
                expected: _,
                addition: _,
            } => path(it, visit),
            Change::EditFile {
                path: it,
                expected: _,
                edited: _,
                diff,
            } => {
                path(it, visit);
                visit(diff);
            }
            Change::ReplaceOwnFile {
                path: it,
                contents: _,
            } => path(it, visit),
            Change::CreateDatabase {
                path: it,
                versions: _,
                texts,
            } => {
                path(it, visit);
                texts.iter_mut().for_each(visit);
            }
            Change::ApplyMigrations { versions: _, texts } => texts.iter_mut().for_each(visit),
            Change::RestampMigrations {
                versions: _,
                checksums,
            } => checksums.iter_mut().for_each(visit),
            Change::AdoptSchema {
                statements,
                versions: _,
                expected_fingerprint,
                lacking_rows,
            } => {
                statements.iter_mut().for_each(&mut *visit);
                lacking_rows.iter_mut().for_each(&mut *visit);
                visit(expected_fingerprint);
            }
            Change::RebuildDatabase {
                path: it,
                present,
                report,
            } => {
                path(it, visit);
                visit(present);
                let SalvageReport {
                    method: _,
                    tables,
                    backup,
                    backup_digest,
                    unassigned: _,
                    dangling: _,
                    counters,
                    notes,
                } = report;
                tables.iter_mut().for_each(|it| visit(&mut it.table));
                backup.iter_mut().for_each(&mut *visit);
                backup_digest.iter_mut().for_each(&mut *visit);
                counters.iter_mut().for_each(&mut *visit);
                notes.iter_mut().for_each(visit);
            }
            Change::RestoreCopy {
                path: it,
                copy,
                kept,
                present,
            } => {
                path(it, visit);
                path(copy, visit);
                visit(kept);
                visit(present);
            }
            Change::WriteRows { statements } => {
                for SqlStatement { sql, parameters } in statements {
                    visit(sql);
                    parameters.iter_mut().for_each(|it| it.for_each_text(visit));
                }
            }
            Change::RunMigrator { argv, files } => {
                argv.iter_mut().for_each(&mut *visit);
                for CommandFile { path, sha256 } in files {
                    visit(path);
                    visit(sha256);
                }
            }
        }
    }
}

impl SqlValue {
    fn for_each_text(&mut self, visit: Visit<'_>) {
        match self {
            SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) => {}
            SqlValue::Text(text) => visit(text),
            // Bytes are rendered as numbers, which hide a text from a search but not from a reader.
            SqlValue::Blob(bytes) => {
                let mut text = String::from_utf8_lossy(bytes).into_owned();
                let before = text.clone();
                visit(&mut text);
                if text != before {
                    *bytes = text.into_bytes();
                }
            }
        }
    }
}

/// Leaves a path alone, byte for byte, that `visit` does not change.
fn path(path: &mut PathBuf, visit: Visit<'_>) {
    let before = path.to_string_lossy();
    let mut text = before.clone().into_owned();
    visit(&mut text);
    if text != before {
        *path = PathBuf::from(text);
    }
}

fn json(value: &mut Value, visit: Visit<'_>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| json(item, visit)),
        Value::Object(members) => {
            *members = std::mem::take(members)
                .into_iter()
                .map(|(mut name, mut member)| {
                    visit(&mut name);
                    json(&mut member, visit);
                    (name, member)
                })
                .collect::<Map<_, _>>();
        }
    }
}
