//! `cargo xtask launch`: boots, and starts the application where it may start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use boot_checks::config::{BootConfig, Environment, Source};
use boot_checks::context::USUAL_ENVIRONMENTS;
use boot_checks::host::{self, Host};
use boot_checks::model::Verdict;

use crate::{boot, output};

/// Boot, then become the application, with the environment that the boot prepared
///
/// The command runs in the application's root with the variables of this process over those of its .env, which
/// the boot may just have completed; DATABASE_URL is the database that was checked. It takes the place of this process: its exit code is the answer, and
/// signals reach it. Where the application may not start, the command is not run, and the exit code is boot's.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
// Its group would have the name of the flattened one.
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    boot: boot::Args,

    /// The application's command and its arguments; one with a slash is looked for in the application's root
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  cargo xtask launch -- uvicorn backend.main:app --port 8000
  cargo xtask launch --root /srv/grace --strict -- .venv/bin/python -m backend

Exit codes: the command's; where it was not run, those of boot, 2 where a part of the checks was asked for,
126 where the command cannot be run, 127 where it is not there";

/// Where applications look for their database.
const DATABASE_URL: &str = "DATABASE_URL";

/// Where virtual environments keep commands.
const COMMANDS: &str = if cfg!(windows) { "Scripts" } else { "bin" };

/// As shells say that a command cannot be run, and that it is not there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    if let Some(option) = args.boot.leaves_out() {
        output::complain(&format!(
            "error: {option} leaves checks out, and a part of them is no reason to start"
        ));
        output::complain("  next: `cargo xtask boot` runs a part of the checks");
        return Ok(Verdict::Usage.exit_code());
    }
    let code = boot::run(&args.boot)?;
    if code != Verdict::MayStart.exit_code() {
        return Ok(code);
    }
    let host = Host::real().context("the current folder is gone")?;
    // The boot has just read the same.
    let config = args.boot.application.load(&host)?;
    let environment = Environment::read(&host.variables, &config.env_file)?;
    let (program, arguments) = args.command.split_first().context("no command")?;
    let mut command = Command::new(place(&config, program));
    command.args(arguments).current_dir(&config.root);
    command.env("PWD", &config.root).envs(added(&environment));
    let database = &config.database;
    if matches!(database.source, Source::Flag | Source::ConfigFile) {
        // What was checked is what the application opens.
        command.env(DATABASE_URL, &database.value.url);
    }
    if !host::hand_over() {
        return Ok(boot::STOPPED);
    }
    match host::become_program(command) {
        Ok(code) => Ok(code),
        Err(error) => {
            let name = Path::new(program).display();
            output::complain(&format!("error: cannot run `{name}`: {error}"));
            let root = config.root.display();
            output::complain(&format!("  it was looked for in PATH, or from {root}"));
            if let Some(found) = in_environment(&config, Path::new(program)) {
                let found = found.display();
                output::complain(&format!(
                    "  next: `cargo xtask launch -- {found} ...`, which is there"
                ));
            }
            Ok(match error.kind() {
                std::io::ErrorKind::NotFound => NOT_FOUND,
                _ => CANNOT_RUN,
            })
        }
    }
}

/// Where the application's virtual environment has a command that PATH does not have, as a launch takes it.
fn in_environment(config: &BootConfig, program: &Path) -> Option<PathBuf> {
    let is_name = program.components().count() == 1;
    let folders = USUAL_ENVIRONMENTS.iter().filter(|_| is_name);
    let mut places = folders.map(|folder| Path::new(folder).join(COMMANDS).join(program));
    places.find(|place| config.root.join(place).is_file())
}

/// What `.env` adds to the variables of this process, which the command has anyway, byte for byte.
fn added(environment: &Environment) -> impl Iterator<Item = (&str, &str)> {
    let all = environment.iter();
    let of_file = all.filter(|(_, variable)| variable.source == Source::EnvFile);
    of_file.map(|(name, variable)| (name, variable.value.as_str()))
}

/// A name alone is looked for in PATH.
fn place(config: &BootConfig, program: &OsString) -> PathBuf {
    let program = Path::new(program);
    if program.components().count() > 1 {
        config.root.join(program)
    } else {
        program.to_owned()
    }
}
