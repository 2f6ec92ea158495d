//! Random databases, whole and damaged, in random applications: each playbook and a whole boot leave every
//! row that was acknowledged, or refuse and leave every byte of every file. Of what damage has cost, it is told
//! how much, and what is damaged is kept.
//!
//! ```text
//! cargo test -p boot-checks --test states                       # bounded: some states, always the same
//! FAULTS=all cargo test -p boot-checks --test states -- --nocapture   # 500 states, others each time
//! ```
#![allow(
    clippy::print_stdout,
    reason = "the figures, for whoever runs the tests"
)]

mod around;
mod extras;
mod figures;
mod files;
mod gate;
mod harm;
mod judge;
mod rows;
mod state;
mod tables;

use boot_checks::model::{BootReport, Repair, StepReport};
use boot_checks::playbooks::{self, Playbook};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::around::Around;
use crate::figures::{Figures, met};
use crate::gate::{Gate, Outcome};
use crate::harm::Harm;
use crate::judge::{Before, Rests};
use crate::rows::Rows;
use crate::state::State;

/// States of each kind of harm where `FAULTS=all` is not asked for, and where it is: 500 and some. And in how
/// many of all of them each playbook has to meet what it is for, and to heal it.
const FEW: (u32, usize) = (2, 1);
const MANY: (u32, usize) = (23, 10);

#[test]
fn no_row_is_lost_whatever_state_the_database_is_in() {
    let everything = std::env::var_os("FAULTS").is_some_and(|value| value == "all");
    let (cases, healed_min) = if everything { MANY } else { FEW };
    let figures = Figures::default();
    for (kind, harm) in (0..).zip(harm::kinds()) {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = if everything {
            TestRunner::new(config)
        } else {
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[kind; 32]);
            TestRunner::new_with_rng(config, rng)
        };
        let ran = runner.run(&state::any(harm), |state| {
            try_state(&state, &figures).map_err(TestCaseError::fail)
        });
        if let Err(error) = ran {
            panic!("{error}");
        }
    }
    println!("{figures}");
    let idle = figures.idle(healed_min);
    assert!(idle.is_empty(), "too seldom: {idle:?}:\n{figures}");
}

/// The harness itself is tested: a log that is deleted makes it fail.
#[test]
fn a_lost_row_is_noticed() {
    let gate = Gate::built(Around::NOTHING);
    State::with_a_hot_log().build(&gate.database());
    let rows = Rows::read(&gate.copy().database());
    let before = Before::of(&gate, rows);
    assert_eq!(before.judge(&gate.copy(), &[]), Ok(Rests::AllThere));
    let folded = gate.copy();
    folded.open_and_close();
    assert_eq!(before.judge(&folded, &[]), Ok(Rests::AllThere));
    let tampered = gate.copy();
    std::fs::remove_file(tampered.database().with_extension("db-wal")).unwrap();
    assert!(before.judge(&tampered, &[]).is_err());
    let other = gate.copy();
    std::fs::write(other.root().join("mine"), "").unwrap();
    assert!(before.judge(&other, &[]).is_err());
}

fn try_state(state: &State, figures: &Figures) -> Result<(), String> {
    let template = Gate::built(state.around);
    state.build(&template.database());
    let rows = match state.harm {
        Harm::Missing => Rows::none(),
        _ => Rows::read(&template.copy().database()),
    };
    state.harm.befall(&template.database());
    let before = Before::of(&template, rows);
    for playbook in playbooks::ALL {
        let id = playbook.meta().id;
        // Past a check that finds damage nobody comes to the door.
        if !state.harm.may_cost_rows() {
            try_unasked(state, playbook, &template, &before, figures)?;
        }
        let gate = template.copy();
        let report = held(state, &gate, || gate.heal(id));
        figures.healed(playbook.meta(), &report);
        judge(state, figures, before.judge(&gate, &verified(&report)))
            .map_err(|wrong| format!("{id}: {wrong}: {:?}", met(playbook.meta(), &report)))?;
    }
    try_boots(state, &template, &before, figures)
}

/// Whether or not a check asks for it.
fn try_unasked(
    state: &State,
    playbook: &dyn Playbook,
    template: &Gate,
    before: &Before,
    figures: &Figures,
) -> Result<(), String> {
    let gate = template.copy();
    let outcome = held(state, &gate, || gate.apply(playbook));
    let (done, what) = match &outcome {
        Outcome::Applied(repair) => (vec![repair], "applied".to_owned()),
        Outcome::Refused(why) => (Vec::new(), format!("refused ({why})")),
    };
    figures.unasked(!done.is_empty());
    let judged = judge(state, figures, before.judge(&gate, &done));
    let id = playbook.meta().id;
    judged.map_err(|wrong| format!("{id}, {what} unasked: {wrong}"))?;
    Ok(())
}

/// What is done while somebody may have the database for themselves.
fn held<T>(state: &State, gate: &Gate, act: impl FnOnce() -> T) -> T {
    let holder = state.harm.holder(&gate.database());
    let done = act();
    if let Some(mut holder) = holder {
        let _ = holder.execute("ROLLBACK");
        holder.close();
    }
    done
}

/// Where nothing cost a row, each is there.
fn judge(state: &State, figures: &Figures, judged: Result<Rests, String>) -> Result<Rests, String> {
    let rests = judged?;
    figures.rests(rests);
    match rests {
        Rests::AllThere => Ok(rests),
        Rests::Untouched | Rests::Told if state.harm.may_cost_rows() => Ok(rests),
        other => Err(format!("rows are gone: {other:?}")),
    }
}

fn verified(report: &BootReport) -> Vec<&Repair> {
    let repairs = report.steps().flat_map(StepReport::repairs);
    repairs.filter(|repair| repair.is_verified()).collect()
}

/// A boot, and one more: the second has nothing left to heal.
fn try_boots(
    state: &State,
    template: &Gate,
    before: &Before,
    figures: &Figures,
) -> Result<(), String> {
    let gate = template.copy();
    let first = held(state, &gate, || gate.boot());
    let mut done = verified(&first);
    let rests = judge(state, figures, before.judge(&gate, &done))
        .map_err(|lost| format!("boot: {lost}"))?;
    if first.success() && rests != Rests::AllThere {
        return Err(format!("a green boot, and rows are gone: {rests:?}"));
    }
    figures.boot(first.success());
    let after_first = gate.files();
    let second = held(state, &gate, || gate.boot());
    if second.success() != first.success() {
        return Err(format!(
            "the second boot says otherwise: {:?}, then {:?}",
            first.verdict(),
            second.verdict()
        ));
    }
    let again = verified(&second);
    if !again.is_empty() {
        return Err(format!("the second boot healed again: {again:?}"));
    }
    if gate.files() != after_first {
        let changed = after_first.changed(&gate.files());
        return Err(format!("the second boot changed {changed:?}"));
    }
    done.extend(again);
    judge(state, figures, before.judge(&gate, &done))
        .map_err(|lost| format!("second boot: {lost}"))?;
    Ok(())
}
