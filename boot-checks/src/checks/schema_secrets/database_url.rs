//! Does the application find `DATABASE_URL` in its environment? Where it does not, it may open
//! another database than the one that this boot looked at. `create_default_env` writes it down.
//! Where it names a driver that SQLAlchemy does not bring itself, that is said too.

use super::secret_key::missing;
use crate::checks::Check;
use crate::checks::support::cannot_look;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};

/// See the module.
pub struct DatabaseUrlSet;

impl Check for DatabaseUrlSet {
    fn title(&self) -> &'static str {
        "DATABASE_URL is set"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let name = "DATABASE_URL";
        let driver = cx.config.database.value.foreign_driver.as_deref();
        let driver = driver.map(|driver| foreign(cx, driver));
        if !cx
            .config
            .required_secrets
            .iter()
            .any(|required| required == name)
        {
            if let Some(driver) = driver {
                return Ok(Findings::problem(driver));
            }
            return Ok(Findings::not_applicable(
                "boot.toml does not require DATABASE_URL",
            ));
        }
        let environment = cx.environment().map_err(cannot_look)?;
        let problems = missing(cx, &environment, name, "database_url_missing")
            .into_iter()
            .chain(driver)
            .collect();
        Ok(Findings::from_problems(
            problems,
            cx.config.database.value.display.clone(),
        ))
    }
}

fn foreign(cx: &Context, driver: &str) -> Finding {
    let message = format!("SQLAlchemy itself has no driver for `sqlite+{driver}`");
    Finding::new("database_driver_unknown", message)
        .evidence("named by", cx.config.database.source)
        .cause("create_engine fails with NoSuchModuleError unless an installed package brings it")
        .action(
            "check that such a package is installed, or write `sqlite+aiosqlite`, \
             `sqlite+pysqlite` or `sqlite` in its place",
        )
}
