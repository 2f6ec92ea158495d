use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{BootReport, Ending, EndingKind, Event, StageId, StageReport, StepOutcome, StepReport};

/// Version of the on-disk form. Readers refuse a higher one.
pub const RECORD_FORMAT_VERSION: u32 = 1;

/// A boot as it stands on disk (SPEC.md, "Boot Data Collection") and as `--format json` prints it.
/// Kept apart from the model, so that the model can change and old records stay readable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootRecord {
    /// Version of this form.
    pub format_version: u32,
    /// Names the run.
    pub run_id: String,
    /// Local time of the start, ISO 8601.
    pub boot_timestamp: String,
    /// The application's name.
    pub application: String,
    /// `heal` or `observe`.
    pub mode: String,
    /// Whether steps were left out on request; then this is no verdict on the application.
    pub partial: bool,
    /// All stages of the plan, those without a turn included.
    pub stages: Vec<RecordStage>,
    /// The result.
    pub summary: RecordSummary,
    /// The `startup.*` metrics.
    pub metrics: Map<String, Value>,
}

/// One stage of a [`BootRecord`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordStage {
    /// Number and title, such as `1. Preflight Gate`.
    pub stage: String,
    /// The name for machines.
    pub slug: String,
    /// Whether it passed.
    pub success: bool,
    /// Whether it had its turn.
    pub reached: bool,
    /// Figures that its steps computed.
    pub metrics: Map<String, Value>,
    /// What is wrong, one line each.
    pub issues: Vec<String>,
    /// What was healed and proven healed, one line each.
    pub fixes: Vec<String>,
    /// Its steps.
    pub steps: Vec<RecordStep>,
}

/// One step of a [`RecordStage`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordStep {
    /// `preflight::database_exists`.
    pub id: String,
    /// `pass`, `fixed`, `warn`, `fail`, `error`, `skip` or `not-run`.
    pub status: String,
    /// `abort`, `warn` or `continue`.
    pub on_failure: String,
    /// What was seen, or the reason for `error`, `skip` and `not-run`.
    pub observed: String,
    /// The next step of an `error`; that of a problem stands with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What is or was wrong, as the model's findings.
    pub problems: Vec<Value>,
    /// Attempts at healing, as the model's repairs.
    pub repairs: Vec<Value>,
    /// Worth knowing.
    pub notes: Vec<String>,
    /// Milliseconds.
    pub duration_ms: f64,
}

/// The result in a [`BootRecord`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordSummary {
    /// Whether the application may start; false for a partial run, which is no verdict on it.
    pub success: bool,
    /// The word for it.
    pub verdict: String,
    /// The process's exit code.
    pub exit_code: u8,
    /// `completed`, `aborted`, `interrupted`, `panicked` or `refused`.
    pub ending: String,
    /// Why, where it is not `completed`.
    pub reason: Option<String>,
    /// Stages that passed.
    pub stages_passed: usize,
    /// Stages that failed.
    pub stages_failed: usize,
    /// Heals that were proven.
    pub fixes_applied: usize,
    /// Milliseconds.
    pub duration_ms: f64,
}

impl From<&BootReport> for BootRecord {
    fn from(report: &BootReport) -> BootRecord {
        BootRecord {
            format_version: RECORD_FORMAT_VERSION,
            run_id: report.start.run_id.clone(),
            boot_timestamp: report.start.timestamp.clone(),
            application: report.start.application.clone(),
            mode: word(&report.start.mode),
            partial: report.start.is_partial(),
            stages: StageId::ALL
                .into_iter()
                .map(|id| stage(report, id))
                .collect(),
            summary: summary(report),
            metrics: report
                .metrics()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }
}

fn summary(report: &BootReport) -> RecordSummary {
    let verdict = report.verdict();
    let kind = report
        .ending
        .as_ref()
        .map_or(EndingKind::Interrupted, Ending::kind);
    let reason = match &report.ending {
        None => Some("the boot did not come to its end".to_owned()),
        Some(Ending::Completed) => None,
        Some(Ending::Aborted { by }) => Some(abort_reason(report, &by.to_string())),
        Some(Ending::Interrupted { signal }) => Some((*signal).to_owned()),
        Some(Ending::Panicked { message }) => Some(message.clone()),
        Some(Ending::Refused { reason, .. }) => Some(reason.clone()),
    };
    RecordSummary {
        success: report.success(),
        verdict: report.verdict_word().to_owned(),
        exit_code: verdict.exit_code(),
        ending: kind.word().to_owned(),
        reason,
        stages_passed: report.stages_passed(),
        stages_failed: report.stages_failed(),
        fixes_applied: report
            .stages
            .iter()
            .map(|stage| stage.fixes().count())
            .sum(),
        duration_ms: milliseconds(report.duration),
    }
}

fn abort_reason(report: &BootReport, step: &str) -> String {
    let issue = report
        .steps()
        .find(|candidate| candidate.id.to_string() == step)
        .and_then(|step| issues(step).into_iter().next());
    issue.unwrap_or_else(|| step.to_owned())
}

fn stage(report: &BootReport, id: StageId) -> RecordStage {
    let reached = report.stages.iter().find(|stage| stage.id == id);
    let steps: &[StepReport] = reached.map_or(&[], |stage| &stage.steps);
    RecordStage {
        stage: id.to_string(),
        slug: id.slug().to_owned(),
        success: reached.is_some_and(StageReport::passed),
        reached: reached.is_some_and(|stage| stage.blocked_by().is_none()),
        metrics: steps
            .iter()
            .flat_map(|step| &step.facts)
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        issues: steps.iter().flat_map(issues).collect(),
        fixes: reached.map_or_else(Vec::new, |stage| stage.fixes().map(str::to_owned).collect()),
        steps: steps.iter().map(step).collect(),
    }
}

/// What is wrong in this step, one line each.
fn issues(step: &StepReport) -> Vec<String> {
    match &step.outcome {
        StepOutcome::Errored { error } => vec![format!("{}: could not look: {error}", step.id)],
        StepOutcome::NotRun { blocked_by } => {
            vec![format!("{}: not run: blocked by {blocked_by}", step.id)]
        }
        _ => step
            .problems()
            .iter()
            .map(|problem| format!("{}: {}", step.id, problem.message))
            .collect(),
    }
}

fn step(step: &StepReport) -> RecordStep {
    let observed = match &step.outcome {
        StepOutcome::Errored { error } => error.message.clone(),
        StepOutcome::Skipped { reason } => reason.clone(),
        StepOutcome::NotRun { blocked_by } => format!("blocked by {blocked_by}"),
        _ => step.observed.clone(),
    };
    let problems = match &step.outcome {
        StepOutcome::Fixed { problems, .. } => problems,
        _ => step.problems(),
    };
    RecordStep {
        id: step.id.to_string(),
        status: step.status().word().to_owned(),
        on_failure: word(&step.on_failure),
        observed,
        action: match &step.outcome {
            StepOutcome::Errored { error } => error.action.clone(),
            _ => None,
        },
        problems: problems.iter().map(|problem| json!(problem)).collect(),
        repairs: step.repairs().iter().map(|repair| json!(repair)).collect(),
        notes: step.notes.clone(),
        duration_ms: milliseconds(step.duration),
    }
}

impl BootRecord {
    /// The record of a stream that begins with [`Event::BootStarted`]; none for any other stream.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<BootRecord> {
        BootReport::fold(events).map(|report| BootRecord::from(&report))
    }
}

fn word(value: &impl Serialize) -> String {
    match json!(value) {
        Value::String(word) => word,
        other => other.to_string(),
    }
}

/// Milliseconds to a thousandth.
fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
