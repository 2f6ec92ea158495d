//! `cargo xtask ci`: what the CI gate runs.

use anyhow::Context as _;
use boot_checks::model::Verdict;
use xshell::{Shell, cmd};

use crate::output;

/// Run what the CI gate runs: format, lints, tests, documentation
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<u8> {
    let shell = Shell::new().context("cannot open a shell")?;
    shell.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    shell.set_var("INSTA_UPDATE", "no");
    shell.set_var("RUSTDOCFLAGS", "-D warnings");
    let steps = [
        ("format", cmd!(shell, "{cargo} fmt --all --check")),
        (
            "lints",
            cmd!(
                shell,
                "{cargo} clippy --locked --workspace --all-targets -- -D warnings"
            ),
        ),
        ("tests", cmd!(shell, "{cargo} test --locked --workspace")),
        (
            "documentation",
            cmd!(shell, "{cargo} doc --locked --workspace --no-deps"),
        ),
    ];
    for (name, step) in steps {
        output::complain(&format!("ci: {name}"));
        if step.run().is_err() {
            output::complain(&format!("ci: {name} failed"));
            return Ok(Verdict::Blocked.exit_code());
        }
    }
    Ok(0)
}
