//! Are the secrets set that the application needs? `create_default_env` makes the ones that are the
//! application's own.

use crate::checks::Check;
use crate::checks::support::cannot_look;
use crate::config::{Environment, is_placeholder};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};

/// See the module.
pub struct SecretKey;

impl Check for SecretKey {
    fn title(&self) -> &'static str {
        "Secrets are set"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let names: Vec<&str> = cx
            .config
            .required_secrets
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "DATABASE_URL")
            .collect();
        if names.is_empty() {
            return Ok(Findings::not_applicable(
                "boot.toml names no required secret",
            ));
        }
        let environment = cx.environment().map_err(cannot_look)?;
        let problems = names
            .iter()
            .filter_map(|name| missing(&environment, name, "secret_missing"))
            .collect();
        Ok(Findings::from_problems(problems, names.join(", ")))
    }
}

/// The finding where a variable is not set, or set to what stands in an example.
pub(super) fn missing(
    environment: &Environment,
    name: &str,
    code: &'static str,
) -> Option<Finding> {
    let message = match environment.get(name) {
        None => format!("{name} is not set"),
        Some(set) if is_placeholder(&set.value) => format!("{name} is set to a placeholder"),
        Some(_) => return None,
    };
    Some(
        Finding::new(code, message)
            .action(format!("set {name} in the environment or in .env"))
            .pattern("missing_env_secrets"),
    )
}
