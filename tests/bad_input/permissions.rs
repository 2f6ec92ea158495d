//! What the gate may not read or write.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::support::{self, Answer, Fixture, PATIENCE, answer, without_privileges};

#[test]
#[cfg_attr(not(can_be_unprivileged), ignore = "setpriv is missing")]
fn nothing_is_called_started_that_was_not() {
    let argv = without_privileges();
    let fixture = Fixture::healthy();
    let everywhere = fs::Permissions::from_mode(0o777);
    for name in [
        "",
        "logs",
        "var",
        "var/boot",
        "grace_training",
        "grace_training/startup_failures",
    ] {
        fs::set_permissions(fixture.path(name), everywhere.clone()).unwrap();
    }
    for name in [".env", "var/boot/lock", "var/boot/journal.jsonl"] {
        fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    fs::set_permissions(fixture.database(), fs::Permissions::from_mode(0o444)).unwrap();
    let owner = fs::metadata(fixture.database()).unwrap().uid();
    let answer = as_user(&fixture, &argv, &[]);
    answer.says(
        1,
        &[
            "core_services::database",
            "var/grace.db cannot be written",
            &format!("grace.db: belongs to user {owner}, mode 444"),
            &format!("var: belongs to user {owner}, mode 777"),
            "this boot: runs as user ",
        ],
    );
    assert!(!answer.stdout.contains("8/8"), "{}", answer.stdout);
}

/// Boots as a user whom permission bits stop.
pub(crate) fn as_user(fixture: &Fixture, argv: &[&str], arguments: &[&str]) -> Answer {
    let binary = support::binary().display().to_string();
    let root = fixture.root().display().to_string();
    let boot = [binary.as_str(), "boot", "--root", root.as_str()];
    let all = [argv, &boot, arguments].concat();
    let mut command = assert_cmd::Command::new(all[0]);
    command
        .args(&all[1..])
        .env_clear()
        .current_dir(fixture.root());
    command.envs(fixture.environment()).timeout(PATIENCE);
    answer(&mut command)
}

#[test]
#[cfg_attr(not(can_be_unprivileged), ignore = "setpriv is missing")]
fn an_unreadable_env_is_named() {
    let argv = without_privileges();
    let fixture = Fixture::empty();
    let env = fixture.write(".env", "A=1\n");
    fs::set_permissions(&env, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(fixture.root(), fs::Permissions::from_mode(0o777)).unwrap();
    as_user(&fixture, &argv, &[]).says(
        78,
        &[
            ".env",
            "Permission denied",
            "let the user that runs the boot read it",
        ],
    );
}

#[test]
#[cfg_attr(not(can_be_unprivileged), ignore = "setpriv is missing")]
fn a_read_only_root_is_looked_at_and_never_green() {
    let argv = without_privileges();
    for healthy in [false, true] {
        let fixture = if healthy {
            Fixture::healthy()
        } else {
            Fixture::empty()
        };
        if healthy {
            fs::set_permissions(fixture.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let before = fixture.tree();
        let answer = as_user(&fixture, &argv, &[]);
        answer.says(
            1,
            &["Permission denied", "looking only", "cannot be written"],
        );
        assert_eq!(
            before.keys().collect::<Vec<_>>(),
            fixture.tree().keys().collect::<Vec<_>>()
        );
    }
}

/// The gate's folder is another user's, and so is the database; the report could be written all the same.
#[test]
#[cfg_attr(not(can_be_unprivileged), ignore = "setpriv is missing")]
fn a_database_that_may_not_be_written_is_no_green_boot_where_the_gate_may_only_look() {
    let argv = without_privileges();
    let fixture = Fixture::healthy();
    fs::set_permissions(fixture.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
    let records = "grace_training/startup_failures";
    for folder in ["var", "logs", "grace_training", records] {
        fs::set_permissions(fixture.path(folder), fs::Permissions::from_mode(0o777)).unwrap();
    }
    for file in ["logs/last_boot_report.txt", "logs/startup_metrics.prom"] {
        fs::remove_file(fixture.path(file)).unwrap();
    }
    as_user(&fixture, &argv, &[]).says(1, &["looking only", "var/grace.db cannot be written"]);
}

/// Python would raise `PermissionError` where it opens what it imports.
#[test]
#[cfg_attr(not(can_be_unprivileged), ignore = "setpriv is missing")]
fn python_sources_that_cannot_be_read_are_never_called_good() {
    let argv = without_privileges();
    let fixture = Fixture::healthy();
    for name in ["", "logs", "var", "var/boot", "grace_training"] {
        fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    for name in [".env", "var/boot/lock"] {
        fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    fixture.write("backend/__init__.py", "");
    fixture.write("backend/models.py", "");
    fixture.write("backend/inner/tools.py", "");
    let main = "import backend.models\nimport backend.inner.tools\napp = 1\n";
    fixture.write("backend/main.py", main);
    let entry = ["--observe", "--stage", "preflight"];
    let open = as_user(&fixture, &argv, &entry);
    assert!(!open.stdout.contains("cannot be read"), "{}", open.stdout);
    for (closed, said) in [
        ("backend/models.py", "[FAIL] CLOSED cannot be read"),
        ("backend/main.py", "[FAIL] CLOSED cannot be read"),
        ("backend/inner", "[FAIL] CLOSED cannot be read"),
        (
            "backend",
            "[ERROR] could not look: ROOT/CLOSED cannot be read",
        ),
    ] {
        let path = fixture.path(closed);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let answer = as_user(&fixture, &argv, &entry);
        fs::set_permissions(&path, before).unwrap();
        let root = fixture.root().display().to_string();
        let said = said.replace("CLOSED", closed).replace("ROOT", &root);
        answer.says(1, &[&said, "Permission denied"]);
        answer.says(1, &["let the user that starts the application read"]);
    }
}
