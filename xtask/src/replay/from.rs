//! `replay --from`: an incident of another machine, from what its boot left.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boot_checks::model::{BootRecord, RecordStep, Verdict};
use boot_checks::patterns;
use boot_checks::training::{self, IncidentBundle};
use serde::Serialize;

use super::gate::Gate;
use super::rebuild::{is_below, rebuild};
use super::sandbox::Sandbox;
use super::words::Words;
use super::{Args, Format};
use crate::output;

/// What came of it.
#[derive(Debug, Serialize)]
struct Rebuilt {
    /// The file.
    from: String,
    application: String,
    /// Of the boot that failed.
    verdict: String,
    gate: String,
    system: String,
    /// What is not in the bundle.
    limits: Vec<String>,
    /// What could not be made again of what is in it.
    not_made: Vec<String>,
    findings: Vec<Finding>,
    /// Findings of the replay that the boot did not have.
    others: Vec<Finding>,
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct Finding {
    step: String,
    code: String,
    message: String,
    /// Whether it kept the application from starting.
    is_blocking: bool,
    came_again: bool,
}

/// Replays what the file tells: a bundle as it is, a record with the bundle beside it, and a record
/// alone by the known incidents that it names.
pub(super) fn run(args: &Args, file: &Path) -> anyhow::Result<u8> {
    if !file.is_file() {
        output::complain(&format!("error: there is no file {}", file.display()));
        return Ok(Verdict::Usage.exit_code());
    }
    let bundle = match IncidentBundle::read(file) {
        Ok(bundle) => bundle,
        Err(no_bundle) => {
            let Ok(record) = training::read(file) else {
                output::complain(&format!("error: {no_bundle}; neither is it a boot record"));
                return Ok(Verdict::Usage.exit_code());
            };
            let beside = beside(file, &record);
            if !beside.exists() {
                return by_patterns(args, file, &record);
            }
            IncidentBundle::read(&beside)?
        }
    };
    let rebuilt = replay(args, file, &bundle)?;
    output::data(&match args.format {
        Format::Pretty => rebuilt.pretty(),
        Format::Json => serde_json::to_string_pretty(&rebuilt)? + "\n",
    })?;
    Ok(rebuilt.exit_code)
}

fn beside(file: &Path, record: &BootRecord) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("."));
    training::incident_path(folder, &record.run_id)
}

/// A record holds no schema and no configuration; the known incidents in it have states of their own.
fn by_patterns(args: &Args, file: &Path, record: &BootRecord) -> anyhow::Result<u8> {
    let named: Vec<String> = record
        .stages
        .iter()
        .flat_map(|stage| &stage.steps)
        .filter(|step| !["fixed", "pass", "skip"].contains(&step.status.as_str()))
        .flat_map(|step| &step.problems)
        .filter_map(|problem| problem["pattern"].as_str())
        .map(str::to_owned)
        .collect();
    let known = |id: &&String| patterns::replays().iter().any(|it| it.id == **id);
    let ids: Vec<String> = named.iter().filter(known).cloned().collect();
    let name = file.display();
    if ids.is_empty() {
        output::complain(&format!(
            "error: {name} is a boot record without its incident bundle, and names no known incident; \
             nothing of it can be made again"
        ));
        return Ok(Verdict::Blocked.exit_code());
    }
    output::complain(&format!(
        "{name} is a boot record without its incident bundle: what it names is replayed in the \
         incidents' own states"
    ));
    super::run_ids(args, &ids)
}

fn replay(args: &Args, file: &Path, bundle: &IncidentBundle) -> anyhow::Result<Rebuilt> {
    let name = Some(bundle.run_id.as_str()).filter(|name| is_below(name));
    let keep = args.keep.as_ref();
    let keep = keep.map(|folder| folder.join(name.unwrap_or("incident")));
    let mut sandbox = Sandbox::empty(keep.as_deref())?;
    let not_made = rebuild(&mut sandbox, bundle).context("cannot make the state again")?;
    let boot = Gate::of(&sandbox).observe()?;
    let words = Words::of(&sandbox);
    let now: Vec<Finding> = boot.steps().flat_map(findings).collect();
    let mut before: Vec<Finding> = bundle.failing.iter().flat_map(findings).collect();
    let is_in = |one: &Finding, all: &[Finding]| {
        all.iter()
            .any(|other| (&other.step, &other.code) == (&one.step, &one.code))
    };
    for finding in &mut before {
        finding.came_again = is_in(finding, &now);
    }
    let mut others = now;
    others.retain(|finding| !is_in(finding, &before));
    for finding in &mut others {
        finding.message = words.text(&finding.message);
    }
    let any_blocks = before.iter().any(|finding| finding.is_blocking);
    let is_shown = before
        .iter()
        .filter(|finding| finding.is_blocking || !any_blocks)
        .all(|finding| finding.came_again);
    Ok(Rebuilt {
        from: file.display().to_string(),
        application: bundle.configuration.name.clone(),
        verdict: bundle.verdict.clone(),
        gate: bundle.gate.clone(),
        system: bundle.system.clone(),
        limits: bundle.limits.clone(),
        not_made,
        exit_code: u8::from(!is_shown || before.is_empty()),
        findings: before,
        others,
    })
}

fn findings(step: &RecordStep) -> Vec<Finding> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let is_blocking = step.on_failure == "abort" && ["fail", "error"].contains(&&*step.status);
    let finding = |code: String, message: String| Finding {
        step: step.id.clone(),
        code,
        message,
        is_blocking,
        came_again: false,
    };
    if step.status == "error" {
        return vec![finding("could_not_look".to_owned(), step.observed.clone())];
    }
    if !["fail", "warn"].contains(&step.status.as_str()) {
        return Vec::new();
    }
    let problems = step.problems.iter();
    problems
        .map(|problem| finding(text(&problem["code"]), text(&problem["message"])))
        .collect()
}

impl Rebuilt {
    fn pretty(&self) -> String {
        let mut text = format!(
            "{} was {} (gate {} on {})\n",
            self.application, self.verdict, self.gate, self.system
        );
        for (title, findings) in [
            ("Findings of that boot", &self.findings),
            ("Findings of the replay alone", &self.others),
        ] {
            if !findings.is_empty() {
                let _ = writeln!(text, "\n{title}");
            }
            for finding in findings {
                let came = match (title.contains("alone"), finding.came_again) {
                    (true, _) => "",
                    (false, true) => "  came again",
                    (false, false) => "  DID NOT COME",
                };
                let _ = writeln!(text, "  {}: {}{came}", finding.step, finding.code);
                let _ = writeln!(text, "    {}", finding.message);
            }
        }
        for (title, lines) in [
            ("Not in the bundle", &self.limits),
            ("Could not be made again", &self.not_made),
        ] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}");
            }
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
        let again = self.findings.iter().filter(|it| it.came_again).count();
        let _ = writeln!(text, "\nCame again: {again}/{}", self.findings.len());
        let _ = writeln!(text, "Exit code: {}", self.exit_code);
        // The file comes from anywhere; a terminal must not obey it.
        text.replace(|c: char| c.is_control() && c != '\n', "?")
    }
}
