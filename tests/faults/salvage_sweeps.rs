//! A fault at every n-th change that a boot makes which saves or rebuilds a damaged database; then, without
//! the fault, a plain boot and, where it asks for it, an approval: every row is there.

use std::path::Path;
use std::process::Command;

use crate::boots::{command, count_changes_of, run, with_library};
use crate::corruption::Damage;
use crate::instants::{everything, try_these, verify_faulty};
use crate::salvage::{approve, boot_json, healthy, hurt, repair};
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::shim::{self, EIO, ENOSPC, Fault};
use crate::unfinished;

/// How a database is damaged without a row being lost for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// The main file is empty, every row is in the log: approved.
    LogAlone,
    /// A leaf is gone, and a kept copy has its rows: approved.
    Merged,
    /// The header is gone, every row is in the log: rebuilt without a person.
    Header,
    /// An index is damaged: built anew without a person.
    Index,
    /// SQLite left a part of the log without checksums: moved into the database, approved.
    Unfinished,
}

impl Case {
    fn prepared(self) -> Sandbox {
        let sandbox = match self {
            Case::LogAlone | Case::Header => Sandbox::prepared(Start::Legacy(Journal::HotWal)),
            Case::Merged | Case::Index => healthy(),
            Case::Unfinished => return unfinished::prepared(6),
        };
        match self {
            Case::LogAlone => std::fs::write(sandbox.database(), "").unwrap(),
            Case::Merged => hurt(&sandbox, Damage::ZeroedLeaf, 4),
            Case::Index => hurt(&sandbox, Damage::IndexPage, 1),
            Case::Header => {
                let mut main = std::fs::read(sandbox.database()).unwrap();
                main[..16].fill(0);
                std::fs::write(sandbox.database(), main).unwrap();
            }
            Case::Unfinished => {}
        }
        sandbox
    }

    fn needs_approval(self) -> bool {
        matches!(self, Case::LogAlone | Case::Merged | Case::Unfinished)
    }

    /// The boot that heals it. A plan is for one place, so that each application has its own.
    fn boot(self, sandbox: &Sandbox) -> Command {
        let mut boot = command(sandbox.root());
        if self.needs_approval() {
            let (code, proposal) = boot_json(sandbox, &[]);
            assert_eq!(code, Some(8), "{self:?}: {proposal:#}");
            let plan = repair(&proposal).unwrap()["fingerprint"].as_str().unwrap();
            boot.args(["--approve", plan]);
        }
        boot
    }

    fn verify(self, sandbox: &Sandbox) -> Result<(), String> {
        if self == Case::Unfinished {
            return unfinished::verify(sandbox);
        }
        let mut connection = sandbox.open();
        let rows = verify_rows(&mut connection, ROWS);
        connection.close();
        rows
    }

    /// How many points are tried for each kind of fault where `FAULTS=all` is not asked for.
    fn sampled(self) -> usize {
        match self {
            Case::LogAlone | Case::Header | Case::Unfinished => 2,
            // They take longer.
            Case::Merged | Case::Index => 1,
        }
    }
}

/// All of them, or each kind of fault at others.
fn points(case: Case, changes: usize, at: usize, kinds: usize) -> Vec<usize> {
    if everything() {
        return (1..=changes).collect();
    }
    let (of_each, all) = (case.sampled(), case.sampled() * kinds + 1);
    let nth = |number| changes * (at * of_each + number + 1) / all;
    (0..of_each).map(nth).collect()
}

fn sweep(case: Case, faults: &[Fault]) {
    let library = shim::library();
    let template = case.prepared();
    let counted = template.copy();
    let changes = count_changes_of(&mut case.boot(&counted), counted.root(), library);
    // Else nothing of this was salvaged.
    assert!(counted.root().join("var/boot/quarantine").exists());
    for (at, fault) in faults.iter().enumerate() {
        let what = format!("salvage, {case:?}");
        let points = points(case, changes, at, faults.len());
        let wrong = try_these(&what, *fault, changes, &points, |fault, at| {
            try_point(case, &template, fault, at, library)
        });
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

fn try_point(
    case: Case,
    template: &Sandbox,
    fault: Fault,
    at: usize,
    library: &Path,
) -> Result<(), String> {
    let sandbox = template.copy();
    let (kind, error) = fault.variables();
    let mut faulty = case.boot(&sandbox);
    let faulty = run(with_library(&mut faulty, sandbox.root(), library)
        .env("FAULTS_AT", at.to_string())
        .env("FAULTS_KIND", kind)
        .env("FAULTS_ERRNO", error));
    verify_faulty(&faulty, fault)?;
    let (mut code, mut record) = boot_json(&sandbox, &[]);
    if code == Some(8) {
        (code, record) = approve(&sandbox, &record);
    }
    if code != Some(0) {
        return Err(format!(
            "the plain boot ended with {code:?}: {record:#}\nafter:\n{}",
            faulty.complaints()
        ));
    }
    case.verify(&sandbox)?;
    sandbox.verify_names()
}

const KILLS: [Fault; 2] = [Fault::Kill, Fault::Torn];
const ERRORS: [Fault; 4] = [
    Fault::Once(EIO),
    Fault::Persistent(EIO),
    Fault::Once(ENOSPC),
    Fault::Persistent(ENOSPC),
];

macro_rules! sweeps {
    ($($name:ident: $case:ident, $faults:expr;)+) => {
        $(#[test] fn $name() { sweep(Case::$case, &$faults); })+
    };
}

sweeps! {
    killed_while_a_log_is_rescued: LogAlone, KILLS;
    killed_while_rows_come_from_a_copy: Merged, KILLS;
    killed_while_rows_are_copied: Header, KILLS;
    killed_while_an_index_is_built: Index, KILLS;
    killed_while_a_log_is_moved: Unfinished, KILLS;
    disk_failing_while_a_log_is_moved: Unfinished, ERRORS;
    disk_failing_while_a_log_is_rescued: LogAlone, ERRORS;
    disk_failing_while_rows_come_from_a_copy: Merged, ERRORS;
    disk_failing_while_rows_are_copied: Header, ERRORS;
    disk_failing_while_an_index_is_built: Index, ERRORS;
}
