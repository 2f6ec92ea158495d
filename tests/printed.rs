//! Commands that are printed, run by a shell as they stand, of an application whose names need quotes.
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Answer, Fixture, PATIENCE, binary, step};

/// What a shell would take for two words, a string, a variable and a command.
const NAME: &str = "it's \"my\" $HOME; app";

fn fixture() -> Fixture {
    let fixture = Fixture::below(NAME);
    assert_eq!(fixture.boot(&[]).code, 0);
    fixture
}

/// The command behind `next:` that begins so.
#[track_caller]
fn printed(answer: &Answer, begins: &str) -> String {
    let all = answer.all();
    let (_, next) = all.split_once("next: ").unwrap_or_else(|| panic!("{all}"));
    let command = next.split('`').find(|part| part.starts_with(begins));
    command.unwrap_or_else(|| panic!("{all}")).to_owned()
}

/// Runs a line in another folder than the application's.
fn shell(fixture: &Fixture, line: &str) -> Answer {
    let (program, line) = (binary(), line.replace("cargo xtask ", "\"$XTASK\" "));
    let mut shell = assert_cmd::Command::from_std(Command::new("sh"));
    shell.env_clear().envs(fixture.environment());
    shell
        .env("XTASK", program)
        .current_dir("/")
        .timeout(PATIENCE);
    support::answer(shell.args(["-c", &line]))
}

#[test]
fn a_plan_is_carried_out_and_taken_back_by_what_is_printed() {
    let fixture = fixture();
    std::fs::remove_file(fixture.path(".env")).unwrap();
    let planned = fixture.run(&["heal", "create_default_env", "--plan"]);
    let apply = printed(&planned, "cargo xtask heal");
    let applied = shell(&fixture, &apply);
    applied.says(0, &["[FIX]"]);
    assert!(fixture.path(".env").exists());
    shell(&fixture, &printed(&applied, "cargo xtask undo")).says(0, &["removed .env"]);
    assert!(!fixture.path(".env").exists());
}

/// Its imports go round in a circle, and the edit that breaks it waits for a person.
fn cyclic() -> Fixture {
    let fixture = fixture();
    fixture.write("backend/main.py", "import backend.a\napp = 1\n");
    fixture.write(
        "backend/a.py",
        "from backend.b import g\n\n\ndef f():\n    return g\n",
    );
    fixture.write(
        "backend/b.py",
        "from backend.a import f\n\n\ndef g():\n    return f()\n",
    );
    fixture
}

#[track_caller]
fn quoted<'a>(text: &'a str, begins: &str) -> &'a str {
    let command = text.split('`').find(|part| part.starts_with(begins));
    command.unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn what_the_report_of_a_boot_names_is_run_as_it_stands() {
    let fixture = cyclic();
    fixture.boot(&[]).says(8, &[]);
    let report = fixture.report();
    let approve = quoted(&report, "cargo xtask approve");
    shell(&fixture, &format!("{approve} --by ann")).says(0, &["ann approved plan"]);
}

#[test]
fn what_is_shown_of_a_boot_that_is_over_is_run_as_it_stands() {
    let fixture = cyclic();
    fixture.boot(&[]).says(8, &[]);
    let waits = fixture.run(&["report"]);
    waits.says(
        0,
        &[
            "fix_circular_imports waits for approval",
            "--- a/backend/b.py",
        ],
    );
    let approve = quoted(&waits.stdout, "cargo xtask approve");
    shell(&fixture, &format!("{approve} --by ann")).says(0, &["ann approved plan"]);
    fixture.boot(&[]).says(0, &[]);
    let healed = fixture.run(&["report"]);
    healed.says(0, &["fix_circular_imports healed it", "edit "]);
    let undo = quoted(&healed.stdout, "cargo xtask undo");
    shell(&fixture, undo).says(0, &["restored ", "backend/b.py"]);
}

