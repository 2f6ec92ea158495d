//! The gate itself, as anybody runs it: this binary's `boot` and `undo` on the sandbox.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use boot_checks::model::{BootRecord, RecordStep};

use super::sandbox::{Sandbox, go_on};

/// How long a boot waits for a lock in a replay where it is not to wait.
const NO_WAIT: &str = "0s";

/// The gate for one sandbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate<'a> {
    sandbox: &'a Sandbox,
}

/// A boot that has come to its end.
#[derive(Debug)]
pub(super) struct Boot {
    /// The record, as it also stands on disk.
    pub(super) record: BootRecord,
    /// What it showed a person.
    pub(super) console: String,
    /// The process's exit code.
    pub(super) exit_code: i32,
}

impl Boot {
    /// The step of this name.
    pub(super) fn step(&self, id: &str) -> Option<&RecordStep> {
        self.steps().find(|step| step.id == id)
    }

    /// All steps.
    pub(super) fn steps(&self) -> impl Iterator<Item = &RecordStep> {
        self.record.stages.iter().flat_map(|stage| &stage.steps)
    }
}

impl<'a> Gate<'a> {
    pub(super) fn of(sandbox: &'a Sandbox) -> Gate<'a> {
        Gate { sandbox }
    }

    /// Looks only.
    pub(super) fn observe(&self) -> anyhow::Result<Boot> {
        self.boot(&["--observe", "--lock-timeout", NO_WAIT], |_| {})
    }

    /// Heals, and waits for nobody.
    pub(super) fn heal(&self) -> anyhow::Result<Boot> {
        self.boot(&["--lock-timeout", NO_WAIT], |_| {})
    }

    /// Boots; `on_line` is given each line of the console as it comes.
    pub(super) fn boot(
        &self,
        arguments: &[&str],
        mut on_line: impl FnMut(&str),
    ) -> anyhow::Result<Boot> {
        go_on()?;
        let record = self.next_file("boot", "json")?;
        let errors = record.with_extension("stderr");
        let mut child = self
            .command("boot")?
            .args(["--color", "never", "--report"])
            .arg(format!("json:{}", record.display()))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()
            .context("cannot start the gate")?;
        let mut console = String::new();
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line?;
                on_line(&line);
                console.push_str(&line);
                console.push('\n');
            }
        }
        let status = child.wait()?;
        let said = fs::read_to_string(&errors).unwrap_or_default();
        // For whoever keeps the sandbox, and for --boots.
        fs::write(record.with_extension("txt"), &console)?;
        let text = fs::read_to_string(&record)
            .with_context(|| format!("the gate left no record ({status}): {said}"))?;
        Ok(Boot {
            record: serde_json::from_str(&text)?,
            console,
            exit_code: status.code().unwrap_or(-1),
        })
    }

    /// What the boots so far showed, oldest first.
    pub(super) fn consoles(&self) -> Vec<String> {
        (1..)
            .map(|number| self.sandbox.work().join(format!("boot_{number}.txt")))
            .map_while(|file| fs::read_to_string(file).ok())
            .collect()
    }

    /// Takes a run back; false where it had changed nothing.
    pub(super) fn undo(&self, run_id: &str) -> anyhow::Result<bool> {
        let output = self.command("undo")?.arg(run_id).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => Ok(true),
            Some(2) if said.contains("knows of no change") => Ok(false),
            _ => {
                ensure!(false, "undo ended with {}: {said}", output.status);
                Ok(false)
            }
        }
    }

    /// Says that this person approves this plan.
    pub(super) fn approve(&self, fingerprint: &str, by: &str) -> anyhow::Result<()> {
        let mut command = self.command("approve")?;
        let output = command.args([fingerprint, "--by", by]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "approve: {}: {said}",
            output.status
        );
        Ok(())
    }

    /// This binary in the sandbox's environment and nothing else of ours.
    pub(super) fn command(&self, name: &str) -> anyhow::Result<Command> {
        let binary = std::env::current_exe().context("this program has no file")?;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs(&self.sandbox.variables)
            .current_dir(self.sandbox.root())
            .stdin(Stdio::null())
            .args([name, "--root"])
            .arg(self.sandbox.root());
        Ok(command)
    }

    /// `boot_1.json`, `boot_2.json`, … in the order of the boots.
    fn next_file(&self, stem: &str, extension: &str) -> anyhow::Result<PathBuf> {
        let work = self.sandbox.work();
        let number = 1 + fs::read_dir(&work)?
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(stem) && name.ends_with(extension)
            })
            .count();
        Ok(work.join(format!("{stem}_{number}.{extension}")))
    }
}
