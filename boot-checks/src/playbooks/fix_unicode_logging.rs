//! Sets `PYTHONIOENCODING=utf-8` in the application's `.env`, where nothing stronger says otherwise.
//!
//! It takes effect when the application is started with that file as its environment
//! (`EnvironmentFile=` of a unit, `--env-file` of a container, `set -a; . ./.env` in a shell): Python
//! reads the variable before its first line runs.

use super::{Plan, PlanError, Playbook};
use crate::config::{EnvCompletion, Source, complete};
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "fix_unicode_logging",
    description: "UTF-8 console setup",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["encoding_not_utf8"],
    registered: true,
};

/// As much as the configuration reads of it.
const ENV_FILE_BYTES_MAX: u64 = 1 << 20;

const VARIABLE: &str = "PYTHONIOENCODING";

pub(super) struct FixUnicodeLogging;

impl Playbook for FixUnicodeLogging {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        if let Some(set) = cx.environment().map_err(cannot_look)?.get(VARIABLE) {
            let place = match set.source {
                Source::EnvFile => cx.config.env_file.display().to_string(),
                _ => "the environment of this process, which is stronger than .env".to_owned(),
            };
            return Err(PlanError::NotApplicable(format!(
                "{VARIABLE} is set in {place}"
            )));
        }
        let wanted = [(VARIABLE.to_owned(), "utf-8".to_owned())];
        let changes = complete_env(cx, &wanted)?;
        Ok(Plan {
            summary: format!("set {VARIABLE}=utf-8 in {}", env_name(cx)),
            changes,
        })
    }
}

/// The change that makes these variables stand in `.env`; what is there keeps every byte.
pub(super) fn complete_env(
    cx: &Context,
    wanted: &[(String, String)],
) -> Result<Vec<Change>, PlanError> {
    let path = cx.config.env_file.clone();
    let existing = read_if_there(&path)?;
    let example = read_if_there(&path.with_file_name(".env.example"))?;
    let completion =
        complete(existing.as_deref(), example.as_deref(), wanted).map_err(cannot_look)?;
    Ok(match completion {
        EnvCompletion::Nothing => Vec::new(),
        EnvCompletion::Create(contents) => {
            vec![Change::CreateFile {
                path,
                contents,
                mode: 0o600,
            }]
        }
        EnvCompletion::Append(addition) => {
            vec![Change::AppendToFile {
                path,
                expected: existing.unwrap_or_default(),
                addition,
            }]
        }
    })
}

pub(super) fn cannot_look(error: impl std::fmt::Display) -> PlanError {
    PlanError::CannotLook(error.to_string())
}

/// The name of `.env` as a person would say it.
pub(super) fn env_name(cx: &Context) -> String {
    let path = &cx.config.env_file;
    path.strip_prefix(&cx.config.root)
        .unwrap_or(path)
        .display()
        .to_string()
}

fn read_if_there(path: &std::path::Path) -> Result<Option<Vec<u8>>, PlanError> {
    match crate::host::files::read_limited(path, ENV_FILE_BYTES_MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PlanError::CannotLook(format!(
            "{}: {error}",
            path.display()
        ))),
    }
}
