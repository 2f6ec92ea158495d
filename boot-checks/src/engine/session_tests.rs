//! The session over a plan of its own, with checks that do what no real one should.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::checks::Check;
use crate::config::{self, Inputs};
use crate::engine::Redactor;
use crate::host::{Clock, Host};
use crate::model::{BootReport, Mode, StageId, StepStatus, Verdict};
use crate::plan::Stage;

struct Panics;

impl Check for Panics {
    fn title(&self) -> &'static str {
        "Panics"
    }

    fn run(&self, _cx: &Context) -> CheckResult {
        panic!("index out of bounds")
    }
}

struct Healthy;

impl Check for Healthy {
    fn title(&self) -> &'static str {
        "Healthy"
    }

    fn run(&self, _cx: &Context) -> CheckResult {
        Ok(Findings::healthy("all well"))
    }
}

const fn step(name: &'static str, on_failure: OnFailure, check: &'static dyn Check) -> Step {
    Step {
        name,
        on_failure,
        check,
        playbook: None,
        or_else: &[],
        needs: &[],
    }
}

static CRITICAL_PANIC: [Stage; 2] = [
    Stage {
        id: StageId::Preflight,
        steps: &[
            step("breaks", OnFailure::Abort, &Panics),
            step("stands", OnFailure::Abort, &Healthy),
        ],
    },
    Stage {
        id: StageId::SchemaSecrets,
        steps: &[step("later", OnFailure::Abort, &Healthy)],
    },
];

static HARMLESS_PANIC: [Stage; 2] = [
    Stage {
        id: StageId::Preflight,
        steps: &[step("stands", OnFailure::Abort, &Healthy)],
    },
    Stage {
        id: StageId::SchemaSecrets,
        steps: &[step("breaks", OnFailure::Continue, &Panics)],
    },
];

fn run(stages: &'static [Stage]) -> BootReport {
    let root = tempfile::tempdir().unwrap();
    let mut session = session(root.path());
    session.stages = stages;
    session.outcome(StepId {
        stage: StageId::SchemaSecrets,
        name: "any",
    });
    session.recorder.finish(session.ending())
}

fn session(root: &Path) -> Session {
    let inputs = Inputs {
        root: Some(root.to_owned()),
        current_dir: root.to_owned(),
        ..Inputs::default()
    };
    let host = Host::new(Clock::System, inputs.variables.clone(), root.to_owned());
    let start = crate::model::Start {
        run_id: "run".to_owned(),
        timestamp: host.clock.timestamp(),
        application: "test".to_owned(),
        root: root.display().to_string(),
        mode: Mode::Heal,
        strict: false,
        plan: Vec::new(),
        again: String::new(),
    };
    let recorder = Recorder::begin(start, Redactor::new([]), Vec::new());
    let config = config::load(&inputs).unwrap();
    let cx = Context::new(config, host, Mode::Heal, Vec::new(), Duration::ZERO, |_| {});
    let door = Door::new(root, "run");
    let selection = Selection::default();
    Session::new(Arc::new(cx), door, Arc::new(recorder), selection, false)
}

fn statuses(report: &BootReport) -> Vec<(&'static str, StepStatus)> {
    let steps = report.steps();
    steps.map(|step| (step.id.name, step.status())).collect()
}

#[test]
fn a_check_that_panics_blocks_where_a_failure_would() {
    let report = run(&CRITICAL_PANIC);
    assert_eq!(report.verdict(), Verdict::Blocked);
    assert_eq!(
        statuses(&report),
        [
            ("breaks", StepStatus::Error),
            ("stands", StepStatus::Pass),
            ("later", StepStatus::NotRun)
        ]
    );
    let by = StepId {
        stage: StageId::Preflight,
        name: "breaks",
    };
    assert_eq!(report.ending, Some(Ending::Aborted { by }));
    let text = crate::report::text(&report);
    assert!(
        text.contains("the check panicked: index out of bounds"),
        "{text}"
    );
}

#[test]
fn a_panic_of_a_heal_ends_the_boot_and_is_told_once() {
    let root = tempfile::tempdir().unwrap();
    let session = session(root.path());
    let id = StepId {
        stage: StageId::Preflight,
        name: "breaks",
    };
    let report = unless_broken(id, &mut session.lock(), || panic!("attempt to add"));
    assert!(report.blocks());
    let message = "attempt to add".to_owned();
    assert_eq!(session.ending(), Ending::Panicked { message });
}

#[test]
fn a_check_that_panics_elsewhere_is_never_green() {
    let report = run(&HARMLESS_PANIC);
    assert_eq!(report.verdict(), Verdict::MayStart);
    assert_eq!(
        statuses(&report),
        [("stands", StepStatus::Pass), ("breaks", StepStatus::Error)]
    );
    assert_eq!((report.stages_passed(), report.stages_failed()), (1, 1));
}
