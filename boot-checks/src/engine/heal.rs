use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::artefacts::Artefacts;
use super::memory::remember_database;
use super::propose::masked;
use super::run::context;
use super::session::words;
use super::tidy::tidy;
use super::{
    Approvals, Approved, Door, Permit, Recorder, Redactor, Selection, Session, Sink, half_way,
    preview,
};
use crate::config::BootConfig;
use crate::host::lock::{GateLock, LockError};
use crate::host::{self, Host};
use crate::model::{
    BootReport, Change, Decision, Ending, Event, Mode, Repair, RepairResult, Start, StepId,
    StepReport, Verdict,
};
use crate::plan;
use crate::playbooks;
use crate::services::command;
use crate::services::governance::decide;

/// What a single heal is asked to do.
#[derive(Clone, Debug)]
pub struct HealOptions {
    /// The playbook; none: every one, which can only be looked at.
    pub playbook: Option<&'static str>,
    /// Whether it acts.
    pub intent: Intent,
    /// How long it waits for a boot, and for a lock on the database.
    pub lock_timeout: Duration,
    /// As [`Start::again`].
    pub again: String,
}

/// Whether a heal acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Makes plans and writes nothing.
    Look,
    /// Carries out what governance lets it.
    Act {
        /// Only exactly this plan.
        plan: Option<String>,
    },
}

/// A plan that was made, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The step whose problem it is for.
    pub step: StepId,
    /// The plan and what came of it; secrets are out of it.
    pub repair: Repair,
    /// What governance answers to a run that may act.
    pub decision: Decision,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// What it changes, line by line; secrets are out of it.
    pub preview: Vec<String>,
}

/// A heal that has come to its end.
#[derive(Clone, Debug)]
pub struct HealOutcome {
    /// The answer.
    pub verdict: Verdict,
    /// Everything that was seen.
    pub report: BootReport,
    /// The plans, each once.
    pub planned: Vec<Planned>,
}

impl HealOutcome {
    /// Steps that the playbook is for, as they ended.
    pub fn steps<'a>(&'a self, playbook: &'a str) -> impl Iterator<Item = &'a StepReport> {
        let steps = self.report.steps();
        steps.filter(move |step| plan::may_be_healed_by(step.id, playbook))
    }
}

/// Plans one playbook or carries it out: through the session and the door of a boot, for the steps that
/// it may heal, and nothing else. What it did is proven by their checks, on a fresh connection.
/// `notify` is told what is waited for; `on_signal` is called with the report when a signal ends it, and
/// does not return.
pub fn heal(
    config: BootConfig,
    host: Host,
    options: &HealOptions,
    notify: impl Fn(&str) + Send + 'static,
    on_signal: impl FnOnce(BootReport) + Send + 'static,
) -> HealOutcome {
    let waiting = |holder: &str| notify(&format!("waiting for another boot: {holder}"));
    let holder = host::self_description(&host);
    let file = config.root.join("var/boot/lock");
    let acts = options.intent != Intent::Look;
    let lock = acts.then(|| GateLock::acquire(&file, &holder, options.lock_timeout, waiting));
    let _lock = match lock.transpose() {
        Ok(lock) => lock,
        Err(error) => {
            let verdict = match error {
                LockError::Held { .. } => Verdict::LockHeld,
                LockError::Unusable { .. } => Verdict::Blocked,
            };
            return refused(&config, &host, options, verdict, error.to_string());
        }
    };
    if let Err(reason) = half_way::settle(&config.root, mode(options), &options.again) {
        return refused(&config, &host, options, Verdict::Blocked, reason);
    }
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(WaitSink(notify))];
    run(config, host, options, sinks, on_signal)
}

/// Tells what is waited for while it is.
struct WaitSink<F>(F);

impl<F: Fn(&str) + Send> Sink for WaitSink<F> {
    fn event(&mut self, event: &Event, _report: &BootReport) {
        if let Event::Waiting { step, reason } = event {
            (self.0)(&format!("[WAIT] {step}: {reason} ..."));
        }
    }
}

