//! What a power cut would find: a kill keeps what the system has been given, so that only the order of
//! the calls shows whether anything was flushed.

use std::path::{Path, PathBuf};

use crate::boots::{command, run, with_library};
use crate::sandbox::{Journal, Sandbox, Start};
use crate::shim;

/// What may be lost with the power: the next boot writes it anew, or it says of a copy only that its owner lives.
const UNFLUSHED: [&str; 4] = [
    "startup_metrics.prom",
    "_metadata.json",
    "integrity",
    ".alive",
];

struct Call {
    name: String,
    /// Of a rename, both: `from -> to`.
    path: PathBuf,
}

impl Call {
    fn is_write(&self) -> bool {
        self.name.starts_with("write") || self.name.starts_with("pwrite")
    }

    fn is_flush(&self) -> bool {
        ["fsync", "fdatasync"].contains(&self.name.as_str())
    }

    fn as_rename(&self) -> Option<(&Path, &Path)> {
        let (from, to) = self.path.to_str()?.split_once(" -> ")?;
        Some((Path::new(from), Path::new(to)))
    }

    fn flushes(&self, path: &Path) -> bool {
        self.is_flush() && self.path == path
    }
}

/// The calls of a boot that heals, in their order.
fn calls(start: Start, library: &Path) -> Vec<Call> {
    let sandbox = Sandbox::prepared(start);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let mut boot = command(sandbox.root());
    let boot = run(with_library(&mut boot, sandbox.root(), library).env("FAULTS_LOG", &log));
    assert_eq!(boot.code, Some(0), "{}", boot.text());
    let text = std::fs::read_to_string(&log).unwrap();
    let calls = text.lines().filter_map(|line| line.split_once(' '));
    calls
        .map(|(name, path)| Call {
            name: name.to_owned(),
            path: PathBuf::from(path),
        })
        .collect()
}

const STARTS: [Start; 3] = [
    Start::Empty,
    Start::Legacy(Journal::Delete),
    Start::Pending(Journal::HotWal),
];

#[test]
fn what_gets_its_final_name_is_flushed_and_so_is_its_folder() {
    let library = shim::library();
    for start in STARTS {
        let calls = calls(start, library);
        let mut renamed = Vec::new();
        for (at, call) in calls.iter().enumerate() {
            let Some((from, to)) = call.as_rename() else {
                continue;
            };
            let name = to.file_name().unwrap().to_str().unwrap();
            if UNFLUSHED.contains(&name) {
                continue;
            }
            let of_contents = calls[..at]
                .iter()
                .rfind(|call| call.path == from && (call.is_write() || call.is_flush()));
            assert!(
                of_contents.is_some_and(Call::is_flush),
                "{start:?}: {name} is not flushed"
            );
            let folder = to.parent().unwrap();
            assert!(
                calls[at..].iter().any(|call| call.flushes(folder)),
                "{start:?}: the folder of {name} is not flushed"
            );
            renamed.push(name.to_owned());
        }
        assert!(
            renamed.iter().any(|name| name == "last_boot_report.txt"),
            "{start:?}: {renamed:?}"
        );
    }
}

#[test]
fn each_line_of_the_journal_is_flushed_before_anything_else_is_changed() {
    let library = shim::library();
    for start in STARTS {
        let calls = calls(start, library);
        let is_journal = |call: &Call| call.path.ends_with("var/boot/journal.jsonl");
        let lines = calls
            .iter()
            .enumerate()
            .filter(|(_, call)| is_journal(call) && call.is_write());
        let mut count = 0;
        for (at, _) in lines {
            let next = calls.get(at + 1);
            assert!(
                next.is_some_and(|next| is_journal(next) && next.is_flush()),
                "{start:?}: after call {at} comes {:?}",
                next.map(|next| (&next.name, &next.path))
            );
            count += 1;
        }
        assert!(count > 0, "{start:?}: nothing was journalled");
    }
}
