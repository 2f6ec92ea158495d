//! `cargo xtask diagnose`: known incidents in logs and tracebacks.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::output;
use anyhow::Context as _;
use boot_checks::patterns::{
    self, DiagnoseError, Diagnosis, Follower, Incident, Options, OwnPackages, Poll, Reset,
};
use clap::ValueEnum;
use serde_json::{Value, json};

/// Nothing stands in the way.
const EXIT_OK: u8 = 0;
/// An incident was found and `--fail-on-incident` was given, or an evaluation fell short.
const EXIT_INCIDENT: u8 = 1;
/// What was named cannot be read.
const EXIT_USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  cargo xtask diagnose logs/app.log              what went wrong, and what heals it
  cargo xtask diagnose logs/*.log.gz             several files, compressed ones too
  journalctl -u grace | cargo xtask diagnose -   from a pipe
  cargo xtask diagnose --format json app.log     one JSON object, for machines
  cargo xtask diagnose --follow logs/app.log     go on as the log grows; each line is read once,
                                                 also after a restart
  cargo xtask diagnose --follow --once app.log   only what is new since the last time
  cargo xtask diagnose --evaluate lines.jsonl    measure the patterns against labelled lines

Exit codes: 0 read, whether or not anything was found; 1 an incident was found and
--fail-on-incident was given, or an evaluation fell short; 2 usage, or a file that
cannot be read.";

/// Find known incidents in logs and tracebacks
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Logs to read: plain, gzip or UTF-16; `-` reads standard input
    #[arg(required_unless_present = "evaluate", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// End with 1 when an incident was found
    #[arg(long)]
    fail_on_incident: bool,
    /// A package of the application itself (repeatable); tells a moved module from a dependency
    #[arg(long = "own-package", value_name = "NAME")]
    own_packages: Vec<String>,
    /// Threads for plain files; 0: as many as there are processors
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Go on reading as the file grows; with JSON, one object for each line
    #[arg(long, conflicts_with = "evaluate")]
    follow: bool,
    /// With --follow: read what is new, then end
    #[arg(long, requires = "follow")]
    once: bool,
    /// With --follow: milliseconds between two looks
    #[arg(long, requires = "follow", default_value_t = 500, value_name = "MS")]
    interval_ms: u64,
    /// With --follow: where to keep how far the file was read (below var/boot/ by default)
    #[arg(long, requires = "follow", value_name = "FILE")]
    state: Option<PathBuf>,
    /// Measure the patterns against a file of {"text", "label", "kind"} lines
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    evaluate: Option<PathBuf>,
    /// With --evaluate: print every miss and false alarm
    #[arg(long, requires = "evaluate")]
    verbose: bool,
    /// With --evaluate: end with 1 below this recall
    #[arg(
        long,
        requires = "evaluate",
        default_value_t = 0.0,
        value_name = "SHARE"
    )]
    min_recall: f64,
    /// With --evaluate: end with 1 below this precision
    #[arg(
        long,
        requires = "evaluate",
        default_value_t = 0.0,
        value_name = "SHARE"
    )]
    min_precision: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Pretty,
    /// One JSON object
    Json,
}

/// Runs the command and answers its exit code. A reader that went away ends it quietly.
pub(crate) fn run(args: Args) -> anyhow::Result<u8> {
    let result = match &args.evaluate {
        Some(file) => evaluate(file, &args),
        None if args.follow => follow(&args),
        None => diagnose(&args),
    };
    match result {
        Err(error) if is_broken_pipe(&error) => Ok(EXIT_OK),
        result => result,
    }
}

/// Tells what went wrong on standard error: what, why, and the next step.
pub(crate) fn complain(problem: &str, next: Option<&str>) {
    output::complain(&format!("error: {problem}"));
    if let Some(next) = next {
        output::complain(&format!("  next: {next}"));
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// The error and its causes in one line.
fn complain_of(error: &DiagnoseError) {
    let mut problem = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        problem = format!("{problem}: {cause}");
        source = cause.source();
    }
    complain(&problem, error.hint().as_deref());
}

fn options(args: &Args) -> Options {
    Options {
        own_packages: OwnPackages::new(&args.own_packages),
        threads: args.threads,
        ..Options::default()
    }
}

fn diagnose(args: &Args) -> anyhow::Result<u8> {
    let options = options(args);
    let mut unreadable = false;
    let mut results = Vec::new();
    for file in &args.files {
        let is_stdin = file.as_os_str() == "-";
        let file = if is_stdin {
            Path::new("standard input")
        } else {
            file
        };
        let result = if is_stdin {
            patterns::diagnose_reader(file, io::stdin(), &options)
        } else {
            patterns::diagnose_path(file, &options)
        };
        match result {
            Ok(diagnosis) => results.push((file.display().to_string(), diagnosis)),
            Err(error) => {
                complain_of(&error);
                unreadable = true;
            }
        }
    }
    let found = results
        .iter()
        .any(|(_, diagnosis)| !diagnosis.incidents.is_empty());
    let code = if unreadable {
        EXIT_USAGE
    } else if found && args.fail_on_incident {
        EXIT_INCIDENT
    } else {
        EXIT_OK
    };
    let text = match args.format {
        Format::Json => format!("{}\n", as_json(&results, code)?),
        Format::Pretty => {
            let pages: Vec<String> = results
                .iter()
                .map(|(name, diagnosis)| patterns::pretty(name, diagnosis))
                .collect();
            pages.join("\n")
        }
    };
    write_out(&text)?;
    Ok(code)
}

fn as_json(results: &[(String, Diagnosis)], code: u8) -> anyhow::Result<Value> {
    let mut incidents = Vec::new();
    let mut files = Vec::new();
    for (name, diagnosis) in results {
        for incident in &diagnosis.incidents {
            incidents.push(with_file(incident, name)?);
        }
        files.push(json!({
            "file": name,
            "lines": diagnosis.lines,
            "bytes": diagnosis.bytes,
            "omitted": diagnosis.omitted,
            "incomplete": diagnosis.incomplete,
        }));
    }
    let sum = |figure: fn(&Diagnosis) -> u64| -> u64 {
        results.iter().map(|(_, diagnosis)| figure(diagnosis)).sum()
    };
    Ok(json!({
        "incidents": incidents,
        "lines": sum(|diagnosis| diagnosis.lines),
        "bytes": sum(|diagnosis| diagnosis.bytes),
        "files": files,
        "exit_code": code,
        "exit_name": exit_name(code),
    }))
}

fn exit_name(code: u8) -> &'static str {
    match code {
        EXIT_OK => "read",
        EXIT_INCIDENT => "incident",
        _ => "usage",
    }
}

fn with_file(incident: &Incident, name: &str) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(incident).context("an incident is always JSON")?;
    if let Value::Object(fields) = &mut value {
        fields.insert("file".to_owned(), name.into());
    }
    Ok(value)
}

fn write_out(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn follow(args: &Args) -> anyhow::Result<u8> {
    let [file] = args.files.as_slice() else {
        complain(
            "--follow takes one file",
            Some("start one command for each file"),
        );
        return Ok(EXIT_USAGE);
    };
    let state = match &args.state {
        Some(state) => state.clone(),
        None => default_state(file)?,
    };
    let mut follower = match Follower::new(file, &state, options(args)) {
        Ok(follower) => follower,
        Err(error) => {
            complain_of(&error);
            return Ok(EXIT_USAGE);
        }
    };
    let mut told_missing = false;
    loop {
        let poll = match follower.poll() {
            Ok(poll) => poll,
            Err(error) => {
                complain_of(&error);
                return Ok(EXIT_USAGE);
            }
        };
        tell_of_file(file, &poll, &mut told_missing);
        for incident in &poll.incidents {
            write_out(&followed(incident, file, args.format)?)?;
        }
        if let Err(error) = follower.commit() {
            complain_of(&error);
            return Ok(EXIT_USAGE);
        }
        if args.fail_on_incident && !poll.incidents.is_empty() {
            return Ok(EXIT_INCIDENT);
        }
        if args.once {
            return Ok(EXIT_OK);
        }
        std::thread::sleep(Duration::from_millis(args.interval_ms.max(1)));
    }
}

fn tell_of_file(file: &Path, poll: &Poll, told_missing: &mut bool) {
    let mut err = io::stderr().lock();
    // As above: nobody is left to tell.
    let _ = match poll.reset {
        Some(Reset::Rotated) => {
            writeln!(
                err,
                "note: {} is another file now; read from its start",
                file.display()
            )
        }
        Some(Reset::Truncated) => {
            writeln!(
                err,
                "note: {} was truncated; read from its start",
                file.display()
            )
        }
        None if poll.missing && !*told_missing => {
            writeln!(err, "note: {} is not there; waiting for it", file.display())
        }
        None => Ok(()),
    };
    *told_missing = poll.missing;
}

fn followed(incident: &Incident, file: &Path, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Json => format!("{}\n", with_file(incident, &file.display().to_string())?),
        Format::Pretty => format!(
            "{} ({}x, line {}): {}\n  do:   {}\n  next: {}\n",
            incident.pattern,
            incident.count,
            incident.last.line,
            incident.message,
            incident.advice,
            incident.next_command,
        ),
    })
}

/// Below the application's root, one file for each log.
fn default_state(file: &Path) -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder is gone")?;
    let root = match std::env::var_os("BOOT_ROOT") {
        Some(root) => PathBuf::from(root),
        None => {
            let named = here
                .ancestors()
                .find(|folder| folder.join("boot.toml").is_file());
            named.unwrap_or(&here).to_owned()
        }
    };
    let path = std::path::absolute(file).context("the log's path cannot be made absolute")?;
    let name: String = path
        .to_string_lossy()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    Ok(root
        .join("var/boot/follow")
        .join(format!("{}.json", name.trim_matches('-'))))
}

fn evaluate(file: &Path, args: &Args) -> anyhow::Result<u8> {
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) => {
            let problem = format!("`{}` cannot be opened: {error}", file.display());
            complain(
                &problem,
                Some("name a file of {\"text\", \"label\", \"kind\"} lines"),
            );
            return Ok(EXIT_USAGE);
        }
    };
    let own_packages = OwnPackages::new(&args.own_packages);
    let evaluation = match patterns::evaluate(BufReader::new(opened), &own_packages) {
        Ok(evaluation) => evaluation,
        Err(error) => {
            let problem = format!("`{}`: {:#}", file.display(), anyhow::Error::from(error));
            complain(
                &problem,
                Some("each line is one object: {\"text\", \"label\", \"kind\"}"),
            );
            return Ok(EXIT_USAGE);
        }
    };
    write_out(&match args.format {
        Format::Pretty => evaluation.table(args.verbose),
        Format::Json => {
            let mut value = serde_json::to_value(&evaluation).context("figures are JSON")?;
            if let Value::Object(fields) = &mut value {
                fields.insert("recall".to_owned(), evaluation.recall().into());
                fields.insert("precision".to_owned(), evaluation.precision().into());
            }
            format!("{value}\n")
        }
    })?;
    let enough =
        evaluation.recall() >= args.min_recall && evaluation.precision() >= args.min_precision;
    Ok(if enough { EXIT_OK } else { EXIT_INCIDENT })
}