/// Adds a person's approval of exactly this plan, under the gate's lock.
///
/// # Errors
///
/// Why it was not added.
pub fn approve(
    root: &Path,
    approved: Approved,
    holder: &str,
    lock_budget: Duration,
) -> Result<Vec<String>, LockError> {
    let state_folder = root.join(super::door::STATE_FOLDER);
    let file = state_folder.join("lock");
    let _lock = GateLock::acquire(&file, holder, lock_budget, |_| {})?;
    let approvals = Approvals::new(&state_folder);
    let fingerprint = approved.fingerprint.clone();
    approvals
        .add(approved)
        .map_err(|source| LockError::Unusable {
            path: state_folder.join("approvals.json"),
            source,
        })?;
    Ok(approvals.people(&fingerprint))
}

/// A heal that never began.
fn refused(
    config: &BootConfig,
    host: &Host,
    options: &HealOptions,
    verdict: Verdict,
    reason: String,
) -> HealOutcome {
    let ending = Ending::Refused { verdict, reason };
    let recorder = Recorder::begin(start(config, host, options), redactor(config), Vec::new());
    HealOutcome {
        verdict,
        report: recorder.finish(ending),
        planned: Vec::new(),
    }
}

fn start(config: &BootConfig, host: &Host, options: &HealOptions) -> Start {
    let selection = selection(options);
    Start {
        run_id: host.clock.compact(),
        timestamp: host.clock.timestamp(),
        application: config.application.clone(),
        root: config.root.display().to_string(),
        mode: mode(options),
        strict: false,
        plan: plan::planned(|id| selection.reason_to_skip(id)),
        again: options.again.clone(),
    }
}

fn redactor(config: &BootConfig) -> Redactor {
    Redactor::new(config.environment.secrets().map(str::to_owned))
}

fn selection(options: &HealOptions) -> Selection {
    Selection {
        playbook: options.playbook,
        ..Selection::default()
    }
}

fn mode(options: &HealOptions) -> Mode {
    match options.intent {
        Intent::Look => Mode::Observe,
        Intent::Act { .. } => Mode::Heal,
    }
}

fn run(
    config: BootConfig,
    host: Host,
    options: &HealOptions,
    mut sinks: Vec<Box<dyn Sink>>,
    on_signal: impl FnOnce(BootReport) + Send + 'static,
) -> HealOutcome {
    let mut start = start(&config, &host, options);
    if options.intent != Intent::Look {
        tidy(&config.root, config.database.value.path.as_deref());
        let artefacts = Artefacts::reserve(&host, &config.root, &mut start);
        sinks.push(Box::new(artefacts.record_only()));
    }
    let door = Door::new(&config.root, &start.run_id);
    let cleaner = redactor(&config);
    let recorder = Arc::new(Recorder::begin(start, redactor(&config), sinks));
    let for_signals = Arc::clone(&recorder);
    let interrupted = move |signal| {
        command::stop_running();
        on_signal(for_signals.finish(Ending::Interrupted { signal }));
    };
    if let Err(error) = host::on_termination(interrupted) {
        let message = format!("cannot listen for signals: {error}");
        return ended(
            &cleaner,
            &recorder,
            Ending::Panicked { message },
            options,
            &[],
        );
    }
    let (mode, budget) = (mode(options), options.lock_timeout);
    let mut cx = context(config, host, mode, budget, &recorder);
    cx.looks_at_every_page = options.playbook.is_some_and(plan::is_for_damage);
    let cx = Arc::new(cx);
    let permit = Permit {
        only: options.playbook,
        plan: match &options.intent {
            Intent::Act { plan } => plan.clone(),
            Intent::Look => None,
        },
        // A single playbook needs what its own step needs, and not a whole boot before it.
        unblocked: true,
    };
    let session = Session::new(
        Arc::clone(&cx),
        door,
        Arc::clone(&recorder),
        selection(options),
        false,
    )
    .permitting(permit);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        plan::step_ids()
            .map(|id| session.outcome(id))
            .collect::<Vec<StepReport>>()
    }));
    cx.refresh();
    if cx.mode == Mode::Heal {
        remember_database(&cx);
    }
    match ran {
        Ok(steps) => ended(&cleaner, &recorder, session.ending(), options, &steps),
        Err(panic) => {
            let message = words(&*panic).to_owned();
            ended(
                &cleaner,
                &recorder,
                Ending::Panicked { message },
                options,
                &[],
            )
        }
    }
}

