//! `cargo xtask heal`: plans one playbook, or carries it out.

use anyhow::Context as _;
use boot_checks::engine::{self, HealOptions, HealOutcome, Intent, Planned};
use boot_checks::host::Host;
use boot_checks::model::{Decision, Ending, RepairResult, StepReport, StepStatus, Verdict};
use boot_checks::playbooks;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use crate::application::ApplicationArgs;
use crate::duration;
use crate::output;

/// Plan one playbook, or carry it out
///
/// Looks with the checks that the playbook may heal, carries its plan out where governance lets it, and
/// looks again with the same checks on a fresh connection; what does not hold then is taken back. A plan
/// has a fingerprint: it is the same as long as what the plan was made from is the same.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The playbook, by its name
    #[arg(value_name = "PLAYBOOK", value_parser = PossibleValuesParser::new(names()), hide_possible_values = true)]
    playbook: String,

    /// Print the plan and write nothing
    #[arg(long, conflicts_with = "apply")]
    plan: bool,

    /// Carry out exactly the plan with this fingerprint, and no other
    #[arg(long, value_name = "FINGERPRINT")]
    apply: Option<String>,

    #[command(flatten)]
    application: ApplicationArgs,

    /// How long to wait for a boot that is under way and for a lock on the database, such as 30s
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    lock_timeout: std::time::Duration,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Pretty,
    /// One JSON object
    Json,
}

const EXAMPLES: &str = "Examples:
  cargo xtask heal create_default_env --plan             what it would change, and its fingerprint
  cargo xtask heal create_default_env --apply 5f2c9a01…  exactly that, or nothing
  cargo xtask heal apply_pending_migrations              plan it, and carry it out
  cargo xtask playbooks                                  all playbooks, and who decides

Exit codes: 0 healed, planned, or nothing to heal; 1 it cannot heal what is wrong, or was refused before
anything was changed; 2 usage; 3 it was begun, did not help and was taken back; 7 a boot is under way;
8 it needs an approval, or the plan is no longer the one that was named; 70 a bug of the gate;
78 configuration";

/// Names of all playbooks.
fn names() -> Vec<&'static str> {
    let all = playbooks::ALL.iter();
    all.map(|playbook| playbook.meta().id).collect()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let config = match args.application.load(&host) {
        Ok(config) => config,
        Err(error) => {
            let (is_json, hint) = (args.format == Format::Json, error.hint());
            let (error, verdict) = (error.to_string(), Verdict::Config);
            return Ok(output::not_begun(is_json, verdict, &error, Some(&hint))?);
        }
    };
    let playbook = playbooks::find(&args.playbook).context("clap has checked the name")?;
    let options = HealOptions {
        playbook: Some(playbook.meta().id),
        intent: match args.plan {
            true => Intent::Look,
            false => Intent::Act {
                plan: args.apply.clone(),
            },
        },
        lock_timeout: args.lock_timeout,
        again: args.application.again(),
    };
    // Whatever it was writing can be killed; the journal knows.
    let on_signal = |_| std::process::exit(Verdict::Blocked.exit_code().into());
    let notify = |line: &str| output::complain(line);
    let outcome = engine::heal(config, host, &options, notify, on_signal);
    let heal = Heal {
        playbook: playbook.meta().id,
        options: &options,
        outcome: &outcome,
        application: &args.application,
    };
    output::data(&match args.format {
        Format::Pretty => heal.words(),
        Format::Json => format!("{:#}\n", heal.json()),
    })?;
    Ok(outcome.verdict.exit_code())
}

/// A heal that has come to its end, and what it was asked.
struct Heal<'a> {
    playbook: &'static str,
    options: &'a HealOptions,
    outcome: &'a HealOutcome,
    application: &'a ApplicationArgs,
}

