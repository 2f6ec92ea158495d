//! A replacement of a database that a kill left half-way: the main file has come, its log has not. Whoever comes
//! next takes it up.

use crate::boots::{Boot, boot, run, with_library};
use crate::restore::{self, commit_and_crash, files, kept};
use crate::sandbox::{Journal, Sandbox};
use crate::shim;
use crate::undo::undo_command;

const MANIFEST: &str = "var/boot/swap.json";

const SINCE: i64 = 25;

/// As an undo of a restore left it that was killed.
fn prepared() -> Sandbox {
    let (template, run_id) = kept(Journal::Delete);
    commit_and_crash(&template, usize::try_from(SINCE).unwrap(), 0);
    let before = files(&template.database());
    let restored = restore::restore(&template, &run_id);
    for at in 1.. {
        let sandbox = template.copy();
        let mut undo = undo_command(sandbox.root(), &restored);
        let killed = run(with_library(&mut undo, sandbox.root(), shim::library())
            .env("FAULTS_AT", at.to_string())
            .env("FAULTS_KIND", "kill"));
        assert_eq!(killed.code, None, "{}", killed.text());
        let main = std::fs::read(sandbox.database()).unwrap();
        if sandbox.root().join(MANIFEST).exists() && main == before[""] {
            assert!(!sandbox.side("-wal").exists());
            return sandbox;
        }
    }
    unreachable!()
}

fn heal(sandbox: &Sandbox, words: &[&str]) -> Boot {
    let playbook = ["heal", "apply_pending_migrations"];
    run(restore::command(sandbox, &playbook).args(words))
}

/// It is whole, with every row that was committed.
fn verify(sandbox: &Sandbox) {
    assert!(!sandbox.root().join(MANIFEST).exists());
    let mut connection = sandbox.open();
    let since = connection.scalar("SELECT count(*) FROM notes WHERE body LIKE 'since %'");
    assert_eq!(since, Ok(SINCE.into()));
    connection.close();
}

#[test]
fn a_heal_takes_it_up_before_it_looks() {
    let sandbox = prepared();
    let healed = heal(&sandbox, &[]);
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    verify(&sandbox);
}

#[test]
fn a_heal_that_cannot_take_it_up_is_refused_as_a_boot_is() {
    let sandbox = prepared();
    // What came is another by now, and its log still waits.
    let mut main = std::fs::read(sandbox.database()).unwrap();
    main[24] ^= 1;
    std::fs::write(sandbox.database(), &main).unwrap();
    let reason = "changed after it was put in place";
    let booted = boot(sandbox.root());
    let healed = heal(&sandbox, &[]);
    for refused in [booted, healed] {
        let text = refused
            .text()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(refused.code, Some(1), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(std::fs::read(sandbox.database()).unwrap() == main);
}
