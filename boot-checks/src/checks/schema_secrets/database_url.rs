//! Does the application find `DATABASE_URL` in its environment? Where it does not, it may open
//! another database than the one that this boot looked at. `create_default_env` writes it down.

use super::secret_key::missing;
use crate::checks::Check;
use crate::checks::support::cannot_look;
use crate::context::Context;
use crate::model::{CheckResult, Findings};

/// See the module.
pub struct DatabaseUrlSet;

impl Check for DatabaseUrlSet {
    fn title(&self) -> &'static str {
        "DATABASE_URL is set"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let name = "DATABASE_URL";
        if !cx
            .config
            .required_secrets
            .iter()
            .any(|required| required == name)
        {
            return Ok(Findings::not_applicable(
                "boot.toml does not require DATABASE_URL",
            ));
        }
        let environment = cx.environment().map_err(cannot_look)?;
        let problems = missing(cx, &environment, name, "database_url_missing")
            .into_iter()
            .collect();
        Ok(Findings::from_problems(
            problems,
            cx.config.database.value.display.clone(),
        ))
    }
}
