//! `cargo xtask report`: one boot that is over.

use anyhow::Context as _;
use boot_checks::host::Host;
use boot_checks::model::Verdict;
use boot_checks::report::{self, printable};
use boot_checks::training::{self, FindError, Known, RecordError};

use crate::application::ApplicationArgs;
use crate::heal::Format;
use crate::output::{self, Color};

/// Show one boot that is over: why it ended as it did, what was healed, and what to do next
///
/// Reads the record that the boot left, and writes nothing. A boot that was killed, or that is still
/// under way, has left none. Commands that are printed are for the application as it was then: an
/// approval of a plan that is no longer the same is refused.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run, as `history` shows it, or the name of its record [default: the newest]
    run: Option<String>,

    #[command(flatten)]
    application: ApplicationArgs,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,

    /// When to use colours
    #[arg(long, value_enum, default_value_t)]
    color: Color,
}

const EXAMPLES: &str = "Examples:
  cargo xtask report                              the newest boot
  cargo xtask report 20261123_203824              that run
  cargo xtask report --root /srv/grace            of another application
  cargo xtask report --format json | jq .summary  its record, for programs

Exit codes: 0 shown, whatever the boot's own was; 1 there is no boot yet, or its record cannot be
read; 2 no such run; 78 no such application";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let is_json = args.format == Format::Json;
    let again = args.application.again();
    let Some(root) = args.application.root(&host) else {
        let error = "there is no such application; name its folder with --root";
        return Ok(output::not_begun(is_json, Verdict::Config, error, None)?);
    };
    let folder = root.join(training::FOLDER);
    let path = match training::find(&folder, args.run.as_deref()) {
        Ok(path) => path,
        Err(error) => {
            let (verdict, next) = not_found(&error, &again);
            return Ok(not_shown(is_json, verdict, error, &next)?);
        }
    };
    let (record, json) = match training::read_with_text(&path) {
        Ok(read) => read,
        Err(error) => {
            let next = not_read(&error, &again);
            return Ok(not_shown(is_json, Verdict::Blocked, error, &next)?);
        }
    };
    output::data(&match args.format {
        Format::Pretty => report::past(&record, &again, args.color.style()),
        Format::Json => json,
    })?;
    Ok(Verdict::MayStart.exit_code())
}

fn not_shown(
    is_json: bool,
    verdict: Verdict,
    error: impl Into<anyhow::Error>,
    next: &str,
) -> std::io::Result<u8> {
    // It may hold what was typed, or what a damaged record holds.
    let error = printable(&format!("{:#}", error.into()));
    output::not_begun(is_json, verdict, &error, Some(next))
}

/// What it means that no record was found, and the next step.
fn not_found(error: &FindError, again: &str) -> (Verdict, String) {
    match error {
        FindError::NoBoot => (Verdict::Blocked, format!("`cargo xtask boot{again}`")),
        FindError::NotARun { known, .. } | FindError::Unknown { known, .. } => {
            (Verdict::Usage, named(known, again))
        }
        FindError::Unreadable { .. } => {
            let next = "let the user that runs this read that folder";
            (Verdict::Blocked, next.to_owned())
        }
    }
}

/// The runs that there are.
fn named(known: &Known, again: &str) -> String {
    let quoted = |runs: &[String]| {
        let runs: Vec<String> = runs.iter().map(|run| format!("`{run}`")).collect();
        runs.join(", ")
    };
    let all = format!("`cargo xtask history{again}` has all");
    match (known.alike.as_slice(), known.newest.as_slice()) {
        ([], []) => format!("there is no boot yet; `cargo xtask boot{again}`"),
        ([], newest) => format!("the newest are {}; {all}", quoted(newest)),
        ([one], _) => format!("did you mean `{one}`? {all}"),
        (alike, _) => format!("did you mean one of {}? {all}", quoted(alike)),
    }
}

/// What to do about a record that cannot be read.
fn not_read(error: &RecordError, again: &str) -> String {
    let others = format!("`cargo xtask history{again}` has the others");
    match error {
        RecordError::Newer { .. } => format!("read it with the gate that wrote it; {others}"),
        RecordError::Damaged { .. } | RecordError::Unreadable { .. } => others,
    }
}
