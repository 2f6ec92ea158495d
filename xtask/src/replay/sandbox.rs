//! An application in a folder of its own, in the state that an incident leaves it in. The user's
//! application is never touched.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use boot_checks::config::{self, BootConfig, Inputs};
use boot_checks::host;

use super::gate::Gate;
use super::programs::Program;
use super::tree::Tree;

/// The healthy application that every state begins with.
const HEALTHY: [(&str, &str); 2] = [
    (
        "boot.toml",
        include_str!("../../../fixtures/healthy/boot.toml"),
    ),
    (".env", include_str!("../../../fixtures/healthy/dot-env")),
];

/// The database of that application, below its root.
pub(super) const DATABASE: &str = "var/grace.db";

/// The signal that asked this process to stop.
static STOPPED_BY: OnceLock<&'static str> = OnceLock::new();

/// Lets a signal end this process in its own time: what is under way comes to its end, nothing new is
/// begun, and every sandbox is removed.
pub(super) fn stop_on_signals() -> std::io::Result<()> {
    host::on_termination(|signal| {
        let _ = STOPPED_BY.set(signal);
    })
}

/// Fails where a signal asked to stop.
pub(super) fn go_on() -> anyhow::Result<()> {
    match STOPPED_BY.get() {
        Some(signal) => anyhow::bail!("stopped by {signal}"),
        None => Ok(()),
    }
}

/// A folder with an application in it, and one for what the replay itself keeps.
#[derive(Debug)]
pub(super) struct Sandbox {
    folder: PathBuf,
    /// None where it was asked to be kept.
    _temporary: Option<tempfile::TempDir>,
    /// The whole environment of every process in it.
    pub(super) variables: BTreeMap<String, String>,
    /// The application's port.
    pub(super) port: u16,
    /// Other programs, in the order in which they were started.
    pub(super) programs: Vec<Program>,
}

impl Sandbox {
    /// A sandbox with a healthy application that was booted once; in `keep`, where that is given.
    pub(super) fn healthy(keep: Option<&Path>) -> anyhow::Result<Sandbox> {
        static BASE: OnceLock<Result<Tree, String>> = OnceLock::new();
        let base = BASE.get_or_init(|| base().map_err(|error| format!("{error:#}")));
        let base = base.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let sandbox = Sandbox::empty(keep)?;
        base.lay_out(&sandbox.root())?;
        Ok(sandbox)
    }

    /// A sandbox with nothing in it.
    pub(super) fn empty(keep: Option<&Path>) -> anyhow::Result<Sandbox> {
        go_on()?;
        let (folder, temporary) = match keep {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let temporary = tempfile::Builder::new().prefix("replay-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let mut sandbox = Sandbox {
            folder,
            _temporary: temporary,
            variables: BTreeMap::new(),
            port: free_port()?,
            programs: Vec::new(),
        };
        for part in [sandbox.root(), sandbox.work()] {
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let root = sandbox.root().display().to_string();
        sandbox.variables = BTreeMap::from([
            // What the gate shows must not depend on how long the names are in it.
            ("COLUMNS".to_owned(), "1000".to_owned()),
            ("HOME".to_owned(), root),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()),
            ("TZ".to_owned(), "UTC".to_owned()),
            ("BOOT_PORT".to_owned(), sandbox.port.to_string()),
        ]);
        Ok(sandbox)
    }

    /// The application's root.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("app")
    }

    /// Where the replay keeps what is not the application's.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// A path below the application's root.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The application's database.
    pub(super) fn database(&self) -> PathBuf {
        self.path(DATABASE)
    }

    /// What the gate would read of it.
    pub(super) fn config(&self) -> anyhow::Result<BootConfig> {
        let inputs = Inputs {
            root: Some(self.root()),
            variables: self.variables.clone(),
            current_dir: self.root(),
            ..Inputs::default()
        };
        Ok(config::load(&inputs)?)
    }
}

/// A healthy application after its first boot, without what only that boot was about.
fn base() -> anyhow::Result<Tree> {
    let sandbox = Sandbox::empty(None)?;
    for (name, text) in HEALTHY {
        fs::write(sandbox.path(name), text)?;
    }
    let boot = Gate::of(&sandbox).boot(&[], |_| {})?;
    anyhow::ensure!(
        boot.record.summary.success,
        "the healthy application does not boot:\n{}",
        boot.console
    );
    let of_that_boot = |name: &str| {
        let lasting = ["", "/lock", "/schedule.json", "/playbooks.json"];
        let own = name.strip_prefix("var/boot");
        own.is_some_and(|own| !lasting.contains(&own))
            || name.starts_with("logs/")
            || name.starts_with("grace_training/startup_failures")
    };
    Ok(Tree::of(&sandbox.root(), &|name| !of_that_boot(name))?)
}

/// A port that nobody has at this moment, below the range that the system gives away by itself: no
/// other program gets it by chance.
fn free_port() -> anyhow::Result<u16> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let number = std::process::id().wrapping_mul(37).wrapping_add(step) % COUNT;
        let port = u16::try_from(FIRST + number)?;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}