#[test]
fn what_a_finding_names_is_run_as_it_stands() {
    let fixture = fixture();
    fixture.sql("DROP TABLE verification_events");
    let (_, json) = fixture.boot_json(&[]);
    let problem = &step(&json, "preflight::required_tables")["problems"][0];
    let list = quoted(problem["action"].as_str().unwrap(), "cargo xtask backups");
    shell(&fixture, list).says(0, &[]);
    assert!(list.contains("--root"), "{list}");
}

#[test]
fn a_plan_that_waits_is_approved_and_carried_out_by_what_is_printed() {
    let fixture = cyclic();
    let waits = fixture.run(&["heal", "fix_circular_imports"]);
    let approve = printed(&waits, "cargo xtask approve");
    shell(&fixture, &format!("{approve} --by ann")).says(0, &["ann approved plan"]);
    let heal = printed(&waits, "cargo xtask heal");
    shell(&fixture, &heal).says(0, &["[FIX] backend/b.py"]);
}

#[test]
fn a_copy_is_put_back_by_what_is_printed_also_where_its_path_was_given() {
    let fixture = fixture();
    fixture.sql("DELETE FROM playbooks");
    fixture.boot(&[]).says(0, &[]);
    let list = fixture.run(&["backups", "list"]);
    let run = list
        .stdout
        .lines()
        .find(|line| line.contains("grace.db -> "));
    let (run, _) = run.and_then(|line| line.split_once(' ')).unwrap();
    let database = fixture.database().display().to_string();
    for path in [&[][..], &[database.as_str()]] {
        let plan = [&["backups", "restore", run][..], path, &["--plan"]].concat();
        let apply = printed(&fixture.run(&plan), "cargo xtask backups restore");
        assert_eq!(apply.matches(NAME).count(), 0, "nothing is quoted: {apply}");
        let applied = shell(&fixture, &apply);
        applied.says(0, &["restored var/grace.db"]);
        shell(&fixture, &printed(&applied, "cargo xtask undo")).says(0, &["taken back"]);
    }
}

#[test]
fn a_log_in_such_a_folder_is_diagnosed_by_what_is_printed() {
    let fixture = fixture();
    let folder = fixture.path("logs of may");
    fixture.write(
        "logs of may/a.log",
        "sqlite3.OperationalError: database is locked\n",
    );
    let refused = fixture
        .command_of(&["diagnose"])
        .arg(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    let (_, line) = said
        .split_once("all of them: ")
        .unwrap_or_else(|| panic!("{said}"));
    shell(&fixture, line.trim()).says(0, &["database_locked"]);
}

#[test]
fn an_empty_database_is_moved_away_by_what_is_printed() {
    let fixture = Fixture::below(NAME);
    let description = "name = \"x\"\n[database]\nurl = \"sqlite:///./my data.db\"\n";
    fixture.write("boot.toml", description);
    fixture.write("my data.db", "");
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 1, "{json:#}");
    let problem = &step(&json, "preflight::database_exists")["problems"][0];
    let action = problem["action"].as_str().unwrap();
    let command = action.split('`').find(|part| part.starts_with("mv "));
    let mv = format!("cd \"$HOME\" && {}", command.unwrap());
    shell(&fixture, &mv).says(0, &[]);
    assert!(fixture.path("my data.db.empty").exists());
}

/// A report is read in other folders than the one where the boot was typed.
#[test]
fn a_root_that_was_typed_relative_is_printed_in_full() {
    let fixture = Fixture::healthy();
    std::fs::remove_file(fixture.database()).unwrap();
    fixture.write("other.toml", "");
    let (above, name) = (fixture.root().parent().unwrap(), fixture.root().file_name());
    let mut command = assert_cmd::Command::new(binary());
    command.env_clear().envs(fixture.environment());
    command.current_dir(above).args(["boot", "--config"]);
    command.arg(Path::new(name.unwrap()).join("other.toml"));
    command.arg("--root").arg(name.unwrap());
    let root = fixture.root().display();
    let printed = format!("`cargo xtask backups list --root {root} --config {root}/other.toml`");
    support::answer(&mut command).says(1, &[&printed]);
}
