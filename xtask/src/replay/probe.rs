//! Brings an error about as the application would, and recognises it as `diagnose` would.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use boot_checks::config::Environment;
use boot_checks::patterns::{OwnPackages, Probe, recognise};
use boot_checks::services::db::{Access, Connection};

use super::sandbox::Sandbox;

/// What came of a probe.
#[derive(Debug)]
pub(super) enum Probed {
    /// The error that was reported, as it is printed.
    Error(String),
    /// No error came.
    NoError,
    /// It could not be tried, for this reason.
    NotPossible(String),
}

/// Bytes that are written to see whether a file can be.
const PROBE_BYTES: usize = 64 << 10;

/// Why a statement could not be tried.
const NOT_OPENED: &str = "an error `by = \"sqlite\"` needs a database that can be opened; \
                          what opening it says, `by = \"python\"` can show";

/// Packages of the applications in the fixtures.
const OWN_PACKAGE: &str = "backend";

/// The ids of the patterns that this text is recognised as.
pub(super) fn recognised(text: &str) -> Vec<&'static str> {
    let own = OwnPackages::new(&[OWN_PACKAGE.to_owned()]);
    recognise(text, &own)
        .iter()
        .map(|incident| incident.pattern)
        .collect()
}

/// Where the error came from, in a word.
pub(super) fn by(probe: &Probe) -> &'static str {
    match probe {
        Probe::Sqlite { .. } => "sqlite",
        Probe::Python { .. } => "python",
        Probe::Port { .. } | Probe::Write { .. } => "system",
    }
}

/// Tries it.
pub(super) fn probe(sandbox: &Sandbox, probe: &Probe) -> anyhow::Result<Probed> {
    let system = |done: std::io::Result<()>| match done {
        Ok(()) => Probed::NoError,
        Err(error) => Probed::Error(error.to_string()),
    };
    Ok(match probe {
        Probe::Sqlite { run, .. } => {
            let mut connection =
                Connection::open(&sandbox.database(), Access::ReadWrite, Duration::ZERO)
                    .context(NOT_OPENED)?;
            let error = connection.complaint(run);
            connection.close();
            error.map_or(Probed::NoError, Probed::Error)
        }
        Probe::Python {
            run, environment, ..
        } => python(sandbox, run, environment)?,
        Probe::Port { .. } => {
            system(TcpListener::bind((Ipv4Addr::UNSPECIFIED, sandbox.port)).map(drop))
        }
        Probe::Write { path, .. } => {
            let path = sandbox.path(path);
            let done = fs::write(&path, [b'.'; PROBE_BYTES]);
            // Half of it may be there.
            let _ = fs::remove_file(&path);
            system(done)
        }
    })
}

/// Runs a program as the application would be launched: in its root, with its environment and that
/// of its `.env`.
fn python(sandbox: &Sandbox, run: &str, over: &BTreeMap<String, String>) -> anyhow::Result<Probed> {
    let Some(interpreter) = interpreter() else {
        return Ok(Probed::NotPossible("python3 is missing".to_owned()));
    };
    let environment = Environment::read(&sandbox.variables, &sandbox.path(".env"))?;
    let mut variables: BTreeMap<String, String> = environment
        .iter()
        .map(|(name, set)| (name.to_owned(), set.value.clone()))
        .collect();
    variables.extend(over.clone());
    let output = Command::new(interpreter)
        // It leaves nothing beside the sources, and finds nothing but the application's own.
        .args(["-B", "-S", "-c", run])
        .env_clear()
        .envs(variables)
        .current_dir(sandbox.root())
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_silent = output.status.success() && said.is_empty();
    Ok(if is_silent {
        Probed::NoError
    } else {
        Probed::Error(said)
    })
}

/// The interpreter itself, past whatever stands for it in the search path.
fn interpreter() -> Option<&'static PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let output = Command::new("python3")
                .args(["-c", "import sys; print(sys.executable)"])
                .stdin(Stdio::null())
                .output()
                .ok()?;
            let path = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| PathBuf::from(path.trim()))
        })
        .as_ref()
}
