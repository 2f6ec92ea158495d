//! A replacement of a database that a kill left half-way: the main file has come, its log has not. Whoever comes
//! next takes it up, or says that it could not look.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::boots::{Boot, boot, command, run, with_library};
use crate::read_only::{as_user, give_away};
use crate::restore::{self, commit_and_crash, files, kept};
use crate::sandbox::{Journal, Sandbox};
use crate::shim;
use crate::undo::undo_command;

const MANIFEST: &str = "var/boot/swap.json";

const HALF_WAY: &str = "replacing a database, or was killed as it did, which is half-way";

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

fn assert_refused(sandbox: &Sandbox, boot: &Boot, words: &str) {
    let text = boot.unwrapped();
    assert_eq!(boot.code, Some(1), "{text}");
    assert!(text.contains(words), "{text}");
    assert!(
        text.contains("nothing was looked at; next: `cargo xtask boot"),
        "{text}"
    );
    assert!(sandbox.root().join(MANIFEST).exists());
    assert!(!sandbox.side("-wal").exists());
}

#[test]
fn who_only_looks_could_not_look_and_the_next_boot_takes_it_up() {
    let sandbox = prepared();
    let looked = run(command(sandbox.root()).arg("--observe"));
    assert_refused(&sandbox, &looked, HALF_WAY);
    let planned = heal(&sandbox, &["--plan"]);
    assert_refused(&sandbox, &planned, HALF_WAY);
    let approved = run(&mut restore::command(
        &sandbox,
        &["approve", "0123456789abcdef"],
    ));
    assert_refused(&sandbox, &approved, HALF_WAY);
    let launched = run(Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["launch", "--observe", "--root"])
        .arg(sandbox.root())
        .args(["--", "echo", "started it"]));
    assert_refused(&sandbox, &launched, HALF_WAY);
    assert!(
        !launched.text().contains("started it"),
        "{}",
        launched.text()
    );
    let booted = boot(sandbox.root());
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    verify(&sandbox);
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
        let text = refused.unwrapped();
        assert_eq!(refused.code, Some(1), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(std::fs::read(sandbox.database()).unwrap() == main);
}

/// It looks only, because it cannot take the gate's lock.
#[test]
#[cfg_attr(
    not(can_be_another_user),
    ignore = "setpriv or prlimit is missing, or may not make another user of this one"
)]
fn a_boot_of_a_user_who_cannot_write_the_gates_folder_could_not_look() {
    let sandbox = prepared();
    let state_folder = sandbox.root().join("var/boot");
    let permit = |name: &str, mode: u32| {
        let path = state_folder.join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    give_away(sandbox.root());
    chown_back(&sandbox);
    permit("", 0o755);
    for mode in [0o644, 0o000] {
        permit("swap.json", mode);
        let looked = as_user(&sandbox);
        assert_refused(&sandbox, &looked, HALF_WAY);
    }
    permit("", 0o700);
    let looked = as_user(&sandbox);
    assert_refused(&sandbox, &looked, "it cannot be told whether");
}

/// Only the gate's own folder is root's.
fn chown_back(sandbox: &Sandbox) {
    let folder = sandbox.root().join("var/boot");
    let status = Command::new("chown")
        .args(["-R", "0:0"])
        .arg(folder)
        .status();
    assert!(status.unwrap().success());
}
