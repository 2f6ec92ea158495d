//! Writes the required variables that are missing into `.env`: a random key where a key is the
//! application's own, and the database that this boot looked at. What a third party issues cannot be
//! made up, and a line that is there without its value is a person's to fill in.

use super::fix_unicode_logging::{cannot_look, complete_env, env_name};
use super::{Plan, PlanError, Playbook};
use crate::config::{Source, is_placeholder};
use crate::context::Context;
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};

const META: PlaybookMeta = PlaybookMeta {
    id: "create_default_env",
    description: "Generate .env file",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["secret_missing", "database_url_missing"],
    registered: true,
};

/// Names of keys that an application makes for itself.
const OWN_KEYS: [&str; 5] = [
    "SECRET_KEY",
    "JWT_SECRET",
    "JWT_SECRET_KEY",
    "SESSION_SECRET",
    "APP_SECRET_KEY",
];

/// 256 bits, the strength that HMAC-SHA-256 can use.
const KEY_BYTES: usize = 32;

pub(super) struct CreateDefaultEnv;

impl Playbook for CreateDefaultEnv {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, problems: &[Finding]) -> Result<Plan, PlanError> {
        let environment = cx.environment().map_err(cannot_look)?;
        let (mut wanted, mut issued) = (Vec::new(), Vec::new());
        let (mut hiding, mut waiting) = (Vec::new(), Vec::new());
        for name in &cx.config.required_secrets {
            let set = environment.get(name);
            if set.is_some_and(|set| !is_placeholder(&set.value)) {
                continue;
            }
            if set.is_some_and(|set| set.source != Source::EnvFile) {
                hiding.push(name.as_str());
            } else if set.is_some() {
                waiting.push(name.as_str());
            } else if name == "DATABASE_URL" {
                wanted.push((name.clone(), cx.config.database.value.url.clone()));
            } else if OWN_KEYS.contains(&name.as_str()) {
                wanted.push((name.clone(), random_key()?));
            } else {
                issued.push(name.as_str());
            }
        }
        if let Some(name) = hiding.iter().find(|name| is_problem(problems, name)) {
            let reason = format!(
                "the environment has its own {name}, which is stronger than {}",
                env_name(cx)
            );
            return Err(PlanError::NotApplicable(reason));
        }
        waiting.retain(|name| is_problem(problems, name));
        if !waiting.is_empty() {
            let (names, file) = (waiting.join(" and "), env_name(cx));
            let reason = format!("{file} names {names} without a value, and keeps every line");
            return Err(PlanError::NotApplicable(reason));
        }
        if problems.iter().any(|it| it.code == "secret_missing") && !issued.is_empty() {
            let names = issued.join(" and ");
            let reason = format!(
                "only its issuer can give {names}; put it into {}",
                env_name(cx)
            );
            return Err(PlanError::NotApplicable(reason));
        }
        let changes = complete_env(cx, &wanted)?;
        if changes.is_empty() {
            let reason = format!("nothing can be added to {}", env_name(cx));
            return Err(PlanError::NotApplicable(reason));
        }
        let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let made = if cx.config.env_file.exists() {
            "completed"
        } else {
            "created"
        };
        let summary = format!("{made} {} with {}", env_name(cx), names.join(" and "));
        Ok(Plan { summary, changes })
    }

    fn made_up(&self, plan: &Plan) -> Vec<String> {
        let added = plan.changes.iter().filter_map(|change| match change {
            Change::CreateFile { contents, .. } => Some(contents),
            Change::AppendToFile { addition, .. } => Some(addition),
            _ => None,
        });
        added.flat_map(|bytes| own_keys(bytes)).collect()
    }
}

/// Whether a problem that is to be healed may be that of this variable.
fn is_problem(problems: &[Finding], name: &str) -> bool {
    let code = match name {
        "DATABASE_URL" => "database_url_missing",
        _ => "secret_missing",
    };
    problems.iter().any(|problem| problem.code == code)
}

/// The values of the application's own keys among these lines that look as this playbook makes them.
fn own_keys(lines: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(lines);
    let values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        let is_ours = value.len() == 2 * KEY_BYTES && value.chars().all(|c| c.is_ascii_hexdigit());
        (OWN_KEYS.contains(&name.trim()) && is_ours).then(|| value.to_owned())
    });
    values.collect()
}

fn random_key() -> Result<String, PlanError> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| {
        PlanError::CannotLook(format!("the system has no random bytes: {error}"))
    })?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}
