//! What a check or a playbook is given: the configuration, the machine, and the services.

mod integrity;
mod left_log;
mod look;
mod sources;
mod waiting;

pub use integrity::{INTEGRITY_FILE, LOOK_BUDGET};
pub use left_log::LeftLog;
pub use sources::{NoSources, USUAL_ENVIRONMENTS};

use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use look::{Look, Schema, Wanted};

use crate::config::{BootConfig, ConfigError, Environment, Migrations};
use crate::host::encoding::OutputEncoding;
use crate::host::{self, Host};
use crate::model::{Mode, PlaybookMeta};
use crate::services::SeenDatabases;
use crate::services::db::salvage::KeptCopy;
use crate::services::db::{self, Access, Connection, DbError, FileSet, Row, Structure};
use crate::services::mesh::TriggerMesh;
use crate::services::metrics::MetricsCollector;
use crate::services::migrations::{MigrationSet, MigrationSetError, MigrationStatus};

/// The copies of a database that runs below a root kept.
pub type CopiesOf = fn(&Path, &Path) -> io::Result<Box<dyn Iterator<Item = KeptCopy>>>;

/// What a boot works with.
pub struct Context {
    /// The application.
    pub config: BootConfig,
    /// The machine.
    pub host: Host,
    /// Whether this run may change anything.
    pub mode: Mode,
    /// Why a run that was to change something only looks; none where nothing keeps it from that.
    pub only_looks: Option<String>,
    /// Whether a database that vanished may be made anew.
    pub allow_create: bool,
    /// Whether every page of the database is looked at, due or not.
    pub looks_at_every_page: bool,
    /// Fingerprints of the plans that a person approved.
    pub approved: Vec<String>,
    /// Playbooks that the application's registry lists.
    pub registry: Vec<PlaybookMeta>,
    /// What the journal of a root knows of the copies of a database, as [`KeptCopies`]; nothing unless it is set.
    ///
    /// [`KeptCopies`]: crate::services::db::salvage::KeptCopies
    pub kept_copies: CopiesOf,
    /// The trigger mesh, once stage 3 has started it.
    pub mesh: OnceLock<TriggerMesh>,
    /// The metrics collector, once stage 3 has started it.
    pub metrics: OnceLock<MetricsCollector>,
    lock_budget: Duration,
    lock_deadline: OnceLock<Instant>,
    lock_holder: Mutex<Option<String>>,
    on_wait: Box<dyn Fn(&str) + Send + Sync>,
    migrations: OnceLock<Result<Option<Arc<MigrationSet>>, Arc<MigrationSetError>>>,
    opening: Mutex<()>,
    connection: Mutex<Option<Look>>,
    broken: Mutex<Option<DbError>>,
    environment: Mutex<Option<Arc<Environment>>>,
    integrity: integrity::Memory,
    left: left_log::Judged,
    read: Mutex<sources::Read>,
}

impl Context {
    /// `lock_budget` is how long the whole boot waits for locks on the database; `on_wait` is told
    /// what is waited for.
    pub fn new(
        config: BootConfig,
        host: Host,
        mode: Mode,
        registry: Vec<PlaybookMeta>,
        lock_budget: Duration,
        on_wait: impl Fn(&str) + Send + Sync + 'static,
    ) -> Context {
        Context {
            config,
            host,
            mode,
            only_looks: None,
            allow_create: false,
            looks_at_every_page: false,
            approved: Vec::new(),
            registry,
            kept_copies: |_, _| Ok(Box::new(iter::empty())),
            mesh: OnceLock::new(),
            metrics: OnceLock::new(),
            lock_budget,
            lock_deadline: OnceLock::new(),
            lock_holder: Mutex::new(None),
            on_wait: Box::new(on_wait),
            migrations: OnceLock::new(),
            opening: Mutex::new(()),
            connection: Mutex::new(None),
            broken: Mutex::new(None),
            environment: Mutex::new(None),
            integrity: integrity::Memory::default(),
            left: left_log::Judged::default(),
            read: Mutex::default(),
        }
    }

    /// The folder of the gate's own state.
    pub fn state_folder(&self) -> PathBuf {
        self.config.root.join("var/boot")
    }

    /// The database's main file, links followed; none for a database in memory.
    pub fn database_path(&self) -> Option<&Path> {
        self.config.database.value.path.as_deref()
    }

