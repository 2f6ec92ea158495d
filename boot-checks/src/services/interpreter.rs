//! Asks the application's own interpreter to import what is critical.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;

use super::command;
use crate::config::{CriticalImport, Environment};

/// What stands before the answer, so that it is told from what the application itself prints.
const MARK: &str = "import-probe:";

/// Imports each name that it is given and says which of them fail. It ends by `_exit`, so that nothing
/// that the application leaves running keeps it, and nothing is printed behind the answer.
const PROBE: &str = r#"
import importlib, json, os, sys
sys.path.insert(0, os.getcwd())
failures = []
for wanted in json.loads(sys.argv[1]):
    module, _, path = wanted["name"].partition(":")
    try:
        found = importlib.import_module(module)
        for part in path.split(".") if path else ():
            found = getattr(found, part)
        absent = [name for name in wanted["attributes"] if not hasattr(found, name)]
        if absent:
            failures.append({"name": wanted["name"], "error": None, "absent": absent})
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"[:200]
        failures.append({"name": wanted["name"], "error": text, "absent": []})
sys.stdout.flush()
sys.stderr.flush()
os.write(1, ("\nMARK" + json.dumps(failures[:10]) + "\n").encode())
os._exit(0)
"#;

/// What could not be imported.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportFailure {
    /// As it was asked for.
    pub name: String,
    /// What Python said; none where the class is there and lacks attributes.
    pub error: Option<String>,
    /// Attributes that the class does not have.
    pub absent: Vec<String>,
}

/// Imports in a process of its own, in `folder`, and gives what failed; the first ten. `on_slow` as
/// [`command::run`].
///
/// # Errors
///
/// Why the interpreter gave no answer.
pub fn import(
    interpreter: &Path,
    folder: &Path,
    environment: &Environment,
    wanted: &[CriticalImport],
    limit: Duration,
    on_slow: &dyn Fn(),
) -> Result<Vec<ImportFailure>, String> {
    let names = serde_json::json!(
        wanted
            .iter()
            .map(|one| serde_json::json!({ "name": one.name, "attributes": one.attributes }))
            .collect::<Vec<_>>()
    );
    let argv = [
        interpreter.display().to_string(),
        // No compiled files beside the sources: a check leaves nothing behind.
        "-B".to_owned(),
        "-c".to_owned(),
        PROBE.replace("MARK", MARK),
        names.to_string(),
    ];
    let done = command::run(&argv, folder, environment, Stdio::null(), limit, on_slow).map_err(
        |error| match error {
            // The command holds the whole probe.
            command::CommandError::NotStarted { source, .. } => {
                format!("cannot run {}: {source}", interpreter.display())
            }
            command::CommandError::TimedOut { limit, .. } => {
                format!("{} did not end within {limit:?}", interpreter.display())
            }
        },
    )?;
    let answer = done.tail.lines().find_map(|line| line.strip_prefix(MARK));
    let Some(answer) = answer else {
        let last = done.tail.lines().last().unwrap_or("no output");
        let interpreter = interpreter.display();
        return Err(format!(
            "{interpreter} gave no answer ({}): {last}",
            done.status
        ));
    };
    serde_json::from_str(answer).map_err(|error| format!("an answer that is none: {error}"))
}
