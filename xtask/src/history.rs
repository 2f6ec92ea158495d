//! `cargo xtask history`: what the boots so far say together.

use std::path::PathBuf;

use anyhow::Context as _;
use boot_checks::host::Host;
use boot_checks::model::{BootRecord, Verdict};
use boot_checks::report::printable;
use boot_checks::training::{self, History};
use clap::ValueEnum;
use serde_json::json;

use crate::application::ApplicationArgs;
use crate::output;

/// Show the boots so far: how they ended, whether they get better, and what is wrong most often
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,

    /// Boots that are read, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,

    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: HistoryFormat,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum HistoryFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object.
    Json,
}

const EXAMPLES: &str = "Examples:
  cargo xtask history
  cargo xtask history --limit 10 --format json | jq .health_score

The health score is a mean of what boots are worth, newer ones weighing more: 100 where nothing was wrong, 90
with warnings, 80 where something had to be healed, 70 with both, 0 where the application could not start.

Exit codes: 0 shown, also where there are none, 1 the records cannot be read, 78 no such application";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let is_json = matches!(args.format, HistoryFormat::Json);
    let Some(root) = args.application.root(&host) else {
        let error = "there is no such application; name its folder with --root";
        return Ok(output::not_begun(is_json, Verdict::Config, error, None)?);
    };
    let folder = root.join(training::FOLDER);
    let paths = match training::list(&folder, usize::from(args.limit)) {
        Ok(paths) => paths,
        Err(error) => {
            let error = format!("{}: {error}", folder.display());
            return Ok(output::not_begun(is_json, Verdict::Blocked, &error, None)?);
        }
    };
    let records = readable(&paths);
    let history = History::of(&records);
    output::data(&match args.format {
        HistoryFormat::Pretty => pretty(&history, &records),
        HistoryFormat::Json => json_text(&history, &records)?,
    })?;
    Ok(Verdict::MayStart.exit_code())
}

/// A record that cannot be read says nothing; it is named, and the others are shown.
fn readable(paths: &[PathBuf]) -> Vec<BootRecord> {
    let mut records = Vec::new();
    for path in paths {
        match training::read(path) {
            Ok(record) => records.push(record),
            Err(error) => output::complain(&format!(
                "warning: {:#}, and is left out",
                anyhow::Error::from(error)
            )),
        }
    }
    records
}

fn pretty(history: &History, records: &[BootRecord]) -> String {
    if records.is_empty() {
        return "there is no boot yet\n".to_owned();
    }
    let mut text = String::new();
    for record in records {
        text += &line(record);
    }
    let blocked = history.boots - history.successes;
    text += &format!(
        "\nBoots:         {} ({} may start, {blocked} may not)\n",
        history.boots, history.successes
    );
    if history.left_out > 0 {
        text += &format!(
            "Left out:      {} (partial, or never began)\n",
            history.left_out
        );
    }
    if let Some(score) = history.health_score {
        let trend = history.trend.word();
        text += &format!("Health score:  {score} of 100, trend {trend}\n");
    }
    if history.failures_in_a_row > 0 {
        text += &format!("Failed in a row: {}\n", history.failures_in_a_row);
    }
    if !history.issues.is_empty() {
        text += "\nWrong most often:\n";
    }
    for issue in &history.issues {
        text += &format!(
            "  {}, {} healed  {} {}  last {}\n",
            counted(issue.boots, "boot", "boots"),
            issue.healed,
            issue.step,
            issue.code,
            issue.last_run_id
        );
    }
    // A record may hold what another program printed.
    let lines = text.lines().map(printable);
    lines.map(|line| line + "\n").collect()
}

/// `1 fix`, `2 fixes`.
fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn line(record: &BootRecord) -> String {
    let summary = &record.summary;
    let partial = if record.partial { ", partial" } else { "" };
    let reason = summary.reason.as_deref();
    let reason = reason.map_or(String::new(), |reason| format!("  {reason}"));
    format!(
        "{:18} {:9} {}/{} stages, {}, {:.0} ms{partial}{reason}\n",
        record.run_id,
        summary.verdict,
        summary.stages_passed,
        record.stages.len(),
        counted(summary.fixes_applied, "fix", "fixes"),
        summary.duration_ms
    )
}

fn json_text(history: &History, records: &[BootRecord]) -> anyhow::Result<String> {
    let runs: Vec<_> = records
        .iter()
        .map(|record| {
            json!({
                "run_id": record.run_id,
                "boot_timestamp": record.boot_timestamp,
                "mode": record.mode,
                "partial": record.partial,
                "summary": record.summary,
            })
        })
        .collect();
    let mut object = serde_json::to_value(history)?;
    object["runs"] = runs.into();
    Ok(format!("{object:#}\n"))
}
