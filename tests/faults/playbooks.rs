//! Every playbook of the registry is reached by a start that is swept. Those that no plain start needs
//! have theirs here: checksums after line endings, and edits of Python sources that a person approved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use boot_checks::playbooks;

use crate::boots::{Boot, boot, boot_with, command, run};
use crate::drift::{MIGRATIONS, add_migration, number, orders};
use crate::instants::{PLAIN_BOOT_MAX, try_points, verify_faulty};
use crate::sandbox::{Journal, Sandbox, Start};
use crate::shim::{EIO, ENOSPC, Fault};

/// What has to be healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// A migration was saved with other line endings.
    LineEndings,
    /// Two import loops, one behind the other: two files are edited.
    Cycles,
    /// A coroutine that nobody awaits.
    LostCoroutine,
}

const CASES: [Case; 3] = [Case::LineEndings, Case::Cycles, Case::LostCoroutine];

/// Each name, what is in it, and what is in it when it is healed.
type Sources = &'static [(&'static str, &'static str, &'static str)];

const CYCLES: Sources = &[
    (
        "backend/main.py",
        "import backend.a\nimport backend.c\napp = 1\n",
        "import backend.a\nimport backend.c\napp = 1\n",
    ),
    (
        "backend/a.py",
        "from backend.b import g\n\n\ndef f():\n    return g\n",
        "from backend.b import g\n\n\ndef f():\n    return g\n",
    ),
    (
        "backend/b.py",
        "\u{feff}\"\"\"B.\"\"\"\r\nfrom backend.a import f\r\n\r\n\r\ndef g():\r\n\treturn f()",
        "\u{feff}\"\"\"B.\"\"\"\r\n\r\n\r\ndef g():\r\n\tfrom backend.a import f\r\n\treturn f()",
    ),
    (
        "backend/c.py",
        "from backend.d import g\n\n\ndef f():\n    return g\n",
        "from backend.d import g\n\n\ndef f():\n    return g\n",
    ),
    (
        "backend/d.py",
        "from backend.c import f\n\n\ndef g():\n    return f()\n",
        "\n\ndef g():\n    from backend.c import f\n    return f()\n",
    ),
];

const LOST: Sources = &[(
    "backend/main.py",
    "async def publish():\n    pass\n\n\nasync def main():\n    publish()\n\n\napp = 1\n",
    "async def publish():\n    pass\n\n\nasync def main():\n    await publish()\n\n\napp = 1\n",
)];