    /// The migrations that the gate itself applies; none where another tool does or nobody.
    ///
    /// # Errors
    ///
    /// When the folder of migrations cannot be used.
    pub fn migrations(&self) -> Result<Option<Arc<MigrationSet>>, Arc<MigrationSetError>> {
        self.migrations
            .get_or_init(|| match &self.config.migrations {
                Migrations::BuiltIn => Ok(Some(MigrationSet::built_in())),
                Migrations::Folder(folder) => MigrationSet::from_folder(folder)
                    .map(|set| Some(Arc::new(set)))
                    .map_err(Arc::new),
                Migrations::External { .. } | Migrations::None => Ok(None),
            })
            .clone()
    }

    /// Whether the application's own database holds the registry of playbooks. Otherwise the gate's
    /// store does.
    pub fn registry_is_in_database(&self) -> bool {
        let wanted = ["name", "risk_level", "autonomy_tier"];
        let is_file = self.database_path().is_some();
        is_file
            && self.config.tables.iter().any(|table| {
                table.name == "playbooks"
                    && wanted
                        .iter()
                        .all(|name| table.columns.iter().any(|column| column.name == *name))
            })
    }

    /// The file of the registry, where the database does not hold it.
    pub fn registry_file(&self) -> PathBuf {
        self.state_folder().join("playbooks.json")
    }

    /// The databases that earlier boots saw.
    pub fn seen_databases(&self) -> SeenDatabases {
        SeenDatabases::below(&self.config.root)
    }

    /// The database's name among those that were seen, as it was spelled: below the root where it is there, so
    /// that it goes with the root.
    pub fn seen_name(&self) -> Option<String> {
        let path = self.config.database.value.spelled.as_deref()?;
        let name = path.strip_prefix(&self.config.root).unwrap_or(path);
        Some(name.display().to_string())
    }

    /// The file of the monitor's schedules.
    pub fn schedule_file(&self) -> PathBuf {
        self.state_folder().join("schedule.json")
    }

    /// What the application will find in its environment; read anew after [`Context::refresh`].
    ///
    /// # Errors
    ///
    /// When `.env` cannot be read.
    pub fn environment(&self) -> Result<Arc<Environment>, ConfigError> {
        let mut slot = self
            .environment
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = slot.as_ref() {
            return Ok(Arc::clone(environment));
        }
        let read = Environment::read(&self.host.variables, &self.config.env_file)?;
        Ok(Arc::clone(slot.insert(Arc::new(read))))
    }

    /// The encoding of the application's output, as its environment decides it.
    ///
    /// # Errors
    ///
    /// When `.env` cannot be read.
    pub fn output_encoding(&self) -> Result<OutputEncoding, ConfigError> {
        let environment = self.environment()?;
        let variable = |name: &str| environment.get(name).map(|found| found.value.clone());
        Ok(OutputEncoding::of(variable, host::console_code_page()))
    }

