//! The third step: governance decides, and what it lets act is done.

use boot_checks::model::RecordStep;
use boot_checks::patterns::Outcome;
use serde_json::{Value, json};

use super::gate::{Boot, Gate};
use super::steps::{Incident, Miss, step_of};

/// How long a boot waits in a replay where waiting is what heals.
const PATIENCE: &str = "30s";

/// What a console line begins with that says what the boot waits for.
const WAITING: &str = "[WAIT]";

impl Incident<'_> {
    /// Governance decides; what it lets act is done through the one door.
    pub(super) fn heal(&mut self) -> Result<(), Miss> {
        if self.outcome() == Outcome::Waited {
            return self.wait();
        }
        if self.outcome() == Outcome::Healed && self.fixture.expect.outcome == Outcome::Proposal {
            self.approve()?;
        }
        let (boot, step) = self.boot()?;
        match self.outcome() {
            Outcome::Healed => self.healed(&step),
            Outcome::Proposal => self.proposed(&step),
            _ => self.advised(&step),
        }?;
        self.see_verdict(&boot);
        Ok(())
    }

    /// A boot that heals what it may, and the step that it is about.
    fn boot(&mut self) -> Result<(Boot, RecordStep), Miss> {
        let boot = Gate::of(self.sandbox).heal()?;
        self.runs.push(boot.record.run_id.clone());
        let step = step_of(&boot, &self.fixture.expect.step)?.clone();
        Ok((boot, step))
    }

    /// The boot proposes, and as many people as governance asks for approve exactly that.
    fn approve(&mut self) -> Result<(), Miss> {
        let (_, step) = self.boot()?;
        self.proposed(&step)?;
        let repair = &step.repairs[0];
        let fingerprint = repair["fingerprint"].as_str().unwrap_or_default();
        let people: &[&str] = match repair["decision"].as_str() {
            Some("needs-quorum") => &["ann", "ben"],
            _ => &["ann"],
        };
        for name in people {
            Gate::of(self.sandbox).approve(fingerprint, name)?;
        }
        self.see("approved by", json!(people));
        Ok(())
    }

    fn healed(&mut self, step: &RecordStep) -> Result<(), Miss> {
        let repair = self.repair(step)?;
        if step.status != "fixed" || repair["result"] != "verified" {
            let why = format!("{} is {}: {repair}", step.id, step.status);
            return Err(Miss::NotHeld(why));
        }
        Ok(())
    }

    fn proposed(&mut self, step: &RecordStep) -> Result<(), Miss> {
        let repair = self.repair(step)?;
        if repair["result"] != "proposed" {
            return Err(Miss::NotHeld(format!("it is no proposal: {repair}")));
        }
        self.unchanged("proposing")
    }

    /// The first attempt in a step; it must be the pattern's playbook, as governance decides of it.
    fn repair(&mut self, step: &RecordStep) -> Result<Value, Miss> {
        let Some(repair) = step.repairs.first().cloned() else {
            let notes = step.notes.join("; ");
            return Err(Miss::NotHeld(format!("{} has no plan: {notes}", step.id)));
        };
        let text = |name: &str| repair[name].as_str().unwrap_or_default().to_owned();
        let meta = boot_checks::playbooks::find(&text("playbook")).map(|it| it.meta());
        if let Some(meta) = meta {
            let mut line = format!("{} ({} risk, {}", meta.id, meta.risk, meta.tier);
            if let Some(step) = &self.pattern.escalation {
                line += &format!("; {}: {} risk, {}", step.when, step.risk, step.tier);
            }
            self.see("playbook", json!(line + ")"));
        }
        self.see("decision", json!(text("decision")));
        self.see("change", json!(self.words.text(&text("summary"))));
        if let Some(diff) = repair["proposal"].as_str() {
            let lines = diff.lines().map(|line| json!(self.words.text(line)));
            self.see("proposal", lines.collect());
        }
        self.see("result", json!(text("result")));
        self.expected(
            "pattern.toml: playbook",
            self.pattern.playbook,
            &text("playbook"),
        )?;
        if !self.is_approved {
            let decision = self.fixture.expect.decision.as_deref();
            self.expected("replay.toml: expect.decision", decision, &text("decision"))?;
        }
        Ok(repair)
    }

    fn expected(&self, key: &str, wanted: Option<&str>, seen: &str) -> Result<(), Miss> {
        if wanted == Some(seen) {
            return Ok(());
        }
        let wanted = wanted.map_or("missing".to_owned(), |wanted| format!("`{wanted}`"));
        let why = format!("{key} is {wanted}, and it was `{seen}`");
        Err(Miss::NotHeld(why))
    }

    /// No playbook acts; a person is told what to do.
    fn advised(&mut self, step: &RecordStep) -> Result<(), Miss> {
        if let Some(repair) = step.repairs.first() {
            return Err(Miss::NotHeld(format!("a playbook acted: {repair}")));
        }
        let code = self.fixture.expect.code.clone();
        let problem = step.problems.iter().find(|it| it["code"] == *code);
        let action = problem.and_then(|problem| problem["action"].as_str());
        let Some(action) = action else {
            return Err(Miss::NotHeld("nobody is told what to do".to_owned()));
        };
        self.see("advice", json!(self.words.text(action)));
        self.see("known advice", json!(self.pattern.advice));
        self.unchanged("advising")
    }

    /// The boot waits, and whoever was in the way comes to an end. It does so once the gate says that
    /// it waits, so that it really has waited.
    fn wait(&mut self) -> Result<(), Miss> {
        let mut programs = std::mem::take(&mut self.sandbox.programs);
        let mut waited_for = None;
        let mut ended = Ok(());
        let boot = Gate::of(self.sandbox).boot(&["--lock-timeout", PATIENCE], |line| {
            if waited_for.is_none() && line.contains(WAITING) {
                // Who it is says the finding; the rest is cut to the width of a page.
                let line = line.split(" (").next().unwrap_or(line);
                waited_for = Some(line.trim().to_owned());
                ended = programs.drain(..).try_for_each(|program| program.end());
            }
        })?;
        ended?;
        self.runs.push(boot.record.run_id.clone());
        let Some(line) = waited_for else {
            return Err(Miss::NotHeld("the boot did not wait".to_owned()));
        };
        self.see("waited", json!(self.words.text(&line)));
        let step = step_of(&boot, &self.fixture.expect.step)?;
        let repairs = boot.steps().flat_map(|step| &step.repairs).count();
        if step.status != "pass" || repairs > 0 {
            let why = format!("{} is {}, {repairs} repairs", step.id, step.status);
            return Err(Miss::NotHeld(why));
        }
        self.see("step", json!(format!("{}: pass", step.id)));
        self.see_verdict(&boot);
        Ok(())
    }
}