impl Case {
    fn playbook(self) -> &'static str {
        match self {
            Case::LineEndings => "restamp_migrations",
            Case::Cycles => "fix_circular_imports",
            Case::LostCoroutine => "verify_async_subscriptions",
        }
    }

    fn sources(self) -> Sources {
        match self {
            Case::LineEndings => &[],
            Case::Cycles => CYCLES,
            Case::LostCoroutine => LOST,
        }
    }

    /// An application that is healthy but for this.
    fn template(self) -> Sandbox {
        if self == Case::LineEndings {
            let sandbox = orders();
            let (name, sql) = MIGRATIONS[0];
            add_migration(&sandbox, name, &sql.replace('\n', "\r\n"));
            return sandbox;
        }
        let sandbox = Sandbox::prepared(LEGACY);
        let first = boot(sandbox.root());
        assert_eq!(first.code, Some(0), "{}", first.text());
        std::fs::create_dir(sandbox.root().join("backend")).unwrap();
        for (name, old, _) in self.sources() {
            std::fs::write(sandbox.root().join(name), old).unwrap();
        }
        sandbox
    }

    /// Gives the word that the playbook waits for, where it does. A plan is for one root.
    fn approve(self, sandbox: &Sandbox) -> Result<bool, String> {
        if self == Case::LineEndings {
            return Ok(false);
        }
        let planned = other(
            sandbox.root(),
            &["heal", self.playbook(), "--plan", "--format", "json"],
        );
        let json: serde_json::Value = serde_json::from_slice(&planned.output.stdout)
            .map_err(|error| format!("{error}: {}", planned.text()))?;
        let Some(plan) = json["plans"][0]["fingerprint"].as_str() else {
            return Ok(false);
        };
        let approved = other(sandbox.root(), &["approve", plan, "--by", "ann"]);
        match approved.code {
            Some(0) => Ok(true),
            _ => Err(approved.text()),
        }
    }

    /// Each file is the old one or the new one, also right after the fault.
    fn verify_sources(self, sandbox: &Sandbox, is_healed: bool) -> Result<(), String> {
        for (name, old, new) in self.sources() {
            let found = std::fs::read(sandbox.root().join(name)).map_err(|it| it.to_string())?;
            if found != new.as_bytes() && (is_healed || found != old.as_bytes()) {
                let found = String::from_utf8_lossy(&found);
                return Err(format!("{name} is neither old nor new: {found:?}"));
            }
        }
        Ok(())
    }

    fn verify(self, sandbox: &Sandbox, checksums: &str) -> Result<(), String> {
        self.verify_sources(sandbox, true)?;
        if self != Case::LineEndings {
            return sandbox.verify(LEGACY);
        }
        let rows = number(
            sandbox,
            "SELECT count(*) FROM orders WHERE note = 'order ' || id AND total = id * 0.5",
        );
        let found = checksums_of(sandbox);
        match (rows, found == checksums) {
            (1000, true) => sandbox.verify_names(),
            _ => Err(format!("{rows} rows, checksums {found}")),
        }
    }
}

const LEGACY: Start = Start::Legacy(Journal::Delete);

fn checksums_of(sandbox: &Sandbox) -> String {
    let mut connection = sandbox.open();
    let sql = "SELECT group_concat(version || hex(checksum)) FROM _sqlx_migrations";
    let found = format!("{:?}", connection.scalar(sql));
    connection.close();
    found
}

/// Runs another command than `boot`.
fn other(root: &Path, arguments: &[&str]) -> Boot {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let (name, rest) = arguments.split_first().unwrap();
    run(command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .arg(name)
        .arg("--root")
        .arg(root)
        .args(rest))
}

/// A fault in a boot that carries the plan out, then plain boots; a person's word is for once, and is
/// given again where it was spent.
fn try_point(
    case: Case,
    template: &Sandbox,
    library: &Path,
    fault: Fault,
    at: usize,
    checksums: &str,
) -> Result<(), String> {
    let sandbox = template.copy();
    case.approve(&sandbox)?;
    verify_faulty(&boot_with(sandbox.root(), library, fault, at), fault)?;
    case.verify_sources(&sandbox, false)?;
    for _ in 0..2 {
        let plain = boot(sandbox.root());
        // What waits for a person is no fault.
        if !matches!(plain.code, Some(0 | 8)) || plain.took > PLAIN_BOOT_MAX {
            let (code, took) = (plain.code, plain.took);
            return Err(format!(
                "the plain boot: {code:?} in {took:?}:\n{}",
                plain.text()
            ));
        }
        case.verify_sources(&sandbox, false)?;
        // Also where the person never says another word.
        sandbox.verify_names()?;
        if !case.approve(&sandbox)? {
            break;
        }
    }
    case.verify(&sandbox, checksums)
}