impl Heal<'_> {
    fn steps(&self) -> Vec<&StepReport> {
        self.outcome.steps(self.playbook).collect()
    }

    /// Whether every step had its look, and found nothing wrong.
    fn is_healthy(&self) -> bool {
        let well =
            |step: &&StepReport| matches!(step.status(), StepStatus::Pass | StepStatus::Skip);
        self.outcome.verdict == Verdict::MayStart && self.steps().iter().all(well)
    }

    /// Why it did not begin, such as a boot that is under way.
    fn not_begun(&self) -> Option<&str> {
        match &self.outcome.report.ending {
            Some(Ending::Refused { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    fn words(&self) -> String {
        let mut text = String::new();
        if let Some(reason) = self.not_begun() {
            return format!("not begun: {reason}\n");
        }
        for step in self.steps() {
            text += &step_words(step);
        }
        for planned in &self.outcome.planned {
            text += &self.plan_words(planned);
        }
        if self.is_healthy() {
            text += "nothing to heal\n";
        }
        if let Some(error) = &self.outcome.report.unproven {
            text += &format!("the record could not be written: {error}\n");
        }
        if let Some(next) = self.next() {
            text += &format!("next: {next}\n");
        }
        text
    }

    fn plan_words(&self, planned: &Planned) -> String {
        let repair = &planned.repair;
        let mut text = format!("plan {} of {}\n", repair.fingerprint, repair.playbook);
        for line in &planned.preview {
            text += &format!("  {line}\n");
        }
        text += &match &repair.result {
            RepairResult::Verified => format!("[FIX] {}; checked again\n", repair.summary),
            RepairResult::Refused { error } => format!("[FAIL] nothing was changed: {error}\n"),
            RepairResult::Failed {
                error,
                taken_back,
                stays,
            } => {
                let taken = taken(*taken_back, stays.as_deref());
                format!("[FAIL] {error}; {taken}\n")
            }
            RepairResult::NotVerified {
                problems,
                taken_back,
                stays,
            } => {
                let still: Vec<&str> = problems.iter().map(|it| it.message.as_str()).collect();
                let still = still.join("; ");
                let taken = taken(*taken_back, stays.as_deref());
                format!("[FAIL] the check still fails: {still}; {taken}\n")
            }
            RepairResult::Proposed => format!("decision: {}\n", self.decision(planned)),
        };
        text
    }

    fn decision(&self, planned: &Planned) -> String {
        let people = planned.approved_by.join(", ");
        match planned.decision {
            _ if self.is_another(planned) => {
                "this is not the plan that was named, and nothing was changed".to_owned()
            }
            Decision::Apply if people.is_empty() => "it may act".to_owned(),
            Decision::Apply => format!("it may act, approved by {people}"),
            Decision::ApplyAndNotify => "it may act, and leaves a notice".to_owned(),
            Decision::NeedsApproval => "it waits for a person's approval".to_owned(),
            Decision::NeedsQuorum => {
                let quorum = engine::QUORUM;
                let have = planned.approved_by.len();
                format!("it waits for a quorum: {have} of {quorum} people approved it")
            }
            Decision::ObserveOnly => "it only looks".to_owned(),
        }
    }

    /// Whether another plan was asked for than the one that there is now.
    fn is_another(&self, planned: &Planned) -> bool {
        matches!(&self.options.intent, Intent::Act { plan: Some(wanted) } if *wanted != planned.repair.fingerprint)
    }

    fn next(&self) -> Option<String> {
        let (playbook, of) = (self.playbook, self.application.again());
        let waits = |one: &&Planned| one.repair.result == RepairResult::Proposed;
        if let Some(planned) = self.outcome.planned.iter().find(waits) {
            let fingerprint = &planned.repair.fingerprint;
            return Some(match planned.decision {
                _ if self.is_another(planned) => {
                    format!("look at it with `cargo xtask heal {playbook} --plan{of}`")
                }
                Decision::NeedsApproval | Decision::NeedsQuorum => format!(
                    "`cargo xtask approve {fingerprint}{of}`, then `cargo xtask heal {playbook}{of}`"
                ),
                _ => format!("`cargo xtask heal {playbook} --apply {fingerprint}{of}`"),
            });
        }
        let acted = self
            .outcome
            .planned
            .iter()
            .any(|one| one.repair.is_verified());
        let run = &self.outcome.report.start.run_id;
        acted.then(|| format!("`cargo xtask undo {run}{of}` takes it back"))
    }

    fn json(&self) -> Value {
        let planned = self.outcome.planned.iter().map(|planned| {
            json!({
                "step": planned.step,
                "fingerprint": planned.repair.fingerprint,
                "would_decide": planned.decision,
                "approved_by": planned.approved_by,
                "preview": planned.preview,
                "repair": planned.repair,
            })
        });
        let steps = self.steps().into_iter().map(|step| {
            json!({
                "id": step.id,
                "status": step.status(),
                "problems": step.problems(),
                "notes": step.notes,
            })
        });
        json!({
            "playbook": self.playbook,
            "run_id": self.outcome.report.start.run_id,
            "exit_code": self.outcome.verdict.exit_code(),
            "exit_name": self.outcome.verdict.word(),
            "error": self.not_begun(),
            "steps": steps.collect::<Vec<_>>(),
            "plans": planned.collect::<Vec<_>>(),
            "next": self.next(),
        })
    }
}

/// What a step found that is still wrong, and why nothing was done about it.
fn step_words(step: &StepReport) -> String {
    let mut text = String::new();
    for problem in step.problems() {
        text += &format!("{}: {}\n", step.id, problem.message);
        for seen in &problem.evidence {
            text += &format!("  {}: {}\n", seen.label, seen.value);
        }
    }
    let notes = match step.problems().is_empty() && !step.is_errored() {
        true => &[][..],
        false => &step.notes,
    };
    for note in notes {
        text += &format!("  note: {note}\n");
    }
    match &step.outcome {
        boot_checks::model::StepOutcome::Errored { error } => {
            text += &format!("{}: could not look: {error}\n", step.id);
        }
        boot_checks::model::StepOutcome::NotRun { blocked_by } => {
            text += &format!("{}: not looked at: blocked by {blocked_by}\n", step.id);
        }
        _ => {}
    }
    text
}

fn taken(taken_back: bool, stays: Option<&str>) -> String {
    match (taken_back, stays) {
        (true, _) => "everything is as it was".to_owned(),
        (false, None) => "its changes could NOT be taken back".to_owned(),
        (false, Some(stays)) => format!("its changes could NOT be taken back: {stays}"),
    }
}
