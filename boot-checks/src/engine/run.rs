use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::artefacts::Artefacts;
use super::incident;
use super::kept::copies_of;
use super::memory::{remember, remember_database};
use super::session::words;
use super::tidy::tidy;
use super::{Door, Recorder, Redactor, Selection, Session, Sink, half_way, notices};
use crate::config::{BootConfig, secret_part};
use crate::context::Context;
use crate::harness;
use crate::host::lock::{GateLock, LockError};
use crate::host::{self, Host};
use crate::model::{BootReport, Ending, Mode, Start, Verdict};
use crate::plan;
use crate::playbooks;
use crate::services::{self, command};

/// What a boot is asked to do.
#[derive(Clone, Debug)]
pub struct BootOptions {
    /// Whether it may change anything.
    pub mode: Mode,
    /// Whether warnings block.
    pub strict: bool,
    /// Whether it stops at the first problem that blocks.
    pub fail_fast: bool,
    /// Which steps.
    pub selection: Selection,
    /// How long it waits for another boot, and for a lock on the database.
    pub lock_timeout: Duration,
    /// Threads of the harness. The outcome is the same for any number.
    pub threads: usize,
    /// Whether a database that vanished may be made anew.
    pub allow_create: bool,
    /// Fingerprints of the plans that a person approved.
    pub approved: Vec<String>,
    /// As [`Start::again`].
    pub again: String,
}

impl Default for BootOptions {
    /// A whole boot that heals.
    fn default() -> BootOptions {
        BootOptions {
            mode: Mode::Heal,
            strict: false,
            fail_fast: false,
            selection: Selection::default(),
            lock_timeout: Duration::from_secs(30),
            threads: 1,
            allow_create: false,
            approved: Vec::new(),
            again: String::new(),
        }
    }
}

/// A line on standard error while the boot has not begun.
type Notify<'a> = &'a (dyn Fn(&str) + Sync);

/// Boots an application: takes the gate's lock, runs the plan, and writes the report, the record and
/// the metrics on every ending. `sinks` see the events as they happen; `on_signal` is called with the
/// finished report when a signal ends the boot, and does not return.
pub fn boot(
    config: BootConfig,
    host: Host,
    options: &BootOptions,
    sinks: Vec<Box<dyn Sink>>,
    notify: Notify<'_>,
    on_signal: impl FnOnce(BootReport) + Send + 'static,
) -> BootReport {
    let redactor = Redactor::new(config.environment.secrets().map(str::to_owned));
    let root = config.root.clone();
    let lock_file = root.join("var/boot/lock");
    let holder = host::self_description(&host);
    let waiting = |holder: &str| notify(&format!("waiting for another boot: {holder}"));
    let lock = GateLock::acquire(&lock_file, &holder, options.lock_timeout, waiting);
    let mut only_looks = None;
    let lock = match lock {
        Ok(lock) => Some(lock),
        Err(error @ LockError::Held { .. }) => {
            let ending = Ending::Refused {
                verdict: Verdict::LockHeld,
                reason: error.to_string(),
            };
            let start = start(&config.application, &root, &host, options);
            return refuse_with(start, &host, &root, ending, redactor, sinks);
        }
        // Where not even a lock file can be made there is no second boot to fear that could write.
        Err(error @ LockError::Unusable { .. }) => {
            notify(&format!("{error}; looking only"));
            only_looks = Some(error.to_string()).filter(|_| options.mode == Mode::Heal);
            None
        }
    };
    let mut options = options.clone();
    if lock.is_none() {
        options.mode = Mode::Observe;
    }
    if let Err(reason) = half_way::settle(&root, options.mode, &options.again) {
        let ending = Ending::Refused {
            verdict: Verdict::Blocked,
            reason,
        };
        let start = start(&config.application, &root, &host, &options);
        return refuse_with(start, &host, &root, ending, redactor, sinks);
    }
    let is_tidy = lock.as_ref().is_some_and(GateLock::was_left_tidy);
    let locked = Locked {
        options: &options,
        is_tidy,
        only_looks,
    };
    let report = boot_locked(config, host, &locked, redactor, sinks, on_signal);
    if let Some(lock) = lock.filter(|_| was_uneventful(&report, is_tidy)) {
        lock.leave_tidy();
    }
    report
}

/// What a boot goes by that holds the gate's lock, or cannot have one.
struct Locked<'a> {
    options: &'a BootOptions,
    /// Whether it is known that no earlier run left temporary files.
    is_tidy: bool,
    /// As [`Context::only_looks`].
    only_looks: Option<String>,
}

/// Whether nothing went wrong and nothing was tried that could have left something behind, in a boot that
/// tidied up or had no need to.
fn was_uneventful(report: &BootReport, was_tidy: bool) -> bool {
    let has_tidied = was_tidy || report.start.mode == Mode::Heal;
    let is_success = report.verdict() == Verdict::MayStart && report.unproven.is_none();
    has_tidied && is_success && report.steps().all(|step| step.repairs().is_empty())
}

