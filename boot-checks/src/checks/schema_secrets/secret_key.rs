//! Are the secrets set that the application needs? `create_default_env` makes the ones that are the
//! application's own.

use crate::checks::Check;
use crate::checks::support::{cannot_look, short};
use crate::config::{Environment, Source, env_line, is_placeholder};
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
            .filter_map(|name| missing(cx, &environment, name, "secret_missing"))
            .collect();
        Ok(Findings::from_problems(problems, names.join(", ")))
    }
}

/// The finding where a variable is not set, or set to what stands in an example.
pub(super) fn missing(
    cx: &Context,
    environment: &Environment,
    name: &str,
    code: &'static str,
) -> Option<Finding> {
    let set = environment.get(name);
    let finding = match set {
        None => Finding::new(code, format!("{name} is not set")),
        Some(set) if is_placeholder(&set.value) => {
            let what = match set.value.trim() {
                "" => "empty",
                _ => "a placeholder",
            };
            let place = match set.source {
                Source::EnvFile => line_of(cx, name),
                _ => "the environment".to_owned(),
            };
            Finding::new(code, format!("{name} is {what} in {place}"))
        }
        Some(_) => return None,
    };
    let finding = match set.map(|set| set.source) {
        Some(Source::Environment) => behind_the_process(finding, environment, name),
        Some(Source::EnvFile) => finding
            .cause(
                "the line is there and waits for its value; what a person wrote is not overwritten",
            )
            .action(format!(
                "fill in {}: `{name}=` and its value",
                line_of(cx, name)
            )),
        _ => finding.action(format!("set {name} in the environment or in .env")),
    };
    Some(finding.pattern("missing_env_secrets"))
}

/// `.env:3`, where the variable stands; the file alone where it has changed since.
fn line_of(cx: &Context, name: &str) -> String {
    let file = short(cx, &cx.config.env_file);
    match env_line(&cx.config.env_file, name) {
        Some(line) => format!("{file}:{line}"),
        None => file,
    }
}

/// What stands in `.env` is no help while the process itself has the variable.
fn behind_the_process(finding: Finding, environment: &Environment, name: &str) -> Finding {
    match environment.hidden(name) {
        Some(of_file) if !is_placeholder(of_file) => finding
            .cause("a variable of the environment, an empty one too, hides the one in .env")
            .action(format!(
                "`unset {name}` where the application is started, and the one in .env counts"
            )),
        _ => finding
            .cause("a variable of the environment, an empty one too, is stronger than .env")
            .action(format!(
                "set {name} where the application is started, or `unset {name}` there and set it in .env"
            )),
    }
}
