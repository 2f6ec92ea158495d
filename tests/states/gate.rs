//! The gate in this process, below a folder of its own.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use boot_checks::config::{self, Inputs};
use boot_checks::context::Context;
use boot_checks::engine::{Door, Permit, Recorder, Redactor, Selection, Session};
use boot_checks::host::{Clock, Host};
use boot_checks::model::{
    BootReport, Decision, Mode, Repair, RepairResult, StageId, Start, StepId, StepReport,
};
use boot_checks::playbooks::{self, Playbook};
use boot_checks::services::db::{Access, Connection};

use crate::around::Around;
use crate::files::{DATABASE, Files};

/// An application's root; gone when dropped.
pub(crate) struct Gate {
    folder: tempfile::TempDir,
    around: Around,
    runs: Cell<usize>,
}

/// What became of a playbook.
pub(crate) enum Outcome {
    Applied(Repair),
    Refused(String),
}

impl Gate {
    /// In memory where that is possible: what is tested is not the disk.
    pub(crate) fn new(around: Around) -> Gate {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        Gate {
            folder,
            around,
            runs: Cell::new(1),
        }
    }

    /// With what this application has, but for its database.
    pub(crate) fn built(around: Around) -> Gate {
        let gate = Gate::new(around);
        std::fs::create_dir(gate.root().join("var")).unwrap();
        around.build(gate.root());
        gate
    }

    /// The same application in another folder.
    pub(crate) fn copy(&self) -> Gate {
        let copy = Gate::new(self.around);
        copy_folder(self.root(), copy.root());
        copy
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root().join(DATABASE[0])
    }

    pub(crate) fn files(&self) -> Files {
        Files::read(self.root())
    }

    /// As any program would; where it cannot, that is no matter.
    pub(crate) fn open_and_close(&self) {
        let opened = Connection::open(&self.database(), Access::ReadWrite, Duration::ZERO);
        if let Ok(mut connection) = opened {
            let _ = connection.scalar("SELECT count(*) FROM sqlite_schema");
            connection.close();
        }
    }

    /// Plans and applies a playbook whether or not a check asks for it.
    pub(crate) fn apply(&self, playbook: &dyn Playbook) -> Outcome {
        let cx = self.context();
        let plan = playbook.plan(&cx, &[]);
        cx.refresh();
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let repair = Repair {
            playbook: playbook.meta().id,
            fingerprint: Door::fingerprint(playbook.meta().id, &plan.changes),
            proposal: None,
            summary: plan.summary,
            decision: Decision::Apply,
            changes: plan.changes,
            result: RepairResult::Proposed,
        };
        let step = StepId {
            stage: StageId::Preflight,
            name: "any",
        };
        let applied = Door::new(self.folder.path(), "run").apply(&cx, step, &repair);
        cx.refresh();
        match applied {
            Ok(_) => Outcome::Applied(repair),
            Err(failure) => Outcome::Refused(failure.error.to_string()),
        }
    }

    /// All eight stages.
    pub(crate) fn boot(&self) -> BootReport {
        self.session(Selection::default(), Permit::default(), Vec::new())
    }

    /// One playbook, as `xtask heal` carries it out, and where it waits for a person, with that person's word.
    pub(crate) fn heal(&self, playbook: &'static str) -> BootReport {
        let of_it = || {
            let selection = Selection {
                playbook: Some(playbook),
                ..Selection::default()
            };
            let permit = Permit {
                only: Some(playbook),
                plan: None,
                unblocked: true,
            };
            (selection, permit)
        };
        let (selection, permit) = of_it();
        let first = self.session(selection, permit, Vec::new());
        let repairs = first.steps().flat_map(StepReport::repairs);
        let waiting = repairs.filter(|repair| repair.result == RepairResult::Proposed);
        let approved: Vec<String> = waiting.map(|one| one.fingerprint.clone()).collect();
        if approved.is_empty() {
            return first;
        }
        let (selection, permit) = of_it();
        self.session(selection, permit, approved)
    }

    fn session(&self, selection: Selection, permit: Permit, approved: Vec<String>) -> BootReport {
        let mut cx = self.context();
        cx.approved = approved;
        let cx = Arc::new(cx);
        let root = self.folder.path();
        self.runs.set(self.runs.get() + 1);
        let start = Start {
            run_id: format!("{}_{}", cx.host.clock.compact(), self.runs.get()),
            timestamp: cx.host.clock.timestamp(),
            application: "test".to_owned(),
            root: root.display().to_string(),
            mode: Mode::Heal,
            strict: false,
            plan: boot_checks::plan::planned(|id| selection.reason_to_skip(id)),
            again: String::new(),
        };
        let door = Door::new(root, &start.run_id);
        let recorder = Arc::new(Recorder::begin(start, Redactor::new([]), Vec::new()));
        let session = Session::new(
            Arc::clone(&cx),
            door,
            Arc::clone(&recorder),
            selection,
            false,
        )
        .permitting(permit);
        session.outcome(StepId {
            stage: StageId::Monitor,
            name: "any",
        });
        cx.refresh();
        recorder.finish(session.ending())
    }

    fn context(&self) -> Context {
        let root = self.folder.path().to_owned();
        let host = Host::new(Clock::System, self.around.variables(), root.clone());
        let inputs = Inputs {
            root: Some(root.clone()),
            config: None,
            database_url: None,
            variables: host.variables.clone(),
            current_dir: root,
        };
        Context::new(
            config::load(&inputs).unwrap(),
            host,
            Mode::Heal,
            playbooks::registered(),
            Duration::ZERO,
            |_| {},
        )
    }
}

/// In the order of their names: a main file is never younger than its log.
fn copy_folder(from: &Path, to: &Path) {
    let entries = std::fs::read_dir(from).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
