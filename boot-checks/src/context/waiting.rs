//! What takes a while: locks of others, the application's own tools. Whoever looks on is told.

use std::path::Path;
use std::process::Stdio;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Context;
use crate::config::Environment;
use crate::host::LockHolder;
use crate::services::command::{self, CommandError, Done};
use crate::services::db::{self, DbError};

/// How long to sleep between two looks at a locked database: at first this, and the longer the wait has been, the
/// longer, up to this.
const LOCK_BACK_OFF: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// How long one try to change the database goes on: at first this, and the longer the wait has been, the longer, up
/// to this. While it does, nobody new may read where there is a rollback journal; SQLite's callers have five seconds
/// of patience by custom.
const LOCK_PATIENCE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

impl Context {
    /// Tells whoever looks on what takes a while.
    pub(super) fn tell_wait(&self, reason: &str) {
        (self.on_wait)(reason);
    }

    /// Runs one of the application's own tools in its root, as [`command::run`].
    ///
    /// # Errors
    ///
    /// As [`command::run`].
    pub fn run_tool(
        &self,
        argv: &[String],
        environment: &Environment,
        input: Stdio,
        limit: Duration,
    ) -> Result<Done, CommandError> {
        let on_slow = || {
            let command = argv.join(" ");
            self.tell_wait(&format!("`{command}` is still running; it has {limit:?}"));
        };
        command::run(argv, &self.config.root, environment, input, limit, &on_slow)
    }

    /// Tells that the interpreter takes long over what it is to import.
    pub(super) fn tell_import(&self, interpreter: &Path, limit: Duration) {
        let interpreter = interpreter.display();
        self.tell_wait(&format!(
            "`{interpreter}` is still importing what is critical; it has {limit:?}"
        ));
    }

    /// Who held the lock that was last waited for.
    pub fn last_lock_holder(&self) -> Option<String> {
        self.lock_holder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits once for a lock on the database.
    ///
    /// # Errors
    ///
    /// The error that was given, when the budget is used up.
    pub fn wait_for_lock(&self, error: DbError) -> Result<(), DbError> {
        self.forget_connection();
        self.wait_for(self.holder(), error)
    }

    /// The same where it is known who has it.
    ///
    /// # Errors
    ///
    /// As [`Context::wait_for_lock`].
    pub fn wait_for(&self, holder: String, error: DbError) -> Result<(), DbError> {
        let first = self.lock_deadline.get().is_none();
        let deadline = *self
            .lock_deadline
            .get_or_init(|| Instant::now() + self.lock_budget);
        if first && !self.lock_budget.is_zero() {
            let budget = self.lock_budget;
            self.tell_wait(&format!(
                "the database is locked by {holder}; waiting up to {budget:?}"
            ));
        }
        *self
            .lock_holder
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(holder);
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(error);
        }
        let waited = self.lock_budget.saturating_sub(left);
        let [least, most] = LOCK_BACK_OFF;
        std::thread::sleep((waited / 4).clamp(least, most).min(left));
        Ok(())
    }

    /// How long the next try to change the database may wait for its locks: longer from try to try, so that readers
    /// who come and go, each before the last has ended, do not keep it out for ever.
    pub fn lock_patience(&self) -> Duration {
        let [least, most] = LOCK_PATIENCE;
        let left = match self.lock_deadline.get() {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => self.lock_budget,
        };
        let waited = self.lock_budget.saturating_sub(left);
        (waited / 4).clamp(least, most).min(left.max(least))
    }

    fn holder(&self) -> String {
        let Some(path) = self.database_path() else {
            return "this process".to_owned();
        };
        match db::lock_holder(path) {
            Some(LockHolder::Process { pid, description }) => format!("pid {pid} ({description})"),
            Some(LockHolder::OutOfSight) => "a live process out of sight (another container or \
                 machine)"
                .to_owned(),
            None => "a process that has let go since".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Inputs, load};
    use crate::host::{Clock, Host};
    use crate::model::Mode;

    #[test]
    fn a_try_goes_on_for_longer_the_longer_the_wait_was_and_not_beyond_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = Inputs {
            root: Some(folder.path().to_owned()),
            config: None,
            database_url: None,
            variables: BTreeMap::new(),
            current_dir: folder.path().to_owned(),
        };
        let second = Duration::from_secs(1);
        let patience = |left: Option<Duration>| {
            let host = Host::new(Clock::System, BTreeMap::new(), folder.path().to_owned());
            let (config, budget) = (load(&inputs).unwrap(), 30 * second);
            let cx = Context::new(config, host, Mode::Heal, Vec::new(), budget, |_| {});
            if let Some(left) = left {
                cx.lock_deadline.set(Instant::now() + left).unwrap();
            }
            cx.lock_patience()
        };
        let [least, most] = LOCK_PATIENCE;
        assert_eq!(patience(None), least);
        assert_eq!(patience(Some(30 * second)), least);
        let later = patience(Some(26 * second));
        assert!(later >= second && later < most, "{later:?}");
        assert_eq!(patience(Some(15 * second)), most);
        assert!(patience(Some(second)) <= second);
        assert_eq!(patience(Some(Duration::ZERO)), least);
    }
}
