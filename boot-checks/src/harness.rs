//! The gate as a libtest-mimic suite: each step of the plan is a trial with its name. Trials are
//! views; the session holds the outcomes. Nothing else here knows libtest-mimic.

use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::engine::{Recorder, Selection, Session};
use crate::model::{StepId, StepOutcome, StepReport, Verdict};
use crate::plan;

/// One trial for each step that the selection includes. Building them looks at nothing.
fn trials<F>(selection: &Selection, outcome: F) -> Vec<Trial>
where
    F: Fn(StepId) -> StepReport + Clone + Send + 'static,
{
    plan::step_ids()
        .filter(|id| selection.includes(*id))
        .map(|id| {
            let outcome = outcome.clone();
            Trial::ignorable_test(id.to_string(), move || translate(&outcome(id)))
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
    let arguments = Arguments {
        test_threads: Some(threads.max(1)),
        // The shortest form, since nobody reads it.
        quiet: true,
        logfile: Some(nowhere()),
        ..Arguments::default()
    };
    // The verdict comes from the session: a harness that ran nothing would count that as success.
    let _ = libtest_mimic::run(&arguments, trials_of(selection, session));
    finish(session);
}

fn nowhere() -> String {
    let nowhere = if cfg!(windows) { "NUL" } else { "/dev/null" };
    PathBuf::from(nowhere).display().to_string()
}

fn trials_of(selection: &Selection, session: &Arc<Session>) -> Vec<Trial> {
    let session = Arc::clone(session);
    trials(selection, move |id| session.outcome(id))
}

/// Asks for the last step, so that every stage has had its turn however few trials there were.
fn finish(session: &Session) {
    if let Some(last) = plan::step_ids().last() {
        session.outcome(last);
    }
}

/// The gate as a test program of its own (`cargo test --test boot`): it understands what libtest
/// understands, and the harness prints its own output.
#[derive(Clone, Debug)]
pub struct Suite {
    arguments: Arguments,
}

impl Suite {
    /// The suite as the command line of this process asks for it. A wrong command line ends the
    /// process.
    pub fn from_args() -> Suite {
        Suite::new(Arguments::from_args())
    }

    /// One thread unless told otherwise, so that the trials stand in the plan's order.
    fn new(mut arguments: Arguments) -> Suite {
        arguments.test_threads.get_or_insert(1);
        Suite { arguments }
    }

    /// The steps that are asked for.
    pub fn selection(&self) -> Selection {
        Selection {
            filter: self.arguments.filter.clone(),
            exact: self.arguments.exact,
            skip: self.arguments.skip.clone(),
            ..Selection::default()
        }
    }

    /// Whether the filters leave no step.
    pub fn selects_nothing(&self) -> bool {
        names(&self.selection()).is_empty()
    }

    /// Whether a session is needed. Otherwise the trials are only listed, or none is asked for.
    pub fn needs_session(&self) -> bool {
        let only_ignored = self.arguments.ignored && !self.arguments.include_ignored;
        !self.arguments.list && !self.arguments.bench && !only_ignored && !self.selects_nothing()
    }

    /// Prints the list, or that there is nothing to run. Looks at nothing.
    pub fn run_without_session(&self) {
        let never = |id: StepId| -> StepReport { unreachable!("{id} is not run here") };
        let _ = libtest_mimic::run(&self.arguments, trials(&self.selection(), never));
    }

    /// Runs the trials and ends the stream. The exit code is the verdict's; where that is 0 and a
    /// trial failed all the same, it is 1.
    pub fn run(&self, session: &Arc<Session>, recorder: &Recorder) -> u8 {
        let conclusion = libtest_mimic::run(&self.arguments, trials_of(&self.selection(), session));
        finish(session);
        let verdict = recorder.finish(session.ending()).verdict();
        exit_code(verdict, conclusion.has_failed())
    }
}

/// The verdict's, never the harness's alone: one that shows only green may have been shown too little.
fn exit_code(verdict: Verdict, harness_failed: bool) -> u8 {
    match verdict {
        Verdict::MayStart if harness_failed => Verdict::Blocked.exit_code(),
        verdict => verdict.exit_code(),
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::{self, Inputs};
    use crate::context::Context;
    use crate::engine::{Door, Redactor};
    use crate::host::{Clock, Host};
    use crate::model::{Mode, Start};
    use crate::playbooks;

    /// The exit code and the trials that failed, of a suite that only looks at this root.
    fn suite(root: &Path, arguments: &[&str]) -> u8 {
        let mut arguments = Arguments::from_iter([&["boot"], arguments].concat());
        arguments.logfile = Some(nowhere());
        let suite = Suite::new(arguments);
        let inputs = Inputs {
            root: Some(root.to_owned()),
            current_dir: root.to_owned(),
            ..Inputs::default()
        };
        let host = Host::new(Clock::System, inputs.variables.clone(), root.to_owned());
        let start = Start {
            run_id: "run".to_owned(),
            timestamp: host.clock.timestamp(),
            application: "test".to_owned(),
            root: root.display().to_string(),
            mode: Mode::Observe,
            strict: false,
            again: String::new(),
            plan: plan::planned(|id| suite.selection().reason_to_skip(id)),
        };
        let recorder = Arc::new(Recorder::begin(start, Redactor::new([]), Vec::new()));
        let cx = Context::new(
            config::load(&inputs).unwrap(),
            host,
            Mode::Observe,
            playbooks::registered(),
            Duration::ZERO,
            |_| {},
        );
        let session = Arc::new(Session::new(
            Arc::new(cx),
            Door::new(root, "run"),
            Arc::clone(&recorder),
            suite.selection(),
            false,
        ));
        suite.run(&session, &recorder)
    }

    #[test]
    fn a_blocked_trial_that_is_run_alone_is_no_success() {
        let root = tempfile::tempdir().unwrap();
        for arguments in [
            &["codec::emoji", "--exact"][..],
            &["smoke"],
            &["monitor::self_heal", "--exact", "--test-threads", "4"],
            &["preflight::disk_space", "--exact", "--skip", "codec"],
        ] {
            let code = suite(root.path(), arguments);
            let only_healthy = arguments[0].starts_with("preflight::disk_space");
            assert_eq!(code, u8::from(!only_healthy), "{arguments:?}");
        }
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_exit_code_is_green_only_where_verdict_and_harness_are() {
        for (verdict, harness_failed, code) in [
            (Verdict::MayStart, false, 0),
            (Verdict::MayStart, true, 1),
            (Verdict::Blocked, false, 1),
            (Verdict::NothingChecked, false, 4),
            (Verdict::WarningsUnderStrict, false, 5),
        ] {
            assert_eq!(exit_code(verdict, harness_failed), code, "{verdict:?}");
        }
    }

    #[test]
    fn only_what_was_seen_to_be_well_is_shown_as_passed() {
        use crate::model::{CheckError, Finding, OnFailure};
        let by = plan::step_ids().next().unwrap();
        let problems = vec![Finding::new("x", "something is wrong")];
        let shown = |outcome: StepOutcome| {
            let report = StepReport {
                id: by,
                on_failure: OnFailure::Abort,
                outcome,
                observed: String::new(),
                notes: Vec::new(),
                facts: std::collections::BTreeMap::new(),
                duration: Duration::ZERO,
            };
            match translate(&report) {
                Ok(Completion::Completed) => "passed".to_owned(),
                Ok(_) => "ignored".to_owned(),
                Err(failed) => failed.message().unwrap_or_default().to_owned(),
            }
        };
        assert_eq!(shown(StepOutcome::Passed), "passed");
        let not_run = shown(StepOutcome::NotRun { blocked_by: by });
        assert_eq!(not_run, format!("{by} was not run: blocked by {by}"));
        let error = CheckError::new("no such folder");
        assert_eq!(
            shown(StepOutcome::Errored { error }),
            "could not look: no such folder"
        );
        let failed = StepOutcome::Failed {
            problems: problems.clone(),
            repairs: Vec::new(),
        };
        assert_eq!(shown(failed), "something is wrong");
        let warned = shown(StepOutcome::Warned {
            problems,
            repairs: Vec::new(),
        });
        assert_eq!(warned, "ignored");
    }

    #[test]
    fn a_suite_that_runs_nothing_needs_no_session() {
        for arguments in [
            &["--list"][..],
            &["no such step"],
            &["--ignored"],
            &["codec", "--skip", "codec"],
        ] {
            let mut parsed = Arguments::from_iter([&["boot"], arguments].concat());
            parsed.logfile = Some(nowhere());
            let suite = Suite::new(parsed);
            assert!(!suite.needs_session(), "{arguments:?}");
            suite.run_without_session();
        }
    }
}