    /// Forgets everything that was read, so that the next look is a fresh one.
    pub fn refresh(&self) {
        self.forget_connection();
        self.integrity.forget_rehearsal();
        self.left.forget();
        self.forget_imported();
        self.lock_broken().take();
        self.environment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// The database's files as they are now. Closes the connection first: closing a descriptor of an
    /// open database would drop its locks.
    pub fn files(&self) -> Option<FileSet> {
        self.forget_connection();
        let files = self.database_path().map(FileSet::look)?;
        self.integrity.first_look(&files);
        Some(files)
    }

    /// Closes the connection, so that the next look is a fresh one.
    pub fn forget_connection(&self) {
        if let Some(look) = self.lock_connection().take() {
            look.connection.close();
        }
    }

    /// Looks at the database, waiting for locks as long as the boot's budget lasts.
    ///
    /// # Errors
    ///
    /// SQLite's reason. A lock is an error only when the budget is used up.
    pub fn look<T>(
        &self,
        mut question: impl FnMut(&mut Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.with_look(|look| question(&mut look.connection))
    }

    fn with_look<T>(
        &self,
        mut question: impl FnMut(&mut Look) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        if let Some(error) = self.lock_broken().as_ref() {
            return Err(error.clone());
        }
        let mut taken_for_a_crash = 0;
        loop {
            match self.look_once(&mut question) {
                Err(error) if error.is_locked() => self.wait_for_lock(error)?,
                // Beside a journal in use, see `Look::open_beside_a_journal`.
                Err(error)
                    if !self.is_opened_to_write()
                        && error.wants_rollback()
                        && taken_for_a_crash < look::LOOKS_AT_A_JOURNAL =>
                {
                    taken_for_a_crash += 1;
                    self.forget_connection();
                    std::thread::sleep(look::BETWEEN_LOOKS);
                }
                Err(error) if error.is_lasting() => {
                    return Err(self.lock_broken().insert(error).clone());
                }
                other => return other,
            }
        }
    }

    /// What the database answers, asked once per connection.
    ///
    /// # Errors
    ///
    /// As [`Context::look`].
    pub fn answer(&self, question: &'static str) -> Result<Arc<[Row]>, DbError> {
        self.with_look(|look| look.answer(question))
    }

    /// The structure of every table that a check asks for, read once per connection.
    ///
    /// # Errors
    ///
    /// As [`Context::look`].
    pub fn structure(&self) -> Result<Arc<Structure>, DbError> {
        self.with_schema(|schema| Ok(Arc::clone(&schema.structure)))
    }

    /// Where the database stands against the migrations that the gate applies, as it was when
    /// [`Context::structure`] was read.
    ///
    /// # Errors
    ///
    /// As [`Context::look`]; also where the gate applies none.
    pub fn migration_status(&self) -> Result<Arc<MigrationStatus>, DbError> {
        self.with_schema(|schema| schema.migration_status.clone())
    }

    fn with_schema<T>(
        &self,
        question: impl Fn(&Schema) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let migrations = self.migrations().ok().flatten();
        let nothing = Structure::default();
        let expected = migrations.as_ref().map_or(&nothing, |set| set.expected());
        let required = self.config.tables.iter().map(|table| &table.name);
        let names = expected.tables.keys().chain(required);
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let wanted = Wanted {
            names,
            expected,
            migrations: migrations.as_deref(),
        };
        self.with_look(|look| question(look.schema(&wanted)?))
    }

    fn look_once<T>(
        &self,
        question: &mut impl FnMut(&mut Look) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        loop {
            if let Some(look) = self.lock_connection().as_mut() {
                return question(look);
            }
            let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            if self.lock_connection().is_none() {
                let look = self.open_for_looking()?;
                *self.lock_connection() = Some(look);
            }
        }
    }

    fn open_for_looking(&self) -> Result<Look, DbError> {
        let path = self
            .database_path()
            .ok_or_else(|| DbError::other("the database is in memory"))?;
        // For healing it is opened as the application will open it.
        if self.is_opened_to_write() {
            let connection = self.open_judged(Access::ReadWrite, look::STATEMENT_WAIT)?;
            return Ok(Look::of(connection, None));
        }
        self.refuse_a_foreign_log()?;
        let files = FileSet::look(path);
        if !files.reading_may_write() {
            return Look::open(path, Access::ReadOnly, None);
        }
        if files.has_no_log()
            && let Some(look) = Look::open_beside_a_journal(path)?
        {
            return Ok(look);
        }
        // A copy meets no lock; the application would.
        if db::is_held_exclusively(path) {
            return Err(DbError::Locked { code: 5 });
        }
        let copy = db::copy_for_looking(&files)?;
        let path = copy.path().join(path.file_name().unwrap_or_default());
        Look::open(&path, Access::ReadWrite, Some(copy))
    }

    /// Whether this run looks at the file itself, through a connection that may write.
    ///
    /// Safety: SQLite makes the log and its index even where it may only read the main file. They would be this
    /// user's, and whoever may write the main file could not write them.
    fn is_opened_to_write(&self) -> bool {
        let is_kept_out = |path: &Path| path.exists() && host::can_write_file(path).is_err();
        self.mode == Mode::Heal && !self.database_path().is_some_and(is_kept_out)
    }

    /// What made the database give up on every question; asked anew after [`Context::refresh`].
    fn lock_broken(&self) -> MutexGuard<'_, Option<DbError>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A check that panicked has not harmed the slot: it holds a whole connection or none.
    fn lock_connection(&self) -> MutexGuard<'_, Option<Look>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
