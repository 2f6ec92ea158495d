//! Are the folders there that the application writes to, and may it? `create_folders` makes missing
//! ones.

use std::time::{Duration, SystemTime};

use crate::checks::Check;
use crate::checks::support::{short, with_permissions};
use crate::context::Context;
use crate::host;
use crate::model::{CheckResult, Finding, Findings};

/// See the module.
pub struct WritableFolders;

impl Check for WritableFolders {
    fn title(&self) -> &'static str {
        "Folders are writable"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let folders = &cx.config.writable_folders;
        if folders.is_empty() {
            return Ok(Findings::not_applicable(
                "boot.toml names no writable folder",
            ));
        }
        let problems = folders
            .iter()
            .filter_map(|folder| judge(folder, &short(cx, folder)))
            .collect();
        let names: Vec<String> = folders.iter().map(|folder| short(cx, folder)).collect();
        let findings = Findings::from_problems(problems, names.join(", "));
        Ok(match from_the_future(cx) {
            Some(note) => findings.note(note),
            None => findings,
        })
    }
}

/// What the last boot wrote is a sign of what time it was then. Names of records and copies begin with
/// the time, so that theirs are in the wrong order where the clock went backwards.
fn from_the_future(cx: &Context) -> Option<String> {
    let report = cx.config.root.join("logs/last_boot_report.txt");
    let written = std::fs::metadata(report).and_then(|metadata| metadata.modified());
    let written = written.ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let now = Duration::from_secs(cx.host.clock.unix_seconds());
    let ahead = written.checked_sub(now)?;
    (ahead > CLOCK_TOLERANCE).then(|| {
        format!(
            "the last report was written {} s later than now: the clock went backwards, and runs are \
             not in the order of their names",
            ahead.as_secs()
        )
    })
}

/// File systems round, and those on other machines have a clock of their own.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

fn judge(folder: &std::path::Path, name: &str) -> Option<Finding> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(missing(folder, name)),
        Err(error) => Some(
            Finding::new(
                "folder_unreadable",
                format!("folder {name} cannot be looked at: {error}"),
            )
            .action("check the permissions of the folders above it"),
        ),
        Ok(metadata) if !metadata.is_dir() => Some(
            Finding::new(
                "folder_is_a_file",
                format!("{name} is a file and should be a folder"),
            )
            .action("move the file away"),
        ),
        Ok(_) => host::can_write_folder(folder)
            .err()
            .map(|error| not_writable(folder, format!("folder {name} cannot be written: {error}"))),
    }
}

/// Where not even its nearest parent can be written, that is what is wrong.
fn missing(folder: &std::path::Path, name: &str) -> Finding {
    let parent = folder.ancestors().find(|parent| parent.is_dir());
    let why_not = parent.and_then(|parent| {
        let error = host::can_write_folder(parent).err()?;
        let message = format!(
            "folder {name} does not exist, and {} cannot be written: {error}",
            parent.display()
        );
        Some(not_writable(parent, message))
    });
    match why_not {
        Some(finding) => finding,
        None => Finding::new("folder_missing", format!("folder {name} does not exist")),
    }
}

fn not_writable(folder: &std::path::Path, message: String) -> Finding {
    let finding = Finding::new("folder_not_writable", message)
        .action("check its owner and permissions, and that its file system is not read-only");
    with_permissions(finding, &[folder])
}
