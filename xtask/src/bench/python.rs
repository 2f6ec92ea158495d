//! The source checks against `ruff check --no-cache --select F,E9`: whole processes, on the same tree, in turn.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// The source checks against `ruff check --select F,E9` on the same tree
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The application's root.
    tree: PathBuf,
    /// The package below it.
    #[arg(long)]
    package: String,
    /// The ruff to compare with.
    #[arg(long, default_value = "ruff")]
    ruff: PathBuf,
    /// Runs of each; the medians are compared.
    #[arg(long, default_value_t = 15)]
    runs: usize,
}

/// Prints both medians and their ratio; without ruff only our own. Run it as a release build.
#[allow(clippy::print_stdout)] // its output is what the command is for
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let own = std::env::current_exe().context("the path of this program")?;
    let package = args.tree.join(args.package.replace('.', "/"));
    let has_ruff = Command::new(&args.ruff)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        let mut check = Command::new(&own);
        check
            .arg("check-source")
            .arg("--root")
            .arg(&args.tree)
            .args(["--package", &args.package, "--format", "json"]);
        ours.push(time(&mut check)?);
        if has_ruff {
            let mut ruff = Command::new(&args.ruff);
            ruff.args([
                "check",
                "--no-cache",
                "--isolated",
                "--select",
                "F,E9",
                "--output-format",
                "json",
            ])
            .arg(&package);
            theirs.push(time(&mut ruff)?);
        }
    }
    let own = median(&mut ours);
    println!("check-source  {:8.1} ms", own.as_secs_f64() * 1e3);
    if has_ruff {
        let ruff = median(&mut theirs);
        println!("ruff F,E9     {:8.1} ms", ruff.as_secs_f64() * 1e3);
        println!(
            "ratio         {:8.2}",
            own.as_secs_f64() / ruff.as_secs_f64()
        );
    }
    Ok(0)
}

fn time(command: &mut Command) -> anyhow::Result<Duration> {
    let start = Instant::now();
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("starting a run")?;
    Ok(start.elapsed())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
