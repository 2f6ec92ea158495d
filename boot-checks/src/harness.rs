//! The gate as a libtest-mimic suite: each step of the plan is a trial with its name. Trials are
//! views; the session holds the outcomes. Nothing else here knows libtest-mimic.

use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::engine::{Selection, Session};
use crate::model::{StepId, StepOutcome, StepReport};
use crate::plan;

/// One trial for each step that the selection includes. Building them looks at nothing.
pub fn trials(selection: &Selection, session: &Arc<Session>) -> Vec<Trial> {
    plan::step_ids()
        .filter(|id| selection.includes(*id))
        .map(|id| {
            let session = Arc::clone(session);
            Trial::ignorable_test(id.to_string(), move || translate(&session.outcome(id)))
                .with_kind(id.stage.slug())
        })
        .collect()
}

/// Names of the steps that a selection includes, without a session and without any I/O.
pub fn names(selection: &Selection) -> Vec<String> {
    plan::step_ids()
        .filter(|id| selection.includes(*id))
        .map(|id| id.to_string())
        .collect()
}

/// Runs the selected steps on this many threads. What the harness itself prints is passed over: the
/// recorder's sinks show the same, as it happens.
pub fn run_silently(selection: &Selection, session: &Arc<Session>, threads: usize) {
    let nowhere = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let arguments = Arguments {
        test_threads: Some(threads.max(1)),
        // The shortest form, since nobody reads it.
        quiet: true,
        logfile: Some(PathBuf::from(nowhere).display().to_string()),
        ..Arguments::default()
    };
    // The verdict comes from the session: a harness that ran nothing would count that as success.
    let _ = libtest_mimic::run(&arguments, trials(selection, session));
    finish(session);
}

/// Asks for the last step, so that every stage has had its turn however few trials there were.
fn finish(session: &Session) {
    if let Some(last) = plan::step_ids().last() {
        session.outcome(last);
    }
}

fn translate(report: &StepReport) -> Result<Completion, Failed> {
    match &report.outcome {
        StepOutcome::Passed | StepOutcome::Fixed { .. } => Ok(Completion::Completed),
        StepOutcome::Warned { problems, .. } => {
            let words: Vec<_> = problems
                .iter()
                .map(|problem| problem.message.as_str())
                .collect();
            Ok(Completion::ignored_with(format!(
                "warn: {}",
                words.join("; ")
            )))
        }
        StepOutcome::Skipped { reason } => Ok(Completion::ignored_with(format!("skip: {reason}"))),
        StepOutcome::NotRun { blocked_by } => Err(not_run(report.id, *blocked_by)),
        StepOutcome::Errored { error } => Err(format!("could not look: {error}").into()),
        StepOutcome::Failed { problems, .. } => {
            let words: Vec<_> = problems
                .iter()
                .map(|problem| problem.message.as_str())
                .collect();
            Err(words.join("\n").into())
        }
    }
}

/// A blocked trial is no pass, also where it is the only one that was asked for.
fn not_run(id: StepId, blocked_by: StepId) -> Failed {
    format!("{id} was not run: blocked by {blocked_by}").into()
}
