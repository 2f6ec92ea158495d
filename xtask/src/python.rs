//! `check-source`: what would crash a Python application's start.

use std::io::Write as _;
use std::path::PathBuf;

use boot_checks::model::Finding;
use boot_checks::python::{Project, SourceReport, analyse};

/// Find what would crash a Python application's start, without running it
#[derive(clap::Args)]
#[command(
    after_help = "Example: cargo xtask check-source --root . --package backend --entry backend.main:app"
)]
pub(crate) struct Args {
    /// The application's root: the folder that Python has on its path.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// A package of the application (repeatable).
    #[arg(long = "package", required = true)]
    packages: Vec<String>,
    /// What is started: `backend.main`, `backend.main:app` or `backend/main.py` (repeatable).
    #[arg(long = "entry")]
    entries: Vec<String>,
    /// A virtual environment, an interpreter or a site-packages folder; without it dependencies are not judged.
    #[arg(long)]
    environment: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Pretty,
    Json,
}

/// Prints the report. 1: something would crash an entry point, or, where none is named, a module.
pub(crate) fn run(args: Args) -> anyhow::Result<u8> {
    let project = Project {
        root: args.root,
        packages: args.packages,
        entry_points: args.entries,
        environment: args.environment,
    };
    let report = analyse(&project)?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        Format::Pretty => pretty(&mut out, &report)?,
    }
    let blocks = report.problems.iter().any(|problem| {
        problem.kind.stops_import()
            && (problem.reached_by_entry_point || project.entry_points.is_empty())
    });
    Ok(u8::from(blocks))
}

fn pretty(out: &mut impl std::io::Write, report: &SourceReport) -> std::io::Result<()> {
    for problem in &report.problems {
        let finding = Finding::from(problem);
        let mark = if problem.reached_by_entry_point {
            "[FAIL]"
        } else {
            "[WARN]"
        };
        writeln!(out, "{mark} {}: {}", finding.code, finding.message)?;
        for seen in &finding.evidence {
            writeln!(out, "       {}: {}", seen.label, seen.value)?;
        }
        if let Some(action) = &finding.action {
            writeln!(out, "       -> {action}")?;
        }
    }
    let counts = &report.counts;
    writeln!(
        out,
        "{} files, {} lines, {} do not parse; {} of {} modules fail on import; {} harmless cycles",
        counts.files,
        counts.lines,
        counts.parse_failures,
        report.failing_modules.len(),
        counts.modules,
        report.harmless_cycles.len(),
    )?;
    for (reason, count) in &counts.unjudged {
        writeln!(out, "  not judged: {count} imports, {reason}")?;
    }
    Ok(())
}
