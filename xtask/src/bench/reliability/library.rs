//! The library of the fault tests: it kills a process at one of its changes of the file system, or lets
//! it and all later ones fail.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::application::Application;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/faults/faults.c");

/// `ENOSPC`.
const NO_ROOM: &str = "28";

/// Built once; gone when dropped.
pub(super) struct Library {
    folder: tempfile::TempDir,
}

impl Library {
    pub(super) fn build() -> anyhow::Result<Library> {
        let folder = tempfile::tempdir()?;
        let library = Library { folder };
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(library.path())
            .args([SOURCE, "-ldl"])
            .status()
            .context("there is no C compiler `cc`; install one (Debian: gcc libc6-dev)")?;
        ensure!(status.success(), "{SOURCE} does not compile");
        Ok(library)
    }

    /// How often this command changes the file system below the application's root.
    pub(super) fn count(
        &self,
        application: &Application,
        command: &mut Command,
    ) -> anyhow::Result<usize> {
        let file = self.folder.path().join("count");
        let output = self
            .load(application.root(), command)
            .env("FAULTS_COUNT", &file)
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(std::fs::read_to_string(file)?.trim().parse()?)
    }

    /// Lets the command meet the fault at its `at`-th change.
    pub(super) fn interrupt(
        &self,
        application: &Application,
        command: &mut Command,
        at: usize,
        kind: &str,
    ) -> anyhow::Result<()> {
        self.load(application.root(), command)
            .env("FAULTS_AT", at.to_string())
            .env("FAULTS_KIND", kind)
            .env("FAULTS_ERRNO", NO_ROOM)
            .output()?;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("faults.so")
    }

    fn load<'a>(&self, root: &Path, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", self.path())
            .env("FAULTS_ROOT", format!("{}/", root.display()))
    }
}
