use std::fmt::Write;

use super::attempt::attempt;
use super::words::{
    OBSERVED, PARTIAL, Reason, count, is_observing, losses, meaning, not_reached, one_line,
    reasons, seconds,
};
use crate::model::{BootReport, StageId, StageReport, StepOutcome, StepReport};

const RULE: &str =
    "================================================================================";
const LINE: &str = "----------------------------------------";

/// `logs/last_boot_report.txt` (SPEC.md, "View Last Boot Report"): one fact a line, so that it can
/// be searched.
pub fn text(report: &BootReport) -> String {
    let mut text = String::with_capacity(4096);
    let name = one_line(&report.start.application).to_uppercase();
    line(&mut text, RULE);
    line(&mut text, &format!("{name} BOOT PIPELINE REPORT"));
    line(&mut text, RULE);
    head(&mut text, report);
    for id in StageId::ALL {
        text.push('\n');
        line(&mut text, &id.to_string());
        line(&mut text, LINE);
        stage(&mut text, report, id);
    }
    text
}

fn head(text: &mut String, report: &BootReport) {
    let verdict = report.verdict();
    let success = match report.success() {
        true => "YES".to_owned(),
        false if report.start.is_partial() => format!("NO ({PARTIAL})"),
        false => "NO".to_owned(),
    };
    field(text, "Timestamp", &report.start.timestamp);
    field(text, "Success", &success);
    let total = StageId::ALL.len();
    let passed = format!("{}/{total}", report.stages_passed());
    field(text, "Stages Passed", &passed);
    field(text, "Stages Failed", &report.stages_failed().to_string());
    for reason in reasons(report) {
        field(text, "Reason", &with_place(&reason));
        details(text, "", &reason);
    }
    let code = format!(
        "{} ({}: {})",
        verdict.exit_code(),
        report.verdict_word(),
        meaning(verdict)
    );
    field(text, "Exit Code", &code);
    field(text, "Duration", &seconds(report.duration));
    field(text, "Run", &report.start.run_id);
    field(text, "Root", &report.start.root);
    for lost in losses(report) {
        field(text, "Lost", &lost);
    }
    if is_observing(report) {
        field(text, "Mode", OBSERVED);
    }
    if report.start.is_partial() {
        field(text, "Note", PARTIAL);
    }
}

fn stage(text: &mut String, report: &BootReport, id: StageId) {
    let reached = report.stages.iter().find(|stage| stage.id == id);
    if let Some(reason) = not_reached(report, id) {
        line(text, "Success: False");
        line(text, &format!("Not reached ({reason})"));
        return;
    }
    let Some(stage) = reached else { return };
    if let Some(reason) = skipped(stage) {
        field(text, "Skipped", reason);
        return;
    }
    field(
        text,
        "Success",
        if stage.passed() { "True" } else { "False" },
    );
    let fixes: Vec<String> = stage.fixes().map(one_line).collect();
    if !fixes.is_empty() {
        field(text, "Fixes Applied", &fixes.join("; "));
    }
    let reasons: Vec<Reason<'_>> = stage.steps.iter().flat_map(Reason::of_step).collect();
    if !reasons.is_empty() {
        let issues: Vec<String> = reasons.iter().map(with_place).collect();
        field(text, "Issues", &issues.join("; "));
    }
    for reason in &reasons {
        details(text, "  ", reason);
    }
    let repairs = stage.steps.iter().flat_map(StepReport::repairs);
    for repair in repairs.filter(|repair| !repair.is_verified()) {
        let again = &report.start.again;
        field(text, "Fix Not Applied", &attempt(repair, again));
        for diff in repair.proposal.iter().flat_map(|diff| diff.lines()) {
            line(text, &format!("  {}", diff.replace(char::is_control, "")));
        }
    }
    let not_run = stage
        .steps
        .iter()
        .filter(|step| matches!(step.outcome, StepOutcome::NotRun { .. }));
    match not_run.count() {
        0 => {}
        number => field(text, "Not Run", &count(number, "step")),
    }
    for note in stage.steps.iter().flat_map(|step| &step.notes) {
        field(text, "Note", note);
    }
}

/// Why nothing was run in a stage of which every step was left out.
fn skipped(stage: &StageReport) -> Option<&str> {
    let mut first = None;
    for step in &stage.steps {
        let StepOutcome::Skipped { reason } = &step.outcome else {
            return None;
        };
        first = first.or(Some(reason.as_str()));
    }
    first
}

fn with_place(reason: &Reason<'_>) -> String {
    match &reason.place {
        Some(place) => format!("{place}: {}", one_line(&reason.what)),
        None => one_line(&reason.what),
    }
}

fn details(text: &mut String, indent: &str, reason: &Reason<'_>) {
    for evidence in reason.evidence {
        let seen = format!("{} = {}", evidence.label, evidence.value);
        field(text, &format!("{indent}Evidence"), &seen);
    }
    for (label, value) in [
        ("Cause", reason.cause),
        ("Pattern", reason.pattern),
        ("Next step", reason.next_step),
    ] {
        if let Some(value) = value {
            field(text, &format!("{indent}{label}"), value);
        }
    }
}

fn field(text: &mut String, label: &str, value: &str) {
    let _ = writeln!(text, "{label}: {}", one_line(value));
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
