//! The five steps: reproduce, find, heal, verify, undo.

use std::collections::BTreeMap;

use boot_checks::model::RecordStep;
use boot_checks::patterns::{Embedded, Fixture, Outcome, Pattern, Restored};
use serde_json::{Value, json};

use super::arrange::{arrange, lay_out};
use super::gate::{Boot, Gate};
use super::probe::{self, Probed};
use super::report::{Status, Step};
use super::sandbox::{DATABASE, Sandbox};
use super::tree::{Rows, Tree, rows};
use super::words::Words;

/// Names of the five steps.
pub(super) const NAMES: [&str; 5] = ["reproduce", "find", "heal", "verify", "undo"];

/// What is done in a step.
type Work<'a> = fn(&mut Incident<'a>) -> Result<(), Miss>;

/// What was seen in a step, in order.
type Seen = serde_json::Map<String, Value>;

/// Why a step did not hold.
pub(super) enum Miss {
    /// Something else was seen than expected.
    NotHeld(String),
    /// This machine cannot show it.
    Unmet(String),
}

impl From<anyhow::Error> for Miss {
    fn from(error: anyhow::Error) -> Miss {
        Miss::NotHeld(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Miss {
    fn from(error: std::io::Error) -> Miss {
        Miss::NotHeld(error.to_string())
    }
}

/// How the application was when the incident had been made.
struct Before {
    tree: Tree,
    /// None where the database cannot be read.
    rows: Option<Rows>,
}

/// One incident on its way through the five steps.
pub(super) struct Incident<'a> {
    pub(super) pattern: &'static Pattern,
    embedded: &'static Embedded,
    pub(super) fixture: Fixture,
    pub(super) sandbox: &'a mut Sandbox,
    pub(super) is_approved: bool,
    pub(super) words: Words,
    before: Option<Before>,
    /// Runs that may have changed something, oldest first.
    pub(super) runs: Vec<String>,
    seen: Seen,
}

impl<'a> Incident<'a> {
    pub(super) fn new(
        pattern: &'static Pattern,
        embedded: &'static Embedded,
        sandbox: &'a mut Sandbox,
        is_approved: bool,
    ) -> Incident<'a> {
        Incident {
            pattern,
            embedded,
            fixture: embedded.fixture(),
            words: Words::default(),
            sandbox,
            is_approved,
            before: None,
            runs: Vec::new(),
            seen: Seen::new(),
        }
    }

    /// How it is to end.
    pub(super) fn outcome(&self) -> Outcome {
        let expect = &self.fixture.expect;
        match expect.approved {
            Some(approved) if self.is_approved => approved,
            _ => expect.outcome,
        }
    }

    /// Takes it through the steps; only through the first two where it is only to be observed.
    pub(super) fn run(mut self, only_observe: bool) -> Vec<Step> {
        let steps: [Work<'a>; 5] = [
            Self::reproduce,
            Self::find,
            Self::heal,
            Self::verify,
            Self::undo,
        ];
        let mut done = Vec::new();
        let mut goes_on = true;
        for (number, (name, step)) in NAMES.into_iter().zip(steps).enumerate() {
            let is_wanted = goes_on && !(only_observe && number >= 2);
            let (status, why) = match is_wanted.then(|| step(&mut self)) {
                None => (Status::NotRun, None),
                Some(Ok(())) => (Status::Held, None),
                Some(Err(Miss::NotHeld(why))) => (Status::NotHeld, Some(why)),
                Some(Err(Miss::Unmet(why))) => (Status::Unmet, Some(why)),
            };
            goes_on &= status == Status::Held;
            done.push(Step {
                name: name.to_owned(),
                status,
                why: why.map(|why| self.words.text(&why)),
                seen: std::mem::take(&mut self.seen),
            });
        }
        done
    }

    /// The state is made for real, and the error that the application gets is shown.
    fn reproduce(&mut self) -> Result<(), Miss> {
        let variables = self.fixture.environment.clone();
        self.see("state", json!(self.fixture.title));
        self.see("environment", assignments(&variables));
        self.sandbox.variables.extend(variables);
        lay_out(self.sandbox, self.embedded)?;
        let mut made = Vec::new();
        let (quiet, live): (Vec<_>, Vec<_>) = std::mem::take(&mut self.fixture.arrange)
            .into_iter()
            .partition(|it| !it.is_live());
        for it in &quiet {
            made.push(arrange(self.sandbox, it)?);
        }
        self.before = Some(self.state()?);
        for it in &live {
            made.push(arrange(self.sandbox, it)?);
        }
        self.words = Words::of(self.sandbox);
        self.see("made", json!(made));
        let mut shown = Vec::new();
        for probe in &self.fixture.errors {
            shown.push(self.error(probe)?);
        }
        self.see("error", json!(shown));
        self.see("recognised as", json!(self.pattern.id));
        self.unchanged("bringing the error about")
    }

    /// The error that a probe brings about, which must be this incident's.
    fn error(&self, probe: &boot_checks::patterns::Probe) -> Result<String, Miss> {
        let says = probe.says();
        let text = match probe::probe(self.sandbox, probe)? {
            Probed::Error(text) => text,
            Probed::NoError => return Err(Miss::NotHeld(format!("no error came: {says}"))),
            Probed::NotPossible(why) => return Err(Miss::Unmet(format!("not shown: {why}"))),
        };
        if !text.contains(says) {
            return Err(Miss::NotHeld(format!("another error came: {text}")));
        }
        let recognised = probe::recognised(&text);
        if recognised != [self.pattern.id] {
            let why = format!("recognised as {recognised:?}: {text}");
            return Err(Miss::NotHeld(why));
        }
        let line = text.lines().find(|line| line.contains(says));
        let line = self.words.text(line.unwrap_or(says).trim());
        Ok(format!("{}: {line}", probe::by(probe)))
    }

    /// The gate, which only looks, finds it and names the pattern.
    fn find(&mut self) -> Result<(), Miss> {
        let boot = Gate::of(self.sandbox).observe()?;
        self.found_in(&boot)?;
        self.see_verdict(&boot);
        self.unchanged("looking")
    }

    fn found_in(&mut self, boot: &Boot) -> Result<(), Miss> {
        let expect = self.fixture.expect.clone();
        let step = step_of(boot, &expect.step)?;
        let problem = step.problems.iter().find(|it| it["code"] == *expect.code);
        let Some(problem) = problem.filter(|_| step.status == expect.status) else {
            let found: Vec<&str> = step
                .problems
                .iter()
                .filter_map(|problem| problem["code"].as_str())
                .collect();
            let why = format!(
                "{} is {} with {found:?}, expected {} with {}",
                step.id, step.status, expect.status, expect.code
            );
            return Err(Miss::NotHeld(why));
        };
        if problem["pattern"] != *self.pattern.id {
            let why = format!("{} names the pattern {}", step.id, problem["pattern"]);
            return Err(Miss::NotHeld(why));
        }
        let message = self.words.text(problem["message"].as_str().unwrap_or(""));
        self.see("found by", json!(format!("{}: {}", step.id, step.status)));
        self.see("finding", json!(format!("{}: {message}", expect.code)));
        self.see("pattern", json!(self.pattern.id));
        Ok(())
    }

    /// The same check passes in another process, and the error does not come any more.
    fn verify(&mut self) -> Result<(), Miss> {
        match self.outcome() {
            // Nothing was done, so it must still be found.
            Outcome::Proposal => {
                let boot = Gate::of(self.sandbox).observe()?;
                self.found_in(&boot)?;
                self.see_verdict(&boot);
                return Ok(());
            }
            Outcome::Advice => {
                let mut done = Vec::new();
                for it in &self.fixture.remedy {
                    done.push(arrange(self.sandbox, it)?);
                }
                self.see("advice followed", json!(done));
            }
            _ => {}
        }
        let boot = Gate::of(self.sandbox).observe()?;
        let step = step_of(&boot, &self.fixture.expect.step)?;
        if step.status != "pass" {
            let why = format!("{} is {}: {:?}", step.id, step.status, step.problems);
            return Err(Miss::NotHeld(why));
        }
        let line = format!("{}: pass, {}", step.id, self.words.text(&step.observed));
        self.see("step", json!(line));
        let again = boot.steps().flat_map(|step| &step.problems);
        if again
            .into_iter()
            .any(|it| it["pattern"] == *self.pattern.id)
        {
            return Err(Miss::NotHeld("another step finds it still".to_owned()));
        }
        for probe in &self.fixture.errors {
            if probe.is_for_show() {
                continue;
            }
            if let Probed::Error(text) = probe::probe(self.sandbox, probe)? {
                return Err(Miss::NotHeld(format!("the error still comes: {text}")));
            }
        }
        self.see("error", json!("does not come any more"));
        self.see_verdict(&boot);
        Ok(())
    }

    /// What was done is taken back; the application is as it was in the first step.
    fn undo(&mut self) -> Result<(), Miss> {
        let outcome = self.outcome();
        if outcome == Outcome::Advice
            && let Some(before) = &self.before
        {
            before.tree.put_back(&self.sandbox.root())?;
        }
        let mut taken_back = false;
        for run in self.runs.clone().iter().rev() {
            taken_back |= Gate::of(self.sandbox).undo(run)?;
        }
        let has_healed = outcome == Outcome::Healed;
        if taken_back != has_healed {
            let why = if has_healed {
                "the journal knows of no change"
            } else {
                "the gate had changed something"
            };
            return Err(Miss::NotHeld(why.to_owned()));
        }
        let said = if taken_back {
            "the run was taken back"
        } else {
            "the gate had changed nothing"
        };
        self.see("undo", json!(said));
        self.unchanged("undoing")?;
        for (label, words) in self.what_is_the_same() {
            self.see(label, json!(words));
        }
        if has_healed {
            for probe in &self.fixture.errors {
                self.error(probe)?;
            }
            self.see("error", json!("comes again"));
        }
        Ok(())
    }

    fn what_is_the_same(&self) -> [(&'static str, String); 2] {
        let before = self.before.as_ref();
        let files = before.map_or(0, |before| before.tree.len());
        let but = match self.fixture.expect.restored {
            Restored::Bytes => "",
            Restored::Rows => ", but the database's: its log was folded in",
        };
        let rows = before.and_then(|before| before.rows.as_ref());
        let rows = match rows {
            Some(rows) => {
                let count: usize = rows.values().map(Vec::len).sum();
                format!("{count} in {} tables, all as in step 1", rows.len())
            }
            None if !self.sandbox.database().exists() => "no database, as in step 1".to_owned(),
            None => "unreadable as in step 1".to_owned(),
        };
        let tree = format!("{files} files and folders, every byte and mode as in step 1{but}");
        [("tree", tree), ("rows", rows)]
    }

    fn state(&self) -> anyhow::Result<Before> {
        Ok(Before {
            tree: self.tree()?,
            rows: rows(&self.sandbox.database(), &self.sandbox.work()).ok(),
        })
    }

    fn tree(&self) -> anyhow::Result<Tree> {
        let tree = Tree::of_application(&self.sandbox.root())?;
        Ok(match self.fixture.expect.restored {
            Restored::Bytes => tree,
            Restored::Rows => tree.without_database(DATABASE),
        })
    }

    /// The application is as it was when the incident had been made.
    pub(super) fn unchanged(&self, by: &str) -> Result<(), Miss> {
        let Some(before) = &self.before else {
            return Ok(());
        };
        let differing = before.tree.differences(&self.tree()?);
        if !differing.is_empty() {
            let why = format!("{by} changed {}", differing.join(", "));
            return Err(Miss::NotHeld(why));
        }
        let now = rows(&self.sandbox.database(), &self.sandbox.work()).ok();
        if now != before.rows {
            return Err(Miss::NotHeld(format!("{by} changed rows")));
        }
        Ok(())
    }

    pub(super) fn see(&mut self, label: &str, value: Value) {
        if value.as_array().is_some_and(Vec::is_empty) {
            return;
        }
        self.seen.insert(label.to_owned(), value);
    }

    pub(super) fn see_verdict(&mut self, boot: &Boot) {
        let verdict = &boot.record.summary.verdict;
        let line = format!("{verdict} (exit code {})", boot.exit_code);
        self.see("verdict", json!(line));
    }
}

fn assignments(variables: &BTreeMap<String, String>) -> Value {
    let assignments = variables
        .iter()
        .map(|(name, value)| json!(format!("{name}={value}")));
    assignments.collect()
}

pub(super) fn step_of<'b>(boot: &'b Boot, id: &str) -> Result<&'b RecordStep, Miss> {
    let step = boot.step(id);
    step.ok_or_else(|| Miss::NotHeld(format!("the boot has no step {id}")))
}
