use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::redact::Redactor;
use crate::model::{BootReport, Ending, Event, Start, StepId, complete_commands};

/// Takes the events of a boot as they happen. The whole report comes with the last one.
pub trait Sink: Send {
    /// One more event; secrets are out of it already.
    fn event(&mut self, event: &Event, report: &BootReport);

    /// Whether it leaves something that says how the boot ended. Such sinks take every event first, so
    /// that the others can say whether it could be left.
    fn is_evidence(&self) -> bool {
        false
    }

    /// Why it could not be left.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// The event stream of one boot: every event passes the redactor once and then reaches every sink.
/// The last event is [`Event::BootFinished`], exactly once, whoever ends the boot.
pub struct Recorder {
    state: Mutex<State>,
}

struct State {
    redactor: Redactor,
    started: Instant,
    report: BootReport,
    current: Option<StepId>,
    sinks: Vec<Box<dyn Sink>>,
}

impl Recorder {
    /// Begins the stream.
    pub fn begin(start: Start, redactor: Redactor, sinks: Vec<Box<dyn Sink>>) -> Recorder {
        let event = redactor.event(Event::BootStarted(start));
        let Event::BootStarted(start) = &event else {
            unreachable!("the redactor keeps the kind")
        };
        let report = BootReport::new(start.clone());
        let mut state = State {
            redactor,
            started: Instant::now(),
            report,
            current: None,
            sinks,
        };
        state.deliver(&event);
        Recorder {
            state: Mutex::new(state),
        }
    }

    /// Adds an event, unless the boot has ended.
    pub fn record(&self, event: Event) {
        self.lock().add(event);
    }

    /// Says what the step that runs now waits for.
    pub fn waiting(&self, reason: &str) {
        let mut state = self.lock();
        if let Some(step) = state.current {
            state.add(Event::Waiting {
                step,
                reason: reason.to_owned(),
            });
        }
    }

    /// The text without the secrets of this boot, for what is no event.
    pub fn clean(&self, text: &str) -> String {
        self.lock().redactor.text(text)
    }

    /// Ends the stream, unless it has ended, and answers the whole report.
    pub fn finish(&self, ending: Ending) -> BootReport {
        let mut state = self.lock();
        let duration = state.started.elapsed();
        state.add(Event::BootFinished { ending, duration });
        state.report.clone()
    }

    /// A sink that panicked must not keep the ending from being recorded.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, event: Event) {
        if self.report.ending.is_some() {
            return;
        }
        if let Event::StepStarted(step) = event {
            self.current = Some(step);
        }
        let mut event = self.redactor.event(event);
        event.for_each_text(&mut |text| complete_commands(text, &self.report.start.again));
        self.report.apply(&event);
        self.deliver(&event);
    }

    fn deliver(&mut self, event: &Event) {
        let (evidence, others): (Vec<_>, Vec<_>) =
            self.sinks.iter_mut().partition(|sink| sink.is_evidence());
        for sink in evidence {
            sink.event(event, &self.report);
            if self.report.unproven.is_none() {
                self.report.unproven = sink.failure();
            }
        }
        for sink in others {
            sink.event(event, &self.report);
        }
    }
}
