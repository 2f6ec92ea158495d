//! `cargo xtask check-source`: what would crash a Python application's start, without running it.

use std::path::PathBuf;

use anyhow::Context as _;
use boot_checks::config::{self, Inputs};
use boot_checks::host::Host;
use boot_checks::model::{Finding, Verdict, complete_commands};
use boot_checks::python::{Counts, Problem, Project, SourceError, SourceReport, analyse};
use clap::ValueEnum;
use serde_json::Value;

use crate::application::path_again;
use crate::output;

const EXAMPLES: &str = "Examples:
  cargo xtask check-source --package backend
      every module of the package, each imported on its own
  cargo xtask check-source --package backend --entry backend.main:app
      only what stops this entry point blocks; the rest is a warning
  cargo xtask check-source --root /srv/grace --package backend --environment /srv/grace/.venv
      dependencies too: is each one installed?
  cargo xtask check-source --package backend --format json | jq '.problems[].code'
      for programs

Exit codes: 0 nothing would crash, 1 something would crash an entry point (or, where none is named,
a module), 2 usage, 4 nothing was checked, 70 a bug of the gate, 78 the root cannot be used";

/// Find what would crash a Python application's start, without running it
///
/// Follows the imports of every file as Python would: modules and names that are not there, files
/// that do not parse, import cycles that fail, dependencies that are not installed, coroutines that
/// are never awaited. What cannot be known without running the application is counted, not judged.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder that Python has on its path [default: BOOT_ROOT, else the folder of the nearest
    /// boot.toml upwards, else the current folder]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// A package of the application, by its dotted name (repeatable)
    #[arg(long = "package", value_name = "NAME", required = true)]
    packages: Vec<String>,

    /// What is started: backend.main, backend.main:app or backend/main.py (repeatable)
    #[arg(long = "entry", value_name = "ENTRY")]
    entries: Vec<String>,

    /// A virtual environment, an interpreter or a site-packages folder; without it dependencies are
    /// not judged
    #[arg(long, value_name = "PATH")]
    environment: Option<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Pretty,
    /// One JSON object
    Json,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let root = config::find_root(&Inputs {
        root: args.root.clone(),
        variables: host.variables.clone(),
        current_dir: host.current_dir.clone(),
        ..Inputs::default()
    });
    let root = match root {
        Ok(root) => root,
        Err(error) => return Ok(refuse(Verdict::Config, &error, &error.hint())),
    };
    let project = Project {
        root,
        packages: args.packages.clone(),
        entry_points: args.entries.clone(),
        environment: args.environment.clone(),
    };
    let report = match analyse(&project) {
        Ok(report) => report,
        Err(error) => return Ok(refuse(verdict_of(&error), &error, &error.hint())),
    };
    let blocks = |problem: &Problem| {
        problem.kind.stops_import()
            && (problem.reached_by_entry_point || project.entry_points.is_empty())
    };
    let verdict = if report.problems.iter().any(blocks) {
        Verdict::Blocked
    } else {
        Verdict::MayStart
    };
    output::data(&match args.format {
        Format::Json => as_json(&report, verdict)?,
        Format::Pretty => {
            let mut text = pretty(&report, blocks);
            complete_commands(&mut text, &path_again("--root", args.root.as_deref()));
            text
        }
    })?;
    Ok(verdict.exit_code())
}

/// Says what is wrong, why, and what to do next.
fn refuse(verdict: Verdict, error: &dyn std::error::Error, hint: &str) -> u8 {
    let mut why = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        why.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    output::complain(&format!("error: {error}{why}"));
    output::complain(&format!("  next: {hint}"));
    verdict.exit_code()
}

fn verdict_of(error: &SourceError) -> Verdict {
    match error {
        SourceError::Root(_) => Verdict::Config,
        SourceError::Package { .. }
        | SourceError::EntryPoint { .. }
        | SourceError::Environment(_) => Verdict::Usage,
        SourceError::Closed { .. } | SourceError::Worker(_) => Verdict::NothingChecked,
    }
}

fn as_json(report: &SourceReport, verdict: Verdict) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(report).context("a report is always JSON")?;
    if let Value::Object(fields) = &mut value {
        fields.insert("exit_code".to_owned(), verdict.exit_code().into());
        fields.insert("exit_name".to_owned(), verdict.word().into());
    }
    Ok(format!("{value}\n"))
}

fn pretty(report: &SourceReport, blocks: impl Fn(&Problem) -> bool) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let mark = if blocks(problem) { "[FAIL]" } else { "[WARN]" };
        let finding = Finding::from(problem);
        text.push_str(&format!("{mark} {}: {}\n", finding.code, finding.message));
        for seen in &finding.evidence {
            text.push_str(&format!("       {}: {}\n", seen.label, seen.value));
        }
        if let Some(cause) = &finding.cause {
            text.push_str(&format!("       cause: {cause}\n"));
        }
        if let Some(action) = &finding.action {
            text.push_str(&format!("       -> {action}\n"));
        }
    }
    text.push_str(&summary(report));
    text
}

fn summary(report: &SourceReport) -> String {
    let counts: &Counts = &report.counts;
    let mut text = format!(
        "modules that fail on import: {} of {}\n\
         files: {}, lines: {}, files that do not parse: {}, harmless cycles: {}\n",
        report.failing_modules.len(),
        counts.modules,
        counts.files,
        counts.lines,
        counts.parse_failures,
        report.harmless_cycles.len(),
    );
    for (reason, count) in &counts.unjudged {
        text.push_str(&format!("not judged, {reason}: {count}\n"));
    }
    text
}