/// `steps` are as they really ended, with what a preview needs and an event must not hold.
fn ended(
    cleaner: &Redactor,
    recorder: &Recorder,
    ending: Ending,
    options: &HealOptions,
    steps: &[StepReport],
) -> HealOutcome {
    let report = recorder.finish(ending);
    let root = Path::new(&report.start.root);
    let approvals = Approvals::new(&root.join(super::door::STATE_FOLDER));
    let mut planned: Vec<Planned> = Vec::new();
    for (step, shown) in steps.iter().zip(report.steps()) {
        for (repair, shown) in step.repairs().iter().zip(shown.repairs()) {
            let is_new = |one: &Planned| one.repair.fingerprint != repair.fingerprint;
            if planned.iter().all(is_new) {
                planned.push(plan_of(cleaner, &approvals, root, step.id, repair, shown));
            }
        }
    }
    HealOutcome {
        // What was done is in the journal; that it was proven is not, anywhere that a person looks.
        verdict: match verdict(&report, options, &planned) {
            Verdict::MayStart if report.unproven.is_some() => Verdict::Blocked,
            verdict => verdict,
        },
        report,
        planned,
    }
}

fn plan_of(
    cleaner: &Redactor,
    approvals: &Approvals,
    root: &Path,
    step: StepId,
    repair: &Repair,
    shown: &Repair,
) -> Planned {
    let playbook = playbooks::find(repair.playbook);
    let plan = playbooks::Plan {
        summary: repair.summary.clone(),
        changes: repair.changes.clone(),
    };
    let made_up = playbook.map_or_else(Vec::new, |playbook| playbook.made_up(&plan));
    let lines = masked(&plan.changes, &made_up);
    let lines = lines.iter().flat_map(|change| preview::lines(root, change));
    let would = playbook.map_or(Decision::NeedsQuorum, |playbook| {
        let meta = playbook.meta();
        let risk = plan.changes.iter().map(Change::least_risk).max();
        let risk = risk.map_or(meta.risk, |risk| risk.max(meta.risk));
        decide(
            risk,
            meta.tier,
            Mode::Heal,
            approvals.of(&repair.fingerprint),
        )
    });
    Planned {
        step,
        repair: shown.clone(),
        decision: would,
        approved_by: approvals.people(&repair.fingerprint),
        preview: lines.map(|line| cleaner.text(&line)).collect(),
    }
}

fn verdict(report: &BootReport, options: &HealOptions, planned: &[Planned]) -> Verdict {
    match &report.ending {
        Some(Ending::Panicked { .. }) => return Verdict::Bug,
        Some(Ending::Completed | Ending::Aborted { .. }) => {}
        _ => return Verdict::Blocked,
    }
    if let Intent::Act { plan: Some(wanted) } = &options.intent
        && let Some(of_it) = planned.iter().find(|one| one.repair.fingerprint == *wanted)
        && of_it.repair.is_verified()
    {
        return Verdict::MayStart;
    }
    let is_for = |step: &&StepReport| {
        let is_for = |wanted| plan::may_be_healed_by(step.id, wanted);
        options.playbook.is_none_or(is_for)
    };
    let steps: Vec<&StepReport> = report.steps().filter(is_for).collect();
    if steps.iter().any(|step| step.has_failed_repair()) {
        return Verdict::HealFailed;
    }
    let waits = |one: &Planned| one.repair.result == RepairResult::Proposed;
    if planned.iter().any(waits) {
        return match options.intent {
            Intent::Look => Verdict::MayStart,
            Intent::Act { .. } => Verdict::NeedsApproval,
        };
    }
    let is_well = |step: &&StepReport| step.problems().is_empty() && !step.is_errored();
    if steps.iter().all(is_well) {
        Verdict::MayStart
    } else {
        Verdict::Blocked
    }
}
