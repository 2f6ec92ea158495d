//! A replay that mounts: in a process with a mount namespace of its own, so that nothing is left
//! mounted, however it ends, and nobody else sees it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use boot_checks::patterns::{self, Embedded};

use super::report::{Replay, Report, Status};
use super::{Args, failed, steps, told};

/// Without privileges a user namespace gives the right to mount; root needs none.
const NAMESPACES: [&[&str]; 2] = [
    &["--mount", "--propagation", "private"],
    &[
        "--user",
        "--map-root-user",
        "--mount",
        "--propagation",
        "private",
    ],
];

/// Replays it in another process; unmet where this machine does not let anybody mount.
pub(super) fn replay(args: &Args, embedded: &'static Embedded, keep: Option<&Path>) -> Replay {
    let replayed = match namespace() {
        Some(namespace) => in_namespace(namespace, args, embedded, keep),
        None => {
            let error = anyhow::anyhow!(
                "not shown: nobody may mount a small file system here (it takes unshare, mount, and \
                 root or user namespaces)"
            );
            return told_failed(embedded, Status::Unmet, &error);
        }
    };
    replayed.unwrap_or_else(|error| told_failed(embedded, Status::NotHeld, &error))
}

fn told_failed(embedded: &Embedded, status: Status, error: &anyhow::Error) -> Replay {
    let title = patterns::find(embedded.id).map_or("", |pattern| pattern.title);
    let steps = failed(&steps::NAMES, status, error);
    told(
        embedded,
        title,
        embedded.fixture().expect.outcome,
        steps,
        false,
    )
}

/// The first kind of namespace in which a file system can really be mounted.
fn namespace() -> Option<&'static [&'static str]> {
    let place = tempfile::tempdir().ok()?;
    NAMESPACES.into_iter().find(|namespace| {
        Command::new("unshare")
            .args(*namespace)
            .args(["mount", "-t", "tmpfs", "tmpfs"])
            .arg(place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

fn in_namespace(
    namespace: &[&str],
    args: &Args,
    embedded: &Embedded,
    keep: Option<&Path>,
) -> anyhow::Result<Replay> {
    let mut command = Command::new("unshare");
    command
        .args(namespace)
        .arg(std::env::current_exe().context("this program has no file")?)
        .args(["replay", embedded.id, "--format", "json", "--in-namespace"])
        .stdin(Stdio::null());
    for (flag, is_set) in [
        ("--observe", args.observe),
        ("--approve", args.approve),
        ("--boots", args.boots),
    ] {
        if is_set {
            command.arg(flag);
        }
    }
    // What is mounted cannot be removed from within: the sandbox is this process's. It keeps its own
    // below, under the same name.
    let temporary = tempfile::Builder::new().prefix("replay-").tempdir()?;
    let parent = keep.and_then(Path::parent).unwrap_or(temporary.path());
    command.arg("--keep-in").arg(parent);
    let output = command.output().context("cannot run unshare")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report came ({}): {said}", output.status))?;
    let replay = report.patterns.into_iter().chain(report.controls).next();
    replay.context("the report is empty")
}
