//! A disk of 1 to 8 MB, for real: whatever does not fit leaves the state before or the state after,
//! and a boot on a larger disk goes on.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::boots::boot;
use crate::sandbox::{Journal, Sandbox, Start};
use crate::undo::{assert_as_before, run_id, snapshot, undo};

/// A file system in memory of its own, below a sandbox; unmounted when dropped.
struct SmallDisk {
    sandbox: Sandbox,
}

impl SmallDisk {
    /// None where this user may not mount.
    fn of(mebibytes: u32) -> Option<SmallDisk> {
        let disk = SmallDisk {
            sandbox: Sandbox::new(),
        };
        let size = format!("size={mebibytes}m");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        mount(&arguments, disk.sandbox.root()).then_some(disk)
    }

    fn grow(&self) {
        let arguments = ["-o", "remount,size=64m"];
        assert!(mount(&arguments, self.sandbox.root()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        // Lazily: a process that another test is just starting may still hold our files.
        unmount.arg("--lazy").arg(self.sandbox.root());
        let quiet = unmount.stderr(Stdio::null());
        // Not mounted, then.
        let _ = quiet.status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(arguments).arg(at).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}

const STARTS: [Start; 5] = [
    Start::Empty,
    Start::Legacy(Journal::Delete),
    Start::Legacy(Journal::HotWal),
    Start::Pending(Journal::Delete),
    Start::Pending(Journal::HotWal),
];

/// What the database grows by, so that its copy does not fit where the boot itself would.
const BALLAST: &str = "CREATE TABLE ballast (x); INSERT INTO ballast VALUES (zeroblob(2500000))";

#[test]
#[cfg_attr(not(can_mount), ignore = "nothing may be mounted here")]
fn disks_of_1_to_8_mb() {
    let (mut green, mut red) = (0, 0);
    for mebibytes in 1..=8 {
        for start in STARTS {
            for has_ballast in [false, true] {
                let roomy = start != Start::Empty && mebibytes > 3;
                if has_ballast && !roomy {
                    continue;
                }
                let disk = SmallDisk::of(mebibytes).expect("a file system of its own");
                match one(&disk, start, has_ballast) {
                    true => green += 1,
                    false => red += 1,
                }
            }
        }
    }
    assert!(
        green > 0 && red > 0,
        "{green} and {red}: both kinds are tried"
    );
    println!("| disks of 1 to 8 MB | {green} boots green, {red} refused | 0 rows lost |");
}

/// Whether the boot found the disk large enough.
fn one(disk: &SmallDisk, start: Start, has_ballast: bool) -> bool {
    let sandbox = &disk.sandbox;
    sandbox.prepare(start);
    if has_ballast {
        let mut connection = sandbox.open();
        connection.execute(BALLAST).unwrap();
        connection.close();
    }
    let first = boot(sandbox.root());
    let is_green = match first.code {
        Some(0) => true,
        Some(1 | 3) => false,
        other => panic!("{start:?}: {other:?}\n{}", first.text()),
    };
    let words = first.unwrapped();
    let is_named = [
        "too little room",
        "a backup needs",
        "disk is full",
        "no room left",
    ]
    .iter()
    .any(|word| words.contains(word));
    assert!(is_green || is_named, "{start:?}:\n{}", first.text());
    if words.contains("too little room") {
        for word in [
            "free space on that file system, then boot again",
            "[NOT RUN] Folders are writable - blocked by preflight::disk_space",
        ] {
            assert!(words.contains(word), "{word}: {}", first.text());
        }
    }
    disk.grow();
    let second = boot(sandbox.root());
    assert_eq!(second.code, Some(0), "{start:?}: {}", second.text());
    sandbox.verify(start).unwrap();
    is_green
}

/// What comes needs room beside what is there, which is looked at before anything goes.
#[test]
#[cfg_attr(not(can_mount), ignore = "a file system cannot be mounted here")]
fn an_undo_without_room_touches_nothing() {
    let start = Start::Pending(Journal::Delete);
    let disk = SmallDisk::of(24).unwrap();
    let sandbox = &disk.sandbox;
    sandbox.prepare(start);
    let mut connection = sandbox.open();
    connection.execute(BALLAST).unwrap();
    connection.close();
    let before = snapshot(sandbox);
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let now = snapshot(sandbox);
    let run_id = run_id(sandbox);
    let filler = sandbox.root().join("filler");
    let free = boot_checks::host::free_bytes(sandbox.root()).unwrap();
    let bytes = usize::try_from(free).unwrap() - 1_000_000;
    std::fs::write(&filler, vec![0; bytes]).unwrap();
    let refused = undo(sandbox, &run_id);
    let text = refused.text();
    assert!(
        refused.code == Some(1) && text.contains("nothing was touched"),
        "{text}"
    );
    std::fs::remove_file(filler).unwrap();
    assert!(snapshot(sandbox) == now, "{text}");
    let undone = undo(sandbox, &run_id);
    assert_eq!(undone.code, Some(0), "{}", undone.text());
    assert_as_before(sandbox, start, &before);
}
