//! States in which there is nothing to heal, and which a hasty gate would heal.

use anyhow::Context as _;
use boot_checks::patterns::{Embedded, Restored};
use serde_json::{Map, json};

use super::arrange::{arrange, lay_out};
use super::gate::Gate;
use super::report::{Status, Step};
use super::sandbox::{DATABASE, Sandbox};
use super::tree::{Tree, rows};
use super::words::Words;

/// Names of the steps.
pub(super) const NAMES: [&str; 3] = ["arrange", "boot", "unchanged"];

/// Makes the state, boots, and compares: no problem, no heal, nothing changed.
pub(super) fn run(embedded: &Embedded, sandbox: &mut Sandbox) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut why = None;
    if let Err(error) = control(embedded, sandbox, &mut steps) {
        why = Some(Words::of(sandbox).text(&format!("{error:#}")));
    }
    for name in &NAMES[steps.len()..] {
        let why = why.take();
        let status = match why {
            Some(_) => Status::NotHeld,
            None => Status::NotRun,
        };
        steps.push(Step {
            name: (*name).to_owned(),
            status,
            why,
            seen: Map::new(),
        });
    }
    steps
}

fn control(
    embedded: &Embedded,
    sandbox: &mut Sandbox,
    steps: &mut Vec<Step>,
) -> anyhow::Result<()> {
    let fixture = embedded.fixture();
    sandbox.variables.extend(fixture.environment.clone());
    lay_out(sandbox, embedded)?;
    let mut made = Vec::new();
    for it in &fixture.arrange {
        made.push(arrange(sandbox, it)?);
    }
    let state = |sandbox: &Sandbox| {
        let tree = Tree::of_application(&sandbox.root())?;
        let tree = match fixture.expect.restored {
            Restored::Bytes => tree,
            Restored::Rows => tree.without_database(DATABASE),
        };
        let rows = rows(&sandbox.database(), &sandbox.work()).map_err(anyhow::Error::msg);
        let rows = rows.with_context(|| format!("the rows of {DATABASE} cannot be counted"));
        anyhow::Ok((tree, rows?))
    };
    let (tree, rows) = state(sandbox)?;
    let words = Words::of(sandbox);
    hold(steps, "made", json!(made));

    let boot = Gate::of(sandbox).heal()?;
    for step in boot.steps() {
        let problem = step.problems.first();
        if let Some(message) = problem.and_then(|problem| problem["message"].as_str()) {
            anyhow::bail!("{} is {}: {message}", step.id, step.status);
        }
        anyhow::ensure!(
            ["pass", "skip"].contains(&step.status.as_str()) && step.repairs.is_empty(),
            "{} is {}: {}",
            step.id,
            step.status,
            step.observed
        );
    }
    anyhow::ensure!(boot.exit_code == 0, "exit code {}", boot.exit_code);
    let looked = boot.step(&fixture.expect.step);
    let has_looked = looked.filter(|step| step.status == "pass");
    let Some(looked) = has_looked else {
        anyhow::bail!("{} did not look", fixture.expect.step);
    };
    let notes: Vec<String> = boot
        .steps()
        .flat_map(|step| step.notes.iter().map(|note| words.text(note)))
        .collect();
    hold(steps, "heals", json!(0));
    for step in steps.iter_mut().skip(1) {
        let passed = format!("{}: pass, {}", looked.id, words.text(&looked.observed));
        step.seen.insert("step".to_owned(), json!(passed));
        step.seen
            .insert("verdict".to_owned(), json!(boot.record.summary.verdict));
        step.seen.insert("note".to_owned(), json!(notes));
    }

    let (tree_after, rows_after) = state(sandbox)?;
    let differing = tree.differences(&tree_after);
    anyhow::ensure!(differing.is_empty(), "changed: {}", differing.join(", "));
    anyhow::ensure!(rows == rows_after, "rows changed");
    hold(
        steps,
        "rows",
        json!(rows.values().map(Vec::len).sum::<usize>()),
    );
    Ok(())
}

fn hold(steps: &mut Vec<Step>, label: &str, value: serde_json::Value) {
    steps.push(Step {
        name: NAMES[steps.len()].to_owned(),
        status: Status::Held,
        why: None,
        seen: Map::from_iter([(label.to_owned(), value)]),
    });
}
