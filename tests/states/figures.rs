//! What was met and what became of it, over all states.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use boot_checks::model::{BootReport, PlaybookMeta, StepOutcome, StepReport};
use boot_checks::plan;
use boot_checks::playbooks;

use crate::judge::Rests;

/// A lock has a live holder or none: there is nothing that it could change.
const NEVER_WRITES: &str = "unlock_database";

#[derive(Default)]
pub(crate) struct Figures(RefCell<Counted>);

#[derive(Default)]
struct Counted {
    /// Of each playbook, the states in which its problem was met, and those in which it was healed.
    playbooks: BTreeMap<&'static str, (usize, usize)>,
    unasked: (usize, usize),
    boots: (usize, usize),
    /// All there, untouched, told.
    rests: [usize; 3],
}

/// Problems that this playbook is for, in the steps that it may heal.
pub(crate) fn met(playbook: &PlaybookMeta, report: &BootReport) -> Vec<String> {
    let steps = report
        .steps()
        .filter(|step| plan::may_be_healed_by(step.id, playbook.id));
    let problems = steps.flat_map(|step| match &step.outcome {
        StepOutcome::Fixed { problems, .. } => problems,
        _ => step.problems(),
    });
    problems
        .filter(|problem| playbook.fixes.contains(&problem.code))
        .map(|problem| problem.message.clone())
        .collect()
}

impl Figures {
    pub(crate) fn unasked(&self, is_applied: bool) {
        count(&mut self.0.borrow_mut().unasked, is_applied);
    }

    pub(crate) fn boot(&self, is_green: bool) {
        count(&mut self.0.borrow_mut().boots, is_green);
    }

    pub(crate) fn rests(&self, rests: Rests) {
        self.0.borrow_mut().rests[rests as usize] += 1;
    }

    pub(crate) fn healed(&self, playbook: &PlaybookMeta, report: &BootReport) {
        let mut repairs = report.steps().flat_map(StepReport::repairs);
        let is_healed = repairs.any(|one| one.playbook == playbook.id && one.is_verified());
        let mut counted = self.0.borrow_mut();
        let of_it = counted.playbooks.entry(playbook.id).or_default();
        of_it.0 += usize::from(!met(playbook, report).is_empty());
        of_it.1 += usize::from(is_healed);
    }

    /// What happened too seldom for anything to be known of it: a playbook of the registry, or a loss.
    pub(crate) fn idle(&self, healed_min: usize) -> Vec<&'static str> {
        let counted = self.0.borrow();
        let ids = playbooks::ALL.iter().map(|playbook| playbook.meta().id);
        let is_idle = |id: &&'static str| {
            let (met, healed) = counted.playbooks.get(id).copied().unwrap_or_default();
            match *id {
                NEVER_WRITES => met < healed_min || healed > 0,
                _ => healed < healed_min,
            }
        };
        let told = counted.rests[Rests::Told as usize];
        let lossy = Some("rows that are told to be lost").filter(|_| told < healed_min);
        ids.filter(is_idle).chain(lossy).collect()
    }
}

fn count(of: &mut (usize, usize), is_first: bool) {
    if is_first {
        of.0 += 1;
    } else {
        of.1 += 1;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.0.borrow();
        for (id, (met, healed)) in &counted.playbooks {
            writeln!(f, "| {id} | met in {met} states | healed in {healed} |")?;
        }
        let (applied, refused) = counted.unasked;
        let (green, red) = counted.boots;
        let [all_there, untouched, told] = counted.rests;
        write!(
            f,
            "| random states | {applied} playbooks applied unasked, {refused} refused | {green} boots green, \
             {red} red | rows: {all_there} times all there, {untouched} damaged and untouched, {told} told \
             what is lost |"
        )
    }
}
