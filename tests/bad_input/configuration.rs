//! What the gate says where it cannot even begin.

use crate::support::{self, Fixture, answer};

#[test]
fn a_configuration_that_is_not_understood_leaves_a_red_report() {
    let fixture = Fixture::healthy();
    fixture.write("boot.toml", "nmae = \"grace\"\n");
    fixture
        .boot(&[])
        .says(78, &["`nmae`", "boot.toml:1", "did you mean `name`?"]);
    let report = fixture.report();
    assert!(report.contains("Success: NO"), "{report}");
    assert!(
        report.contains("boot.toml:1") && report.contains("nmae"),
        "{report}"
    );
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!((code, &json["summary"]["exit_code"]), (78, &78.into()));
    assert_eq!(json["summary"]["verdict"], "config");
}

#[test]
fn a_root_that_is_none_is_named() {
    let fixture = Fixture::empty();
    let file = fixture.write("file", "").display().to_string();
    let missing = fixture.path("missing").display().to_string();
    for (root, why) in [
        (&file, "root is not a folder"),
        (&missing, "there is no such folder"),
    ] {
        let mut command = assert_cmd::Command::new(support::binary());
        command.env_clear().envs(fixture.environment());
        let answer = answer(command.args(["boot", "--root", root]));
        answer.says(
            78,
            &[root, why, "name the application's folder with --root"],
        );
    }
    assert_eq!(fixture.tree().len(), 1, "nothing was made");
}

#[test]
fn without_a_home_all_is_the_same() {
    let fixture = Fixture::empty();
    answer(fixture.command().env_remove("HOME")).says(0, &["8/8"]);
}

/// As `Environment=SECRET_KEY=` of a unit leaves it: the application gets that, whatever stands in .env.
#[test]
fn a_variable_that_hides_the_one_in_the_env_file_is_named_as_the_cause() {
    let fixture = Fixture::healthy();
    for (value, what) in [("", "empty"), ("changeme", "a placeholder")] {
        let said = format!("SECRET_KEY is {what} in the environment");
        // .env has a good one, then none.
        let hides = ["hides the one in .env", "next: `unset SECRET_KEY` where"];
        let env = fixture.read(".env");
        boot_with_key(&fixture, value).says(0, &[&[&said[..]], &hides[..]].concat());
        assert_eq!(fixture.read(".env"), env);

        let without = env.replace("SECRET_KEY=", "OTHER_KEY=");
        fixture.write(".env", &without);
        let stronger = [
            "stronger than .env",
            "or `unset SECRET_KEY` there and set it",
        ];
        let answer = boot_with_key(&fixture, value);
        answer.says(0, &[&[&said[..]], &stronger[..]].concat());
        answer.says(
            0,
            &["create_default_env does nothing: the environment has its own SECRET_KEY"],
        );
        assert_eq!(
            fixture.read(".env"),
            without,
            "it would be taken back anyway"
        );
        fixture.write(".env", env);
    }
    fixture.boot(&[]).says(0, &["8/8"]);
}

fn boot_with_key(fixture: &Fixture, value: &str) -> support::Answer {
    answer(fixture.command().env("SECRET_KEY", value))
}

/// A line that is there keeps every byte, so a key that is put behind it would not be what is reported.
#[test]
fn a_line_of_the_env_file_without_its_value_is_a_persons_to_fill_in() {
    for (line, what) in [
        ("SECRET_KEY=", "empty"),
        ("SECRET_KEY=changeme", "a placeholder"),
    ] {
        let fixture = Fixture::healthy();
        let env = format!("# Grace\nPYTHONIOENCODING=utf-8\n{line}\n");
        fixture.write(".env", &env);
        let answer = fixture.boot(&[]);
        answer.says(
            0,
            &[
                &format!("SECRET_KEY is {what} in .env:3"),
                "next: fill in .env:3: `SECRET_KEY=` and its value",
                "create_default_env does nothing: .env names SECRET_KEY without a value",
                "[FIX] DATABASE_URL is set - fixed by create_default_env (completed .env with DATABASE_URL)",
            ],
        );
        let after = fixture.read(".env");
        let added = after.strip_prefix(&env).unwrap();
        assert!(added.starts_with("DATABASE_URL="), "{after}");
        assert_eq!(added.lines().count(), 1, "{after}");
        assert!(!answer.stdout.contains("taken back"), "{}", answer.stdout);
    }
}

#[test]
fn an_empty_database_url_of_the_env_file_is_a_persons_to_fill_in() {
    let fixture = Fixture::healthy();
    let env = fixture
        .read(".env")
        .replace("DATABASE_URL=", "DATABASE_URL=\n#");
    fixture.write(".env", &env);
    let words = ["DATABASE_URL is empty in .env:", "next: fill in .env:"];
    fixture.boot(&[]).says(0, &words);
    assert_eq!(fixture.read(".env"), env);
}

/// SQLAlchemy would raise `NoSuchModuleError` at the start.
#[test]
fn a_driver_that_sqlalchemy_does_not_have_is_said() {
    let fixture = Fixture::healthy();
    let typed = ["--database-url", "sqlite+aiosqllite:///./var/grace.db"];
    let words = [
        "--database-url: SQLAlchemy has no such driver",
        "did you mean `sqlite+aiosqlite`?",
    ];
    fixture.boot(&typed).says(78, &words);
    let brought = ["--database-url", "sqlite+libsql:///./var/grace.db"];
    let words = [
        "[WARN]",
        "SQLAlchemy itself has no driver for `sqlite+libsql`",
        "NoSuchModuleError",
    ];
    fixture.boot(&brought).says(0, &words);
}
