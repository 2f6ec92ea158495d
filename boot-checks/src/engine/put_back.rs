//! Puts a kept copy in the place of a database that is lost, vanished or bad.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::put_back_plan::{PLAYBOOK, PutBackPlan, Wanted, plan_put_back, rows_of_sound};
use super::tidy::tidy;
use super::{Door, DoorError, Journal, Left, STATE_FOLDER, swap};
use crate::config::BootConfig;
use crate::context::Context;
use crate::host::lock::{GateLock, LockError};
use crate::host::{self, Host};
use crate::model::{Decision, Mode, Repair, RepairResult, StageId, StepId};

/// A copy that took the place of a database, and was looked at there.
#[derive(Clone, Debug)]
pub struct PutBack {
    /// The run that did it: `undo` takes it back.
    pub run_id: String,
    /// What was done.
    pub plan: PutBackPlan,
    /// Where the files are kept that were there; none where nothing was.
    pub set_aside: Option<PathBuf>,
}

/// Why a copy was not put back. But for the last two, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PutBackError {
    /// The run kept no database, or there was no such run.
    #[error("no copy of a database is known of a run `{run_id}`")]
    Unknown {
        /// What was asked for.
        run_id: String,
        /// Runs that kept one, oldest first.
        known: Vec<String>,
    },
    /// The run kept no copy of this.
    #[error("run {run_id} kept no copy of a database {}", path.display())]
    NoSuchCopy {
        /// The run.
        run_id: String,
        /// What was asked for.
        path: PathBuf,
        /// What it kept.
        kept: Vec<PathBuf>,
    },
    /// The run kept copies of more than one database.
    #[error("run {run_id} kept copies of several databases")]
    Several {
        /// The run.
        run_id: String,
        /// What it kept.
        kept: Vec<PathBuf>,
    },
    /// The journal cannot be read.
    #[error("cannot read the journal: {0}")]
    Journal(#[source] io::Error),
    /// A boot is under way.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Files that an earlier run was replacing wait for their end.
    #[error("{0}")]
    HalfWay(String),
    /// The copy is not what it was.
    #[error("the copy {} is damaged: {reason}", copy.display())]
    Damaged {
        /// The copy.
        copy: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The copy is what it was, and that is no sound database, or nobody could look.
    #[error("the copy {} cannot be put back: {reason}", copy.display())]
    Unsound {
        /// The copy.
        copy: PathBuf,
        /// The database.
        database: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no place for it.
    #[error("the folder {} is not there", .0.display())]
    NoFolder(PathBuf),
    /// What is there cannot be read, so that it cannot be kept either.
    #[error("{} cannot be kept: {source}", path.display())]
    Present {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is no longer what it was when the plan was shown.
    #[error("this is not the plan that was named, and nothing was changed")]
    Changed(Box<PutBackPlan>),
    /// It could not be carried out.
    #[error("{error}; {}", if left.is_nothing() { AS_IT_WAS } else { "the next boot goes on with it" })]
    Failed {
        /// Why.
        error: DoorError,
        /// What is left of it.
        left: Left,
    },
    /// What stands in the place afterwards is not what the copy held.
    #[error("it does not hold where it is now: {reason}; {}", if *taken_back { AS_IT_WAS } else { "it could NOT be taken back" })]
    NotVerified {
        /// What is wrong.
        reason: String,
        /// Whether everything is as it was.
        taken_back: bool,
    },
}

const AS_IT_WAS: &str = "everything is as it was";

/// Carries out exactly the plan with this fingerprint, under the gate's lock and through its door, and
/// looks at the outcome on a fresh connection; what does not hold then is taken back.
///
/// # Errors
///
/// Why it was not done.
pub fn put_back(
    mut config: BootConfig,
    host: Host,
    wanted: &Wanted,
    fingerprint: &str,
    lock_timeout: Duration,
    notify: fn(&str),
) -> Result<PutBack, PutBackError> {
    let root = config.root.clone();
    let state_folder = root.join(STATE_FOLDER);
    // Before the lock is taken: its file would be made for a run that never was.
    plan_unless_half_way(&config, wanted)?;
    let holder = host::self_description(&host);
    let waiting = |holder: &str| notify(&format!("waiting for another boot: {holder}"));
    let file = state_folder.join("lock");
    let _lock = GateLock::acquire(&file, &holder, lock_timeout, waiting)?;
    swap::finish(&root).map_err(|error| PutBackError::HalfWay(error.to_string()))?;
    let plan = plan_put_back(&root, wanted)?;
    if plan.fingerprint != fingerprint {
        return Err(PutBackError::Changed(Box::new(plan)));
    }
    tidy(&root, Some(&plan.database));
    let run_id = free_run_id(&state_folder, &host.clock.compact());
    let door = Door::new(&root, &run_id);
    // Whoever holds it is looked for at the place that the copy goes to.
    config.database.value.path = Some(plan.database.clone());
    let cx = Context::new(config, host, Mode::Heal, Vec::new(), lock_timeout, notify);
    carry_out(&cx, &door, &plan)?;
    let folder = door.backups().quarantine().folder();
    Ok(PutBack {
        run_id,
        set_aside: (!plan.present.is_empty()).then_some(folder),
        plan,
    })
}

/// What an earlier run left half-way is finished under the lock first.
fn plan_unless_half_way(config: &BootConfig, wanted: &Wanted) -> Result<(), PutBackError> {
    match plan_put_back(&config.root, wanted) {
        Ok(_) | Err(PutBackError::HalfWay(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn carry_out(cx: &Context, door: &Door, plan: &PutBackPlan) -> Result<(), PutBackError> {
    let repair = Repair {
        playbook: PLAYBOOK,
        summary: format!("put the copy of run {} back", plan.run_id),
        decision: Decision::Apply,
        changes: vec![plan.change.clone()],
        fingerprint: plan.fingerprint.clone(),
        proposal: None,
        result: RepairResult::Proposed,
    };
    let touched = door.apply(cx, STEP, &repair).map_err(|failure| {
        let left = failure.left;
        match failure.error {
            DoorError::Changed(_) if left == Left::Untouched => {
                PutBackError::Changed(Box::new(plan.clone()))
            }
            error => PutBackError::Failed { error, left },
        }
    })?;
    cx.refresh();
    let reason = match cx.look(rows_of_sound) {
        Ok(rows) if rows == plan.expected => {
            cx.refresh();
            door.verified(STEP, &repair);
            return Ok(());
        }
        Ok(_) => "its rows are not those of the copy".to_owned(),
        Err(error) => error.to_string(),
    };
    cx.refresh();
    let taken_back = door.take_back(STEP, &repair, touched).is_nothing();
    Err(PutBackError::NotVerified { reason, taken_back })
}

/// The step whose question it answers: whether the database's pages fit together.
const STEP: StepId = StepId {
    stage: StageId::Preflight,
    name: "database_intact",
};

/// A boot may begin in the same second, and must not be taken for the same run.
fn free_run_id(state_folder: &std::path::Path, now: &str) -> String {
    let is_free = |run_id: &String| {
        let folders = ["backups", "quarantine"].map(|kind| state_folder.join(kind).join(run_id));
        let journal = Journal::new(state_folder, run_id).read();
        folders.iter().all(|folder| !folder.exists()) && journal.is_ok_and(|it| it.is_empty())
    };
    let first = format!("{now}_restore");
    let more = (2..100).map(|number| format!("{first}_{number}"));
    std::iter::once(first.clone())
        .chain(more)
        .find(is_free)
        .unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Inputs, load};
    use crate::engine::{Journal, JournalEntry, Kind, Phase, Touched};
    use crate::host::Clock;
    use crate::services::db::{Access, Connection};

    const RUN: &str = "20260101_000000";

    /// An application with a kept copy of its database, as run [`RUN`] would have left it.
    fn application(root: &std::path::Path) -> BootConfig {
        let (database, state_folder) = (root.join("a.db"), root.join(STATE_FOLDER));
        std::fs::write(root.join("boot.toml"), "name = \"a\"\n").unwrap();
        let run = |sql: &str| {
            let access = Access::Create;
            let mut connection = Connection::open(&database, access, Duration::ZERO).unwrap();
            connection.execute(sql).unwrap();
            connection.close();
        };
        run("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
        let door = Door::new(root, RUN);
        let saved = door.backups().save_file(&database).unwrap();
        let before = Kind::Database.state(&database, &mut Default::default());
        let entry = JournalEntry {
            run_id: RUN.to_owned(),
            step: STEP.to_string(),
            playbook: "p".to_owned(),
            fingerprint: String::new(),
            phase: Phase::Begun,
            changes: serde_json::Value::Null,
            touched: vec![Touched {
                path: "a.db".into(),
                kind: Kind::Database,
                before: before.unwrap(),
                after: None,
                saved: Some(saved),
                really: None,
                owner: None,
                planned: None,
            }],
        };
        Journal::new(&state_folder, RUN).write(&entry).unwrap();
        run("INSERT INTO t VALUES (2)");
        let inputs = Inputs {
            root: Some(root.to_owned()),
            config: None,
            database_url: Some(format!("sqlite:///{}", database.display())),
            variables: BTreeMap::new(),
            current_dir: root.to_owned(),
        };
        load(&inputs).unwrap()
    }

    /// What is needed to carry a plan out, and the plan.
    fn planned(root: &std::path::Path) -> (Context, PutBackPlan) {
        let config = application(root);
        let wanted = Wanted {
            run_id: RUN.to_owned(),
            path: None,
        };
        let plan = plan_put_back(root, &wanted).unwrap();
        let host = Host::new(Clock::System, BTreeMap::new(), root.to_owned());
        let mode = Mode::Heal;
        let cx = Context::new(config, host, mode, Vec::new(), Duration::ZERO, |_| {});
        (cx, plan)
    }

    fn door(root: &std::path::Path) -> Door {
        Door::new(root, "20260102_000000")
    }

    #[test]
    fn what_does_not_hold_where_it_is_put_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (cx, mut plan) = planned(folder.path());
        let before = std::fs::read(&plan.database).unwrap();
        plan.expected.insert("t".to_owned(), Some(7));
        let error = carry_out(&cx, &door(folder.path()), &plan).unwrap_err();
        let is_back = matches!(error, PutBackError::NotVerified { taken_back, .. } if taken_back);
        assert!(is_back, "{error}");
        assert!(std::fs::read(&plan.database).unwrap() == before);
    }

    /// Between the last look at the plan and the lock that keeps everybody out.
    #[test]
    fn what_changes_at_the_last_moment_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (cx, plan) = planned(folder.path());
        let mut database = std::fs::read(&plan.database).unwrap();
        *database.last_mut().unwrap() ^= 1;
        std::fs::write(&plan.database, &database).unwrap();
        let error = carry_out(&cx, &door(folder.path()), &plan).unwrap_err();
        assert!(matches!(error, PutBackError::Changed(_)), "{error}");
        assert!(std::fs::read(&plan.database).unwrap() == database);
        assert!(!folder.path().join(STATE_FOLDER).join("quarantine").exists());
    }
}
