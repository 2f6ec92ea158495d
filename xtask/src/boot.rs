//! `cargo xtask boot`: may the application start?

use std::io;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use boot_checks::config::ConfigError;
use boot_checks::engine::{self, BootOptions, Selection, Sink};
use boot_checks::harness;
use boot_checks::host::Host;
use boot_checks::model::{BootReport, Ending, Event, Mode, StageId, Verdict};
use boot_checks::plan;
use boot_checks::report::{self, Console, Format, Style};

use crate::application::ApplicationArgs;
use crate::duration;
use crate::file_report::{FileReport, FileSink};
use crate::output::{self, Color};

/// Run the eight stages and say whether the application may start
///
/// Looks, heals what it may, looks again, and leaves its proof in logs/last_boot_report.txt and
/// grace_training/startup_failures/.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only checks whose name contains this, with what they need
    filter: Option<String>,

    #[command(flatten)]
    pub(crate) application: ApplicationArgs,

    /// Look only; change nothing but this run's own report
    #[arg(long)]
    observe: bool,

    /// Print what would be run, and run nothing
    #[arg(long, conflicts_with = "list")]
    plan: bool,

    /// Print the names of the checks, one a line, without looking at anything
    #[arg(long)]
    list: bool,

    /// FILTER and --skip are whole names
    #[arg(long)]
    exact: bool,

    /// No checks whose name contains this (repeatable)
    #[arg(long, value_name = "FILTER")]
    skip: Vec<String>,

    /// Only this stage, by name or number (repeatable)
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    stage: Vec<StageId>,

    /// Warnings block too (exit code 5)
    #[arg(long)]
    strict: bool,

    /// Stop at the first problem that blocks
    #[arg(long)]
    fail_fast: bool,

    /// How long to wait for another boot or for a lock on the database, such as 30s or 500ms
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    lock_timeout: Duration,

    /// Make a new database where an earlier one has vanished
    #[arg(long)]
    allow_create: bool,

    /// Carry out the plan with this fingerprint, which a boot showed and a person read (repeatable)
    #[arg(long, value_name = "PLAN")]
    approve: Vec<String>,

    /// What to print: pretty, json, junit, text or prometheus
    #[arg(long, value_name = "FORMAT", default_value = "pretty", value_parser = printed_format)]
    format: Format,

    /// Write a report to a file as well, as FORMAT:PATH (repeatable)
    #[arg(long, value_name = "FORMAT:PATH", value_parser = FileReport::from_str)]
    report: Vec<FileReport>,

    /// Threads of the harness; the outcome is the same for any number
    #[arg(long, value_name = "N", default_value_t = 1)]
    test_threads: usize,

    /// When to use colours
    #[arg(long, value_enum, default_value_t)]
    color: Color,
}

/// As a shell says that a program was asked to stop (128 and the number of SIGTERM).
pub(crate) const STOPPED: u8 = 143;

impl Args {
    /// The option that keeps this from being a whole boot.
    pub(crate) fn leaves_out(&self) -> Option<&'static str> {
        let options = [
            ("FILTER", self.filter.is_some()),
            ("--skip", !self.skip.is_empty()),
            ("--stage", !self.stage.is_empty()),
            ("--list", self.list),
            ("--plan", self.plan),
        ];
        let given = options.into_iter().find(|(_, is_given)| *is_given);
        given.map(|(name, _)| name)
    }
}

const EXAMPLES: &str = "Examples:
  cargo xtask boot                              boot the application in this folder
  cargo xtask boot --root /srv/grace            boot another one
  cargo xtask boot --observe                    look only
  cargo xtask boot preflight                    only the checks of stage 1
  cargo xtask boot --format json | jq .summary  for programs
  cargo xtask boot --report junit:boot.xml      for CI servers

Exit codes: 0 may start, 1 blocked, 2 usage, 3 a heal failed, 4 nothing was checked, 5 warnings under
--strict, 7 another boot holds the lock, 8 needs approval, 70 a bug of the gate, 78 configuration";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let selection = Selection {
        filter: args.filter.clone(),
        exact: args.exact,
        skip: args.skip.clone(),
        stages: args.stage.clone(),
        playbook: None,
    };
    if let Err(error) = selection.validate() {
        output::complain(&format!("error: {error}"));
        if let Some(suggestion) = error.suggestion {
            output::complain(&format!("  did you mean `{suggestion}`?"));
        }
        output::complain("  `cargo xtask boot --list` prints all names");
        return Ok(Verdict::Usage.exit_code());
    }
    if args.list {
        output::data(&lines(harness::names(&selection)))?;
        return Ok(0);
    }
    if args.plan {
        output::data(&planned(&selection))?;
        return Ok(0);
    }
    let report = boot(args, selection)?;
    // Without a configuration there may be no place for a report: its own message is all there is to say.
    let is_promised = report.verdict() != Verdict::Config;
    if let Some(error) = report.unproven.as_ref().filter(|_| is_promised) {
        let code = report.verdict().exit_code();
        output::complain(&format!(
            "error: the report could not be written, and a start without proof is none (exit code {code}): {error}"
        ));
    }
    let delivered = deliver(args.format, &report);
    if let Err(error) = &delivered {
        output::complain(&format!("error: cannot write to standard output: {error}"));
    }
    match report.verdict() {
        Verdict::MayStart if delivered.is_err() => Ok(Verdict::Blocked.exit_code()),
        verdict => Ok(verdict.exit_code()),
    }
}

