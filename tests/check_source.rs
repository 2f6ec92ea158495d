//! `cargo xtask check-source` from the outside: what it prints, how it ends.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use assert_cmd::Command;
use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

/// An application with a module that fails, one that fails beside the entry point, and a lost coroutine.
fn application() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("boot.toml", ""),
        ("backend/__init__.py", ""),
        ("backend/models.py", "class Event:\n    pass\n"),
        (
            "backend/main.py",
            "from backend.models import Evnt\n\n\nasync def tick():\n    pass\n\n\n\
             async def main():\n    tick()\n",
        ),
        ("backend/spare.py", "import backend.gone\n"),
    ];
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The exit code, standard output and standard error of a run in the application's root.
fn check(folder: &TempDir, args: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("xtask")
        .unwrap()
        .arg("check-source")
        .args(args)
        .current_dir(folder.path())
        .env_remove("BOOT_ROOT")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn what_the_entry_point_meets_blocks_and_the_rest_is_a_warning() {
    let folder = application();
    let args = ["--package", "backend", "--entry", "backend.main:app"];
    let (code, stdout, stderr) = check(&folder, &args);
    assert_eq!((code, stderr.as_str()), (1, ""));
    assert_snapshot!(stdout, @r"
    [FAIL] import_name_missing: cannot import name 'Evnt' from 'backend.models'
           place: backend/main.py:1:1
           modules that fail: 1
           cause: the module is there and defines no such name: it was moved, renamed or deleted
           -> 'backend.models' has 'Event'
    [WARN] missing_internal_module: no module named 'backend.gone'
           place: backend/spare.py:1:8
           modules that fail: 1
           cause: the module was moved, renamed or deleted, and this import was left behind
           -> restore 'backend.gone', or take this import out: no module is like it
    [WARN] coroutine_not_awaited: coroutine 'tick' is never awaited
           place: backend/main.py:9:5
           defined: backend.main.tick
           cause: calling a coroutine only makes it; nothing of it ever runs
           -> write `await tick(…)`
    modules that fail on import: 2 of 4
    files: 4, lines: 12, files that do not parse: 0, harmless cycles: 0
    ");
}

#[test]
fn an_entry_point_that_starts_is_not_blocked_by_other_modules() {
    let folder = application();
    let args = ["--package", "backend", "--entry", "backend.models"];
    let (code, stdout, _) = check(&folder, &args);
    assert_eq!(code, 0, "{stdout}");
    assert!(!stdout.contains("[FAIL]"), "{stdout}");
}

#[test]
fn json_is_one_object_with_the_exit_code_and_its_name() {
    let folder = application();
    let cases = [
        (vec!["--package", "backend"], 1, "blocked"),
        (
            vec!["--package", "backend", "--entry", "backend.models"],
            0,
            "may-start",
        ),
    ];
    for (mut args, expect, name) in cases {
        args.extend(["--format", "json"]);
        let (code, stdout, stderr) = check(&folder, &args);
        let value: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((code, stderr.as_str()), (expect, ""));
        assert_eq!(value["exit_code"], expect);
        assert_eq!(value["exit_name"], name);
        let codes: Vec<&str> = value["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| problem["code"].as_str().unwrap())
            .collect();
        assert_eq!(codes.len(), 3, "{codes:?}");
        assert!(codes.contains(&"import_name_missing"), "{codes:?}");
    }
}

#[test]
fn bad_input_says_what_is_wrong_and_the_next_step() {
    let folder = application();
    let cases: [(&[&str], i32, &str, &str); 7] = [
        (
            &["--package", "bakend"],
            2,
            "error: package 'bakend' is not in ",
            "  next: did you mean 'backend'?",
        ),
        (
            &["--package", "backend/"],
            2,
            "error: package 'backend/' is not in ",
            "  next: did you mean 'backend'?",
        ),
        (
            &["--package", "..tmp"],
            2,
            "error: package '..tmp' is not in ",
            "  next: name packages as Python would import them from the root",
        ),
        (
            &["--package", "backend", "--entry", "backend.mian:app"],
            2,
            "error: entry point 'backend.mian:app' is not in ",
            "  next: did you mean 'backend.main'?",
        ),
        (
            &["--package", "backend", "--entry", "elsewhere/run.py"],
            2,
            "error: entry point 'elsewhere/run.py' is not in ",
            "  next: write it as backend.main, backend.main:app or backend/main.py",
        ),
        (
            &["--package", "backend", "--environment", "backend"],
            2,
            "error: backend is no Python environment: it has no site-packages",
            "  next: name a virtual environment",
        ),
        (
            &["--package", "backend", "--root", "elsewhere"],
            78,
            "error: missing root: ",
            "  next: name the application's folder with --root or BOOT_ROOT",
        ),
    ];
    for (args, expect, problem, next) in cases {
        let (code, stdout, stderr) = check(&folder, args);
        assert_eq!((code, stdout.as_str()), (expect, ""), "{args:?}: {stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        let [first, second] = lines.as_slice() else {
            panic!("{args:?}: {stderr}");
        };
        assert!(first.starts_with(problem), "{args:?}: {stderr}");
        assert!(second.starts_with(next), "{args:?}: {stderr}");
    }
}

#[test]
#[cfg_attr(not(can_be_unprivileged), ignore = "setpriv is missing")]
fn what_cannot_be_read_is_named_and_is_no_pass() {
    let argv = support::without_privileges();
    let folder = application();
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), everybody).unwrap();
    let package = ["--package", "backend"];
    let models = [&package[..], &["--entry", "backend.models"]].concat();
    for (closed, arguments, expect, said) in [
        (
            "backend/models.py",
            &models,
            1,
            "[FAIL] source_unreadable: backend/models.py cannot be read: Permission",
        ),
        (
            "backend/spare.py",
            &models,
            0,
            "[WARN] source_unreadable: backend/spare.py cannot be read: Permission",
        ),
        (
            "backend/spare.py",
            &package.to_vec(),
            1,
            "[FAIL] source_unreadable: backend/spare.py cannot be read: Permission",
        ),
        (
            "backend/inner",
            &models,
            0,
            "not judged, folder backend/inner cannot be read: 1",
        ),
        (
            "backend",
            &models,
            4,
            "backend cannot be read: Permission denied",
        ),
    ] {
        fs::create_dir_all(folder.path().join("backend/inner")).unwrap();
        let path = folder.path().join(closed);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let binary = support::binary().display().to_string();
        let command = [&argv[..], &[binary.as_str(), "check-source"], arguments].concat();
        let output = Command::new(command[0])
            .args(&command[1..])
            .current_dir(folder.path())
            .env_remove("BOOT_ROOT")
            .output()
            .unwrap();
        fs::set_permissions(&path, before).unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(expect), "{closed}: {text}");
        assert!(text.contains(said), "{closed}: {text}");
    }
}

#[test]
fn the_heal_that_is_proposed_names_the_application() {
    let folder = application();
    let cycle = "from backend.models import Event\nKIND = 1\n";
    fs::write(folder.path().join("backend/kinds.py"), cycle).unwrap();
    let models = "from backend.kinds import KIND\nclass Event:\n    pass\n";
    fs::write(folder.path().join("backend/models.py"), models).unwrap();
    let args = ["--package", "backend", "--entry", "backend.models"];
    let command = "`cargo xtask heal fix_circular_imports --plan";
    let (code, stdout, _) = check(&folder, &args);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains(&format!("{command}`")), "{stdout}");

    let root = folder.path().canonicalize().unwrap();
    let output = Command::cargo_bin("xtask")
        .unwrap()
        .args(["check-source", "--root"])
        .arg(root.file_name().unwrap())
        .args(args)
        .current_dir(root.parent().unwrap())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let expect = format!("{command} --root {}`", root.display());
    assert!(stdout.contains(&expect), "{stdout}");
}