fn sweep(case: Case, faults: &[Fault]) {
    let template = case.template();
    let healed = healed(case, &template);
    let checksums = match case {
        Case::LineEndings => checksums_of(&healed),
        _ => String::new(),
    };
    for fault in faults {
        let approved = template.copy();
        case.approve(&approved).unwrap();
        let wrong = try_points(
            &format!("{case:?}"),
            *fault,
            &approved,
            SAMPLE,
            |library, fault, at| try_point(case, &template, library, fault, at, &checksums),
        );
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

/// What a boot without a fault makes of it.
fn healed(case: Case, template: &Sandbox) -> Sandbox {
    let sandbox = template.copy();
    case.approve(&sandbox).unwrap();
    let healed = boot(sandbox.root());
    assert_eq!(healed.code, Some(0), "{case:?}: {}", healed.text());
    case.verify_sources(&sandbox, true).unwrap();
    sandbox
}

/// Points of each case and fault: each takes three processes more than that of a plain start.
const SAMPLE: usize = 6;

const KILLS: [Fault; 2] = [Fault::Kill, Fault::Torn];
const ERRORS: [Fault; 4] = [
    Fault::Once(ENOSPC),
    Fault::Persistent(ENOSPC),
    Fault::Once(EIO),
    Fault::Persistent(EIO),
];

macro_rules! sweeps {
    ($($name:ident: $case:ident, $faults:expr;)+) => {
        $(#[test] fn $name() { sweep(Case::$case, &$faults); })+
    };
}

sweeps! {
    killed_while_checksums_are_renewed: LineEndings, KILLS;
    killed_while_import_loops_are_resolved: Cycles, KILLS;
    killed_while_a_coroutine_is_awaited: LostCoroutine, KILLS;
    the_disk_fails_while_checksums_are_renewed: LineEndings, ERRORS;
    the_disk_fails_while_import_loops_are_resolved: Cycles, ERRORS;
    the_disk_fails_while_a_coroutine_is_awaited: LostCoroutine, ERRORS;
}

/// Playbooks whose changes were made and proven in this root.
fn acted(sandbox: &Sandbox) -> BTreeSet<String> {
    let journal = std::fs::read_to_string(sandbox.root().join("var/boot/journal.jsonl"));
    let lines = journal.unwrap_or_default();
    lines
        .lines()
        .map(|line| serde_json::from_str::<BTreeMap<String, serde_json::Value>>(line).unwrap())
        .filter(|entry| entry["phase"] == "verified")
        .map(|entry| entry["playbook"].as_str().unwrap().to_owned())
        .collect()
}

/// They have sweeps of their own.
const SWEPT_WITH_DAMAGE: [&str; 2] = ["rebuild_database", "salvage_database"];

#[test]
fn every_playbook_is_swept() {
    let mut swept: BTreeSet<String> = BTreeSet::new();
    for start in [Start::Empty, LEGACY, Start::Pending(Journal::Delete)] {
        let sandbox = Sandbox::prepared(start);
        boot(sandbox.root());
        swept.extend(acted(&sandbox));
    }
    for case in CASES {
        let mut acted = acted(&healed(case, &case.template()));
        assert!(acted.remove(case.playbook()), "{case:?} does not reach it");
        swept.insert(case.playbook().to_owned());
    }
    let missing: Vec<&str> = playbooks::ALL
        .iter()
        .map(|playbook| playbook.meta().id)
        .filter(|id| *id != NEVER_WRITES && !SWEPT_WITH_DAMAGE.contains(id))
        .filter(|id| !swept.contains(*id))
        .collect();
    assert!(missing.is_empty(), "reached by no start: {missing:?}");
}

/// A lock has a live holder or none: there is no instant to be killed at.
const NEVER_WRITES: &str = "unlock_database";

#[test]
fn a_playbook_that_never_writes_has_nothing_to_sweep() {
    let sandbox = Sandbox::prepared(LEGACY);
    let mut holder = sandbox.open();
    holder.execute("BEGIN EXCLUSIVE").unwrap();
    let locked = run(command(sandbox.root()).args(["--lock-timeout", "200ms"]));
    let journal = std::fs::read_to_string(sandbox.root().join("var/boot/journal.jsonl"));
    holder.execute("ROLLBACK").unwrap();
    holder.close();
    let text = locked.text();
    assert_ne!(locked.code, Some(0), "{text}");
    assert!(text.contains(NEVER_WRITES), "{text}");
    let journal = journal.unwrap_or_default();
    assert!(!journal.contains(NEVER_WRITES), "{journal}");
}