fn boot(args: &Args, selection: Selection) -> anyhow::Result<BootReport> {
    let host = Host::real().context("the current folder is gone")?;
    let options = BootOptions {
        mode: if args.observe {
            Mode::Observe
        } else {
            Mode::Heal
        },
        strict: args.strict,
        fail_fast: args.fail_fast,
        selection,
        lock_timeout: args.lock_timeout,
        threads: args.test_threads,
        allow_create: args.allow_create,
        approved: args.approve.clone(),
        again: args.application.again(),
    };
    let sinks = sinks(args, &host);
    let config = match args.application.load(&host) {
        Ok(config) => config,
        Err(error) => return Ok(refused(args, &host, &options, &error, sinks)),
    };
    let format = args.format;
    let on_signal = move |report: BootReport| {
        if !matches!(report.ending, Some(Ending::Interrupted { .. })) {
            // The boot has ended and told so; but who sent the signal wants nothing to be started.
            std::process::exit(STOPPED.into());
        }
        // The exit code says the same to whoever cannot read it.
        let _ = deliver(format, &report);
        // The boot's own thread may be waiting for a lock; whatever it was writing can be killed.
        std::process::exit(report.verdict().exit_code().into());
    };
    Ok(engine::boot(
        config,
        host,
        &options,
        sinks,
        &|line| output::complain(line),
        on_signal,
    ))
}

/// A configuration that cannot be understood: the report says so, where there is a root to put it.
fn refused(
    args: &Args,
    host: &Host,
    options: &BootOptions,
    error: &ConfigError,
    sinks: Vec<Box<dyn Sink>>,
) -> BootReport {
    let reason = format!("{error}; {}", error.hint());
    let ending = Ending::Refused {
        verdict: Verdict::Config,
        reason,
    };
    let root = args.application.root(host);
    match &root {
        Some(root) => engine::refuse("the application", root, host, options, ending, sinks),
        None => engine::refuse_without_root(host, options, ending, sinks),
    }
}

fn sinks(args: &Args, host: &Host) -> Vec<Box<dyn Sink>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if args.format == Format::Pretty {
        sinks.push(Box::new(ConsoleSink::new(host.clone(), args.color.style())));
    }
    for report in &args.report {
        sinks.push(Box::new(FileSink::new(report)));
    }
    sinks
}

/// What is printed at the end; the console has shown its own as it happened.
fn deliver(format: Format, report: &BootReport) -> io::Result<()> {
    match format {
        Format::Pretty => Ok(()),
        format => output::data(&render(format, report)),
    }
}

pub(crate) fn render(format: Format, report: &BootReport) -> String {
    match format {
        Format::Pretty => report::pretty(
            report,
            Style {
                color: false,
                width: 80,
            },
        ),
        Format::Json => report::json(report),
        Format::Junit => report::junit(report),
        Format::Text => report::text(report),
        Format::Prometheus => report::prometheus(report, &jiff::tz::TimeZone::system()),
    }
}

/// Shows the boot as it happens. An output that cannot be written is remembered: the application's
/// goes to the same place.
struct ConsoleSink {
    console: Console<io::Stdout>,
    host: Host,
}

impl ConsoleSink {
    fn new(host: Host, style: Style) -> ConsoleSink {
        ConsoleSink {
            console: Console::new(io::stdout(), style),
            host,
        }
    }
}

impl Sink for ConsoleSink {
    fn event(&mut self, event: &Event, report: &BootReport) {
        self.console.unproven(report.unproven.clone());
        if let Err(error) = self.console.event(event) {
            if !self.host.output_is_broken() && error.kind() != io::ErrorKind::BrokenPipe {
                output::complain(&format!("error: cannot write to standard output: {error}"));
            }
            self.host.note_output_error(&error);
        }
    }
}

fn planned(selection: &Selection) -> String {
    let mut text = String::new();
    for stage in plan::planned(|id| selection.reason_to_skip(id)) {
        text.push_str(&format!("{}\n", stage.id));
        for step in stage.steps {
            let metas = step.playbooks.iter();
            let heals: Vec<String> = metas
                .map(|meta| format!("{} ({}, {})", meta.id, meta.risk, meta.tier))
                .collect();
            let heals = match heals.as_slice() {
                [] => String::new(),
                heals => format!("; heals with {}", heals.join(" or ")),
            };
            let skipped = step
                .skip_reason
                .map_or(String::new(), |reason| format!("; skip: {reason}"));
            let on_failure = format!("{:?}", step.on_failure).to_lowercase();
            text.push_str(&format!("  {}: {on_failure}{heals}{skipped}\n", step.id));
        }
    }
    text
}

fn lines(names: Vec<String>) -> String {
    names.into_iter().map(|name| name + "\n").collect()
}

fn stage(text: &str) -> Result<StageId, String> {
    StageId::parse(text).ok_or_else(|| {
        let names = StageId::ALL.map(StageId::slug).join(", ");
        format!("stages are {names}, or 1 to 8")
    })
}

fn printed_format(text: &str) -> Result<Format, String> {
    Format::from_str(text).map_err(|error| error.to_string())
}
