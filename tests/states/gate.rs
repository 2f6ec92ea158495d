//! The gate in this process, below a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use boot_checks::config::{self, Inputs};
use boot_checks::context::Context;
use boot_checks::engine::{Door, Recorder, Redactor, Selection, Session};
use boot_checks::host::{Clock, Host};
use boot_checks::model::{
    BootReport, Decision, Mode, Repair, RepairResult, StageId, Start, StepId,
};
use boot_checks::playbooks::{self, Playbook};

/// An application's root; gone when dropped.
pub(crate) struct Gate {
    folder: tempfile::TempDir,
}

/// What became of a playbook.
pub(crate) enum Outcome {
    Applied,
    Refused(String),
}

impl Gate {
    /// In memory where that is possible: what is tested is not the disk.
    pub(crate) fn new() -> Gate {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        std::fs::create_dir(folder.path().join("var")).unwrap();
        Gate { folder }
    }

    /// The same database in another folder.
    pub(crate) fn copy(&self) -> Gate {
        let copy = Gate::new();
        for entry in std::fs::read_dir(self.folder.path().join("var")).unwrap() {
            let path = entry.unwrap().path();
            let target = copy
                .folder
                .path()
                .join("var")
                .join(path.file_name().unwrap());
            std::fs::copy(path, target).unwrap();
        }
        copy
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("var/grace.db")
    }

    pub(crate) fn main_file(&self) -> Vec<u8> {
        std::fs::read(self.database()).unwrap()
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
            Ok(_) => Outcome::Applied,
            Err(failure) => Outcome::Refused(failure.error.to_string()),
        }
    }

    /// All eight stages.
    pub(crate) fn boot(&self) -> BootReport {
        let cx = Arc::new(self.context());
        let root = self.folder.path();
        let start = Start {
            run_id: cx.host.clock.compact(),
            timestamp: cx.host.clock.timestamp(),
            application: "test".to_owned(),
            root: root.display().to_string(),
            mode: Mode::Heal,
            strict: false,
            plan: boot_checks::plan::planned(|_| None),
            again: String::new(),
        };
        let door = Door::new(root, &start.run_id);
        let recorder = Arc::new(Recorder::begin(start, Redactor::new([]), Vec::new()));
        let session = Session::new(
            Arc::clone(&cx),
            door,
            Arc::clone(&recorder),
            Selection::default(),
            false,
        );
        session.outcome(StepId {
            stage: StageId::Monitor,
            name: "any",
        });
        cx.refresh();
        recorder.finish(session.ending())
    }

    fn context(&self) -> Context {
        let root = self.folder.path().to_owned();
        let variables = BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]);
        let host = Host::new(Clock::System, variables, root.clone());
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
