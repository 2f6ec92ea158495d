use std::io::{self, Write};

use super::attempt::attempt;
use super::page::{Page, Style, Tag};
use super::stage_end::StageEnd;
use super::summary;
use super::words::{OBSERVED, PARTIAL, Reason, UNPROVEN, count, seconds};
use crate::model::{
    BootReport, Decision, Event, Finding, Mode, PlannedStep, Repair, StageId, Start, StepId,
    StepOutcome, StepReport,
};

/// Problems of one step that are shown; the report and the record have them all.
const MAX_PROBLEMS: usize = 8;

/// Healed problems of one step that are named; the record has them all.
const MAX_HEALED: usize = 3;

/// A step that took longer says how long.
const SLOW_MS: u128 = 1_000;

/// Streams a boot to a terminal as it happens (SPEC.md, "Usage").
#[derive(Debug)]
pub struct Console<W> {
    out: W,
    page: Page,
    report: Option<BootReport>,
    /// The stage that runs now and has no header yet. It gets none when nothing is run in it.
    waiting_header: Option<StageId>,
    /// Steps of that stage that were not run.
    idle: Vec<(StepId, Tag, String)>,
    /// Heals of the step that runs now.
    repairs: Vec<Repair>,
}

impl<W: Write> Console<W> {
    /// A console that writes to `out`: once for each event that has something to show.
    pub fn new(out: W, style: Style) -> Console<W> {
        Console {
            out,
            page: Page::new(style),
            report: None,
            waiting_header: None,
            idle: Vec::new(),
            repairs: Vec::new(),
        }
    }

    /// Shows one event, at once.
    ///
    /// # Errors
    ///
    /// Whatever the writer says; a closed pipe is [`io::ErrorKind::BrokenPipe`].
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::BootStarted(start) => self.report = Some(BootReport::new(start.clone())),
            _ => self.report.iter_mut().for_each(|it| it.apply(event)),
        }
        self.show(event);
        let text = self.page.take();
        if text.is_empty() {
            return Ok(());
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Takes note of why the evidence of this boot could not be left, before the last event.
    pub fn unproven(&mut self, why: Option<String>) {
        if let Some(report) = &mut self.report {
            report.unproven = why;
        }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::BootStarted(start) => banner(&mut self.page, start),
            Event::StageStarted(id) => self.waiting_header = Some(*id),
            Event::StepStarted(_) => self.header(),
            Event::RepairStarted { playbook, .. } => {
                self.header();
                let line = format!("Running {playbook} ...");
                self.page.tagged(2, Tag::Fix, &line);
            }
            Event::RepairFinished { repair, .. } => self.repairs.push(repair.clone()),
            Event::Waiting { step, reason } => {
                self.header();
                let line = format!("{step}: {reason} ...");
                self.page.tagged(2, Tag::Wait, &line);
            }
            Event::StepFinished(step) => self.step(step),
            Event::StageFinished(_) => self.stage_finished(),
            Event::BootFinished { .. } => {
                if let Some(report) = &self.report {
                    summary::show(&mut self.page, report);
                }
            }
        }
    }

    /// The stage's header, and the steps before this one that were not run.
    fn header(&mut self) {
        let Some(id) = self.waiting_header.take() else {
            return;
        };
        self.page.blank();
        self.page.header(&id.to_string());
        let planned = self.report.iter().flat_map(|it| &it.start.plan);
        let steps = planned.filter(|it| it.id == id).flat_map(|it| &it.steps);
        let number = steps.filter(|step| step.skip_reason.is_none()).count();
        if number > 0 {
            let line = format!("Running {}...", count(number, "check"));
            self.page.tagged(0, Tag::Check, &line);
        }
        for (step, tag, reason) in std::mem::take(&mut self.idle) {
            let line = format!("{} - {reason}", self.title(step));
            self.page.tagged(2, tag, &line);
        }
    }

    fn step(&mut self, step: &StepReport) {
        let seen = std::mem::take(&mut self.repairs);
        let idle = match &step.outcome {
            StepOutcome::Skipped { reason } => Some((Tag::Skip, reason.clone())),
            StepOutcome::NotRun { blocked_by } => {
                Some((Tag::NotRun, format!("blocked by {blocked_by}")))
            }
            _ => None,
        };
        if let Some((tag, reason)) = idle {
            if self.waiting_header.is_some() {
                self.idle.push((step.id, tag, reason));
            } else {
                let line = format!("{} - {reason}", self.title(step.id));
                self.page.tagged(2, tag, &line);
            }
            return;
        }
        self.header();
        let (tag, body) = self.outcome_line(step);
        if let Some(body) = body {
            self.page.tagged(2, tag, &body);
        }
        self.problems(tag, step);
        let repairs = match step.repairs() {
            // A note says what came of them where all is well.
            [] if tag != Tag::Ok => &seen,
            repairs => repairs,
        };
        for repair in repairs.iter().filter(|repair| !repair.is_verified()) {
            self.repair(repair);
        }
        // Below the text of the line, or in the column of a problem's details.
        let (indent, width) = if tag == Tag::Ok { (7, 7) } else { (9, 8) };
        for note in &step.notes {
            self.page.field(indent, "note:", width, note);
        }
    }

    /// The tag of a step that was run, and the line that says it all where it ended well.
    fn outcome_line(&self, step: &StepReport) -> (Tag, Option<String>) {
        let took = if step.duration.as_millis() > SLOW_MS {
            format!(" ({})", seconds(step.duration))
        } else {
            String::new()
        };
        let title = self.title(step.id);
        match &step.outcome {
            StepOutcome::Fixed { problems, repairs } => {
                let by: Vec<String> = repairs
                    .iter()
                    .map(|it| format!("{} ({})", it.playbook, it.summary))
                    .collect();
                let line = format!(
                    "{title} - fixed by {} and checked again; was: {}{took}",
                    by.join(", "),
                    was(problems)
                );
                (Tag::Fix, Some(line))
            }
            StepOutcome::Warned { .. } => (Tag::Warn, None),
            StepOutcome::Failed { .. } => (Tag::Fail, None),
            StepOutcome::Errored { .. } => (Tag::Error, None),
            _ if step.observed.is_empty() => (Tag::Ok, Some(format!("{title}{took}"))),
            _ => (Tag::Ok, Some(format!("{title} - {}{took}", step.observed))),
        }
    }

    fn problems(&mut self, tag: Tag, step: &StepReport) {
        let reasons = Reason::of_step(step);
        for reason in reasons.iter().take(MAX_PROBLEMS) {
            self.page.tagged(2, tag, &reason.what);
            summary::details(&mut self.page, 9, reason);
        }
        let hidden = reasons.len().saturating_sub(MAX_PROBLEMS);
        if hidden > 0 {
            let line = format!("... and {hidden} more of {}, in the report", step.id);
            self.page.tagged(2, tag, &line);
        }
    }

    /// An attempt that did not heal.
    fn repair(&mut self, repair: &Repair) {
        let again = self.report.as_ref().map_or("", |it| &it.start.again);
        self.page.field(9, "fix:", 8, &attempt(repair, again));
        for line in repair.proposal.iter().flat_map(|diff| diff.lines()) {
            self.page.verbatim(17, line);
        }
    }

    fn stage_finished(&mut self) {
        let Some(stage) = self.report.as_ref().and_then(|it| it.stages.last()) else {
            return;
        };
        let (tag, line) = StageEnd::from(stage).line();
        let reasons: Vec<&String> = self.idle.iter().map(|(_, _, reason)| reason).collect();
        let is_idle = self.waiting_header.is_some();
        match self.idle.first() {
            Some((_, tag, reason)) if is_idle && reasons.iter().all(|it| *it == reason) => {
                let line = format!("{} - {reason}", stage.id);
                self.page.blank();
                self.page.tagged(0, *tag, &line);
            }
            _ => {
                self.header();
                self.page.tagged(0, tag, &line);
            }
        }
        self.waiting_header = None;
        self.idle.clear();
    }

    fn title(&self, id: StepId) -> &'static str {
        let planned = self.report.iter().flat_map(|it| &it.start.plan);
        let mut steps = planned.flat_map(|stage| &stage.steps);
        let step: Option<&PlannedStep> = steps.find(|step| step.id == id);
        step.map_or(id.name, |step| step.title)
    }
}

