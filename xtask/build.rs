//! What this machine has for the tests. One that needs what is missing is ignored, and counted as that; where
//! `FAULTS_TOOLS=required` is set, as in CI, it is run, and fails.
#![allow(clippy::print_stdout, reason = "how a build script answers")]

use std::path::Path;
use std::process::{Command, Stdio};

const SETPRIV: &[&str] = &[
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "prlimit",
    "--version",
];
const UNSHARE: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "true"];
const MOUNT: &[&str] = &[
    "unshare", "--mount", "mount", "-t", "tmpfs", "tests", "/mnt",
];

fn main() {
    let is_required = std::env::var_os("FAULTS_TOOLS").is_some_and(|value| value == "required");
    let can_be_another_user = succeeds(SETPRIV);
    for (name, has) in [
        ("can_be_another_user", can_be_another_user),
        ("can_be_unprivileged", can_be_another_user || !is_root()),
        ("can_be_apart", succeeds(UNSHARE)),
        ("can_mount", succeeds(MOUNT)),
        ("has_another_file_system", has_another_file_system()),
    ] {
        println!("cargo:rustc-check-cfg=cfg({name})");
        if has || is_required {
            println!("cargo:rustc-cfg={name}");
        }
    }
    for variable in ["FAULTS_TOOLS", "PATH"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}

fn succeeds(argv: &[&str]) -> bool {
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // Of this very process.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// In memory, beside that of temporary files.
#[cfg(unix)]
fn has_another_file_system() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).ok().map(|folder| folder.dev());
    let (memory, temporary) = (device(Path::new("/dev/shm")), device(&std::env::temp_dir()));
    memory.is_some() && memory != temporary
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(not(unix))]
fn has_another_file_system() -> bool {
    false
}