/// Ends a boot that never began, with its report and its record below `root`.
pub fn refuse(
    application: &str,
    root: &Path,
    host: &Host,
    options: &BootOptions,
    ending: Ending,
    sinks: Vec<Box<dyn Sink>>,
) -> BootReport {
    let secrets = host
        .variables
        .iter()
        .filter_map(|(name, value)| secret_part(name, value));
    let redactor = Redactor::new(secrets.map(str::to_owned));
    let start = start(application, root, host, options);
    refuse_with(start, host, root, ending, redactor, sinks)
}

/// Ends a boot whose root is not known: there is no place for a report.
pub fn refuse_without_root(
    host: &Host,
    options: &BootOptions,
    ending: Ending,
    sinks: Vec<Box<dyn Sink>>,
) -> BootReport {
    let start = start("the application", Path::new(""), host, options);
    Recorder::begin(start, Redactor::new([]), sinks).finish(ending)
}

fn refuse_with(
    mut start: Start,
    host: &Host,
    root: &Path,
    ending: Ending,
    redactor: Redactor,
    mut sinks: Vec<Box<dyn Sink>>,
) -> BootReport {
    let artefacts = Artefacts::reserve(host, root, &mut start);
    sinks.push(Box::new(artefacts));
    Recorder::begin(start, redactor, sinks).finish(ending)
}

/// What is known when a boot begins.
fn start(application: &str, root: &Path, host: &Host, options: &BootOptions) -> Start {
    Start {
        run_id: host.clock.compact(),
        timestamp: host.clock.timestamp(),
        application: application.to_owned(),
        root: root.display().to_string(),
        mode: options.mode,
        strict: options.strict,
        plan: plan::planned(|id| options.selection.reason_to_skip(id)),
        again: options.again.clone(),
    }
}

fn boot_locked(
    config: BootConfig,
    host: Host,
    locked: &Locked<'_>,
    redactor: Redactor,
    mut sinks: Vec<Box<dyn Sink>>,
    on_signal: impl FnOnce(BootReport) + Send + 'static,
) -> BootReport {
    let Locked {
        options, is_tidy, ..
    } = *locked;
    let mut start = start(&config.application, &config.root, &host, options);
    let artefacts = Artefacts::reserve(&host, &config.root, &mut start);
    sinks.push(Box::new(artefacts.where_tidy(is_tidy)));
    if options.mode == Mode::Heal && !is_tidy {
        tidy(&config.root, config.database.value.path.as_deref());
    }
    let door = Door::new(&config.root, &start.run_id);
    let recorder = Arc::new(Recorder::begin(start, redactor, sinks));

    let for_signals = Arc::clone(&recorder);
    let interrupted = move |signal| {
        command::stop_running();
        on_signal(for_signals.finish(Ending::Interrupted { signal }));
    };
    if let Err(error) = host::on_termination(interrupted) {
        let message = format!("cannot listen for signals: {error}");
        return recorder.finish(Ending::Panicked { message });
    }

    let mut cx = context(config, host, options.mode, options.lock_timeout, &recorder);
    cx.only_looks.clone_from(&locked.only_looks);
    cx.allow_create = options.allow_create;
    // Who asks for a part has a reason to.
    cx.looks_at_every_page = options.selection != Selection::default();
    cx.approved.clone_from(&options.approved);
    let cx = Arc::new(cx);
    if cx.mode == Mode::Heal {
        // Before the first change: a kill must not leave a database that nobody knows of.
        remember_database(&cx);
    }
    let selection = options.selection.clone();
    let session = Arc::new(Session::new(
        Arc::clone(&cx),
        door,
        Arc::clone(&recorder),
        selection,
        options.fail_fast,
    ));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        harness::run_silently(&options.selection, &session, options.threads);
    }));
    let ending = match ran {
        Ok(()) => session.ending(),
        Err(panic) => Ending::Panicked {
            message: words(&*panic).to_owned(),
        },
    };
    cx.refresh();
    let report = recorder.finish(ending);
    remember(&cx, &report);
    if cx.mode == Mode::Heal && services::notices::file(&cx.state_folder()).exists() {
        notices::tidy(&cx.state_folder());
    }
    // Where it cannot be written, the record tells what happened all the same.
    let _ = incident::leave(&cx, &recorder, &report);
    report
}

pub(super) fn context(
    config: BootConfig,
    host: Host,
    mode: Mode,
    lock_budget: Duration,
    recorder: &Arc<Recorder>,
) -> Context {
    let recorder = Arc::clone(recorder);
    let on_wait = move |reason: &str| recorder.waiting(reason);
    let registry = playbooks::registered();
    let mut cx = Context::new(config, host, mode, registry, lock_budget, on_wait);
    cx.kept_copies = copies_of;
    cx
}
