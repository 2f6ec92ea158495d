//! Random databases: whatever state one is in, each playbook and a whole boot leave every row that was
//! there, or refuse and leave every byte.
//!
//! ```text
//! cargo test -p boot-checks --test states                       # bounded: some states, always the same
//! FAULTS=all cargo test -p boot-checks --test states -- --nocapture   # 500 states, others each time
//! ```
#![allow(
    clippy::print_stdout,
    reason = "the figures, for whoever runs the tests"
)]

mod gate;
mod rows;
mod state;

use std::cell::Cell;

use boot_checks::playbooks;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::gate::{Gate, Outcome};
use crate::rows::Rows;
use crate::state::State;

/// States where `FAULTS=all` is not asked for, and where it is.
const CASES: (u32, u32) = (24, 500);

#[derive(Default)]
struct Figures {
    applied: Cell<usize>,
    refused: Cell<usize>,
    green: Cell<usize>,
    red: Cell<usize>,
}

fn count(figure: &Cell<usize>) {
    figure.set(figure.get() + 1);
}

#[test]
fn no_row_is_lost_whatever_state_the_database_is_in() {
    let everything = std::env::var_os("FAULTS").is_some_and(|value| value == "all");
    let mut config = Config {
        cases: if everything { CASES.1 } else { CASES.0 },
        ..Config::default()
    };
    config.failure_persistence = None;
    let mut runner = if everything {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let figures = Figures::default();
    let ran = runner.run(&state::any(), |state| {
        try_state(&state, &figures).map_err(TestCaseError::fail)
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    println!(
        "| random states | {} playbooks applied, {} refused | {} boots green, {} red | 0 rows lost |",
        figures.applied.get(),
        figures.refused.get(),
        figures.green.get(),
        figures.red.get()
    );
}

/// The harness itself is tested: a log that is deleted makes it fail.
#[test]
fn a_lost_row_is_noticed() {
    let gate = Gate::new();
    State::with_a_hot_log().build(&gate.database());
    let rows = Rows::read(&gate.copy().database());
    rows.are_all_in(&gate.copy().database()).unwrap();
    let tampered = gate.copy();
    std::fs::remove_file(tampered.database().with_extension("db-wal")).unwrap();
    assert!(rows.are_all_in(&tampered.database()).is_err());
}

fn try_state(state: &State, figures: &Figures) -> Result<(), String> {
    let template = Gate::new();
    state.build(&template.database());
    let rows = Rows::read(&template.copy().database());
    for playbook in playbooks::ALL {
        let gate = template.copy();
        let id = playbook.meta().id;
        match gate.apply(playbook) {
            Outcome::Applied => count(&figures.applied),
            Outcome::Refused(why) => {
                count(&figures.refused);
                if !state.has_log() && gate.main_file() != template.main_file() {
                    return Err(format!("{id} refused ({why}) and changed the file"));
                }
            }
        }
        rows.are_all_in(&gate.database())
            .map_err(|lost| format!("{id}: {lost}"))?;
    }
    try_boots(state, &template, &rows, figures)
}

/// A boot, and one more: the second has nothing left to heal.
fn try_boots(state: &State, template: &Gate, rows: &Rows, figures: &Figures) -> Result<(), String> {
    let gate = template.copy();
    let first = gate.boot();
    rows.are_all_in(&gate.database())
        .map_err(|lost| format!("boot: {lost}"))?;
    let healed = first.steps().flat_map(|step| step.repairs());
    let is_in_database = |id: &str| matches!(id, "apply_pending_migrations" | "register_playbooks");
    let healed = healed.filter(|repair| repair.is_verified() && is_in_database(repair.playbook));
    if healed.count() == 0 && !state.has_log() && gate.main_file() != template.main_file() {
        return Err("a boot that healed nothing changed the file".to_owned());
    }
    count(if first.success() {
        &figures.green
    } else {
        &figures.red
    });
    let after_first = gate.main_file();
    let second = gate.boot();
    if second.success() != first.success() {
        return Err(format!(
            "the second boot says otherwise: {:?}, then {:?}",
            first.verdict(),
            second.verdict()
        ));
    }
    if !state.has_log() && gate.main_file() != after_first {
        return Err("the second boot changed the file again".to_owned());
    }
    rows.are_all_in(&gate.database())
        .map_err(|lost| format!("second boot: {lost}"))
}
