//! Somebody else does the same as the gate, at the same instant: what they made is theirs.

use std::process::{Command, Stdio};

use boot_checks::services::db::{Access, Connection};

use crate::boots::{Boot, boot, command, run};
use crate::damaged::fill_root_page;
use crate::held::{Held, held};
use crate::holders::bytes;
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::undo::{booted, run_id, snapshot, undo, undo_command};

/// A boot that is held as it is about to put a file in its place, until `other` has done what it does.
fn held_as_it_puts(sandbox: &Sandbox, only: &str, other: impl FnOnce()) -> Boot {
    held(command(sandbox.root()).arg(only), sandbox, "PUTTING", other)
}

#[test]
fn a_database_that_an_application_makes_meanwhile_is_its_own() {
    let sandbox = Sandbox::prepared(Start::Empty);
    let count = |sandbox: &Sandbox| {
        let mut connection = sandbox.open();
        let rows = connection.scalar("SELECT count(*) FROM mine");
        connection.close();
        rows
    };
    let only = "preflight::database_exists";
    let overtaken = held_as_it_puts(&sandbox, only, || {
        let path = sandbox.database();
        let mut app = Connection::open(&path, Access::Create, std::time::Duration::ZERO).unwrap();
        app.execute("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
            .unwrap();
        app.close();
    });
    let text = overtaken.unwrapped();
    let said = "var/grace.db changed since it was looked at";
    let is_said_once =
        text.contains("note: create_database did nothing:") && text.matches(said).count() == 1;
    assert!(overtaken.code == Some(0) && is_said_once, "{text}");
    assert_eq!(count(&sandbox), Ok(1.into()), "{text}");
    let again = boot(sandbox.root());
    assert_eq!(again.code, Some(0), "{}", again.text());
    assert_eq!(count(&sandbox), Ok(1.into()));
}

/// Right behind its name, before the run has looked at what it made.
#[test]
fn what_is_written_into_what_a_run_made_is_not_taken_back_with_it() {
    let by_application: &dyn Fn(&Sandbox) = &|sandbox| {
        let mut app = sandbox.open();
        app.execute("INSERT INTO meta_loop_configs (config_key, config_value) VALUES ('a', 'b')")
            .unwrap();
        app.close();
    };
    let by_editor: &dyn Fn(&Sandbox) = &|sandbox| append(sandbox, "LATE=1\n");
    let has_database = Start::Pending(Journal::Delete);
    for (start, only, name, write) in [
        (
            Start::Empty,
            "preflight::database_exists",
            "var/grace.db",
            by_application,
        ),
        (
            has_database,
            "schema_secrets::secret_key",
            ".env",
            by_editor,
        ),
    ] {
        let sandbox = Sandbox::prepared(start);
        let _ = std::fs::remove_file(sandbox.root().join(".env"));
        let made = held(command(sandbox.root()).arg(only), &sandbox, "MADE", || {
            write(&sandbox);
        });
        let before = std::fs::read(sandbox.root().join(name)).unwrap();
        let refused = undo(&sandbox, &run_id(&sandbox));
        let text = format!("{name}: {}\n{}", made.text(), refused.text());
        assert!(
            refused.code == Some(8) && text.contains("nothing was touched"),
            "{text}"
        );
        assert!(
            std::fs::read(sandbox.root().join(name)).unwrap() == before,
            "{text}"
        );
    }
}

#[test]
fn what_is_written_into_a_file_as_it_is_replaced_is_kept() {
    let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
    let env = sandbox.root().join(".env");
    let only = "schema_secrets::secret_key";
    let healed = held_as_it_puts(&sandbox, only, || {
        append(&sandbox, "LATE=1\n");
    });
    let text = std::fs::read_to_string(&env).unwrap();
    assert!(text.contains("LATE=1"), "{text}\n{}", healed.text());
    assert!(
        healed.text().contains("changed since it was looked at"),
        "{}",
        healed.text()
    );
    let again = boot(sandbox.root());
    assert_eq!(again.code, Some(0), "{}", again.text());
    let text = std::fs::read_to_string(&env).unwrap();
    assert!(
        text.contains("LATE=1") && text.contains("SECRET_KEY="),
        "{text}"
    );
}

#[test]
fn a_file_that_somebody_makes_meanwhile_is_completed_and_not_replaced() {
    let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
    std::fs::remove_file(sandbox.root().join(".env")).unwrap();
    let only = "schema_secrets::secret_key";
    let healed = held_as_it_puts(&sandbox, only, || append(&sandbox, "LATE=1\n"));
    assert_eq!(healed.code, Some(0), "{}", healed.text());
    let text = std::fs::read_to_string(sandbox.root().join(".env")).unwrap();
    assert!(
        text.starts_with("LATE=1\n") && text.contains("SECRET_KEY="),
        "{text}"
    );
}

fn append(sandbox: &Sandbox, line: &str) {
    use std::io::Write as _;
    let mut options = std::fs::File::options();
    let file = options.create(true).append(true);
    let mut file = file.open(sandbox.root().join(".env")).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

/// Of a file that the run had completed, and of one that it had made.
#[test]
fn what_is_written_into_a_file_as_undo_takes_it_back_is_kept() {
    let cases = [
        (Start::Pending(Journal::Delete), "PUTTING"),
        (Start::Empty, "LEAVING"),
    ];
    for (start, at) in cases {
        let (sandbox, _, run_id) = booted(start);
        let before = snapshot(&sandbox);
        let mut command = undo_command(sandbox.root(), &run_id);
        let undone = held(&mut command, &sandbox, at, || {
            append(&sandbox, "LATE=1\n");
        });
        let text = undone.text();
        assert!(text.contains(".env changed since"), "{start:?}: {text}");
        let now = snapshot(&sandbox);
        let written = [&before[".env"].1[..], b"LATE=1\n"].concat();
        assert!(now[".env"] == (before[".env"].0, written), "{start:?}");
        let folder = sandbox.root().join("var/boot/quarantine").join(&run_id);
        assert!(!folder.join("aside-1-.env").exists());
        let again = undo(&sandbox, &run_id);
        assert_eq!(again.code, Some(8), "{start:?}: {}", again.text());
    }
}

/// As an editor does that writes a file anew.
#[test]
fn a_file_that_takes_the_name_of_one_that_undo_moves_away_replaces_nothing() {
    let (sandbox, _, run_id) = booted(Start::Empty);
    let env = sandbox.root().join(".env");
    let mut command = undo_command(sandbox.root(), &run_id);
    let mut undo = Held::start(&mut command, &sandbox, &["LEAVING", "GONE"]);
    assert!(undo.comes_to("LEAVING"));
    append(&sandbox, "LATE=1\n");
    undo.let_go("LEAVING");
    assert!(undo.comes_to("GONE"));
    std::fs::write(&env, "NEW=1\n").unwrap();
    undo.let_go("GONE");
    let undone = undo.end();
    assert_eq!(undone.code, Some(1), "{}", undone.text());
    assert!(undone.text().contains("aside-1-.env"), "{}", undone.text());
    assert_eq!(std::fs::read_to_string(&env).unwrap(), "NEW=1\n");
    let kept = sandbox.root().join("var/boot/quarantine").join(&run_id);
    let kept = std::fs::read_to_string(kept.join("aside-1-.env")).unwrap();
    assert!(kept.ends_with("LATE=1\n"), "{kept}");
}

/// The pages that a damaged file names as free may hold rows.
#[test]
fn nothing_is_written_into_a_damaged_database() {
    let sandbox = Sandbox::prepared(Start::Pending(Journal::Delete));
    fill_root_page(&sandbox.database(), "notes", 4096);
    let before = bytes(&sandbox);
    let waits = boot(sandbox.root());
    assert_eq!(waits.code, Some(8), "{}", waits.text());
    assert!(before == bytes(&sandbox), "a boot wrote into it");
    let words: Vec<_> = waits.text().split_whitespace().map(str::to_owned).collect();
    for title in ["Required tables are present", "Schema matches the code"] {
        let blocked = format!("{title} - blocked by preflight::database_intact");
        assert!(words.join(" ").contains(&blocked), "{}", waits.text());
    }
    let mut skipping = command(sandbox.root());
    skipping.args(["--skip", "preflight::database_intact"]);
    let skipped = run(&mut skipping);
    assert_ne!(skipped.code, Some(0), "{}", skipped.text());
    assert!(
        before == bytes(&sandbox),
        "a boot that may not look wrote into it"
    );
    let mut heal = Command::new(env!("CARGO_BIN_EXE_xtask"));
    heal.env_clear()
        .args(["heal", "apply_pending_migrations", "--root"]);
    let healed = run(heal.arg(sandbox.root()).stdin(Stdio::null()));
    assert_ne!(healed.code, Some(0), "{}", healed.text());
    assert!(healed.text().contains("corrupt"), "{}", healed.text());
    assert!(before == bytes(&sandbox), "a heal wrote into it");
}

/// As `docker run -v ./app.db:/app/app.db` mounts it.
#[test]
#[cfg_attr(not(can_mount), ignore = "nothing may be mounted here")]
fn a_database_that_is_a_mount_point_is_not_half_replaced() {
    let start = Start::Pending(Journal::Delete);
    let (sandbox, _, run_id) = booted(start);
    let source = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(sandbox.database(), source.path()).unwrap();
    let mut mount = Command::new("mount");
    mount
        .arg("--bind")
        .arg(source.path())
        .arg(sandbox.database());
    assert!(mount.status().is_ok_and(|status| status.success()));
    let before = bytes(&sandbox);
    let undone = undo(&sandbox, &run_id);
    let is_kept = before == bytes(&sandbox);
    let again = boot(sandbox.root());
    let mut unmount = Command::new("umount");
    let unmounted = unmount.arg("--lazy").arg(sandbox.database()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(undone.code, Some(1), "{}", undone.text());
    assert!(
        undone.text().contains("is a mount point of its own"),
        "{}",
        undone.text()
    );
    assert!(is_kept, "a file was touched");
    assert_eq!(again.code, Some(0), "{}", again.text());
    let mut connection = sandbox.open();
    verify_rows(&mut connection, ROWS).unwrap();
    connection.close();
}