/// The boot as a terminal would have shown it, from its report.
pub fn pretty(report: &BootReport, style: Style) -> String {
    let mut console = Console::new(Vec::new(), style);
    let mut events = vec![Event::BootStarted(report.start.clone())];
    for stage in &report.stages {
        events.push(Event::StageStarted(stage.id));
        events.extend(stage.steps.iter().cloned().map(Event::StepFinished));
        events.push(Event::StageFinished(stage.id));
    }
    if let Some(ending) = report.ending.clone() {
        events.push(Event::BootFinished {
            ending,
            duration: report.duration,
        });
    }
    for event in &events {
        console.unproven(report.unproven.clone());
        let written = console.event(event);
        debug_assert!(written.is_ok(), "memory takes every write");
    }
    String::from_utf8_lossy(&console.into_inner()).into_owned()
}

fn banner(page: &mut Page, start: &Start) {
    let name = start.application.to_uppercase();
    page.header(&format!(
        "{name} BOOT PIPELINE - {} STAGES",
        StageId::ALL.len()
    ));
    if !start.root.is_empty() {
        page.field(0, "Root:", 7, &start.root);
    }
    page.field(0, "Run:", 7, &start.run_id);
    if start.mode == Mode::Observe {
        page.field(0, "Mode:", 7, "observe: looks only, changes nothing");
    }
    if start.is_partial() {
        page.field(0, "Note:", 7, PARTIAL);
    }
}

/// What a healed step had been.
fn was(problems: &[Finding]) -> String {
    let named = problems.iter().take(MAX_HEALED);
    let mut was: Vec<&str> = named.map(|it| it.message.as_str()).collect();
    let more = format!("... and {} more", problems.len() - was.len());
    if problems.len() > MAX_HEALED {
        was.push(&more);
    }
    was.join("; ")
}

/// Said in the final block of a run that only looked.
pub(super) fn observed_line(report: &BootReport) -> String {
    let repairs = report.steps().flat_map(StepReport::repairs);
    let mut names: Vec<&str> = repairs
        .filter(|it| it.decision == Decision::ObserveOnly)
        .map(|it| it.playbook)
        .collect();
    names.sort_unstable();
    names.dedup();
    let observed = match report.unproven {
        None => OBSERVED,
        Some(_) => UNPROVEN,
    };
    match names.is_empty() {
        true => observed.to_owned(),
        false => format!("{observed}; would run {}", names.join(", ")),
    }
}
