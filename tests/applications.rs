//! Applications other than the reference one: described in boot.toml, migrated by their own tools.
#![cfg(unix)]
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a suite speaks to its terminal"
)]

mod support;

use serde_json::Value;
use support::{Fixture, step, steps};

const SHOP: &str = "name = \"shop\"\n[database]\nurl = \"sqlite:///./var/grace.db\"\n";

/// What every scenario of an external tool starts from.
const TOOL: &str = "[migrations]
command = [\"./tool\", \"upgrade\"]
check = [\"./tool\", \"check\"]
timeout_seconds = 1
[tables]
orders = [\"id\", \"paid BOOLEAN\"]
";

const ALEMBIC: &str = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
    INSERT INTO alembic_version VALUES ('a1b2c3');
    CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);";

fn shop(boot_toml: &str) -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("boot.toml", format!("{SHOP}{boot_toml}"));
    fixture
}

/// A tool that is current when a file says so; `upgrade` runs the body.
fn with_tool(body: &str) -> Fixture {
    let fixture = shop(TOOL);
    fixture.sql(ALEMBIC);
    let script = format!("if [ \"$1\" = check ]; then test -f upgraded; exit $?; fi\n{body}");
    fixture.script("tool", &script);
    fixture
}

/// Adds the missing column with the SQLite that the fixture itself cannot run from a shell.
const UPGRADE: &str = "python3 - <<'END'
import sqlite3
database = sqlite3.connect('var/grace.db')
database.execute('ALTER TABLE orders ADD COLUMN paid BOOLEAN')
database.commit()
END
touch upgraded";

fn has_python() -> bool {
    let found = std::process::Command::new("python3")
        .args(["-c", "import sqlite3"])
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: there is no python3 with sqlite3 to play the external tool");
    }
    found
}

#[test]
fn a_folder_of_migrations_makes_and_updates_the_database() {
    let fixture = shop("[migrations]\nfolder = \"sql\"\n[tables]\norders = [\"id\", \"paid\"]\n");
    fixture.write(
        "sql/1_orders.sql",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY);",
    );
    fixture.write("sql/README.md", "no migration");
    let answer = fixture.boot(&[]);
    answer.says(1, &["column orders.paid is missing", "shop must not start"]);

    fixture.write(
        "sql/2_paid.sql",
        "ALTER TABLE orders ADD COLUMN paid BOOLEAN;",
    );
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(json["application"], "shop");
    let healed = step(&json, "preflight::schema_version");
    assert_eq!(healed["status"], "fixed");
    assert_eq!(healed["repairs"][0]["summary"], "applied migration 2");
    assert_eq!(fixture.tables(), ["_sqlx_migrations", "orders"]);
}

#[test]
fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let fixture = shop("[migrations]\nfolder = \"sql\"\n");
    fixture.write(
        "sql/1_orders.sql",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY);",
    );
    fixture.boot(&[]).says(0, &["8/8"]);
    fixture.write(
        "sql/2_broken.sql",
        "CREATE TABLE half (x); CREATE TABLE orders (y);",
    );
    let answer = fixture.boot(&[]);
    assert_ne!(answer.code, 0, "{}", answer.all());
    assert!(answer.all().contains("orders"), "{}", answer.all());
    assert_eq!(fixture.tables(), ["_sqlx_migrations", "orders"]);
}

#[test]
fn a_migration_that_no_transaction_takes_back_or_that_is_no_text_is_never_run() {
    let fixture = shop("[migrations]\nfolder = \"sql\"\n");
    fixture.write("sql/1_a.sql", "CREATE TABLE a (x);");
    fixture.boot(&[]).says(0, &["8/8"]);
    let before = std::fs::read(fixture.database()).unwrap();
    for (text, words) in [
        (
            "CREATE TABLE b (x);\npragma /* ; */ main.[journal_mode]=off;",
            ["migration 2, line 2: PRAGMA journal_mode", "take it out"],
        ),
        (
            "ATTACH 'other.db' AS other;",
            ["2_b.sql, line 1: ATTACH", "take it out"],
        ),
        (
            "CREATE TABLE b (x);\0CREATE TABLE c (x);",
            ["2_b.sql, line 1: a NUL byte", "save it as UTF-8"],
        ),
        (
            "\u{feff}\n",
            ["migration 2 says nothing", "restore its text"],
        ),
    ] {
        fixture.write("sql/2_b.sql", text);
        for arguments in [&[][..], &["--observe"]] {
            fixture.boot(arguments).says(1, &words);
        }
        assert_eq!(std::fs::read(fixture.database()).unwrap(), before, "{text}");
    }
}

/// The two migrations of an application that made its database itself.
fn adopted(first: &str, second: &str, there: &str) -> Fixture {
    let fixture = shop("[migrations]\nfolder = \"sql\"\n");
    fixture.write("sql/1_a.sql", first);
    fixture.write("sql/2_b.sql", second);
    fixture.sql(there);
    fixture
}

#[test]
fn a_database_without_a_record_gets_what_is_missing_and_nothing_else() {
    let first = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);";
    let there = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)";
    let fixture = adopted(
        first,
        "ALTER TABLE t ADD COLUMN n TEXT COLLATE NOCASE DEFAULT 'A'; CREATE VIEW v AS SELECT x FROM t;
         CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t WHERE id = 0; END;",
        there,
    );
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    let healed = &step(&json, "preflight::schema_version")["repairs"][0];
    assert_eq!(
        healed["summary"],
        "added column t.n, view v, trigger g; recorded 2 migrations as applied"
    );
    fixture.boot(&[]).says(0, &["8/8"]);
    fixture.sql("DROP VIEW v; CREATE VIEW v AS SELECT id FROM t");
    let words = [
        "the schema differs in what cannot be added: view v",
        "found CREATE VIEW v AS SELECT id FROM t, expected CREATE VIEW v AS SELECT x FROM t",
    ];
    fixture.boot(&[]).says(1, &words);

    for (second, there, object) in [
        (
            "CREATE UNIQUE INDEX u ON t (x);",
            "CREATE INDEX u ON t (id)",
            "index u",
        ),
        (
            "SELECT 1;",
            "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT CHECK (x > 1))",
            "condition of t",
        ),
    ] {
        let fixture = adopted(first, second, &format!("{first} {there}"));
        let before = std::fs::read(fixture.database()).unwrap();
        let words = ["the schema differs in what cannot be added", object];
        fixture.boot(&[]).says(1, &words);
        assert!(
            std::fs::read(fixture.database()).unwrap() == before,
            "{object}"
        );
    }
}

#[test]
fn rows_that_migrations_write_are_not_left_out_unasked() {
    let first = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);";
    let fixture = adopted(first, "INSERT INTO t VALUES (7, 'a');", first);
    let words = [
        "not there, and written by the migrations: 1 row of t",
        "waits for approval",
    ];
    fixture.boot(&[]).says(8, &words);
    assert_eq!(fixture.tables(), ["t"]);
    fixture.sql("INSERT INTO t VALUES (7, 'b')");
    fixture.boot(&[]).says(0, &["8/8"]);
}

#[test]
fn the_tool_that_owns_a_database_heals_it() {
    if !has_python() {
        return;
    }
    let fixture = with_tool(UPGRADE);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    let healed = step(&json, "preflight::schema_version");
    assert_eq!(healed["status"], "fixed");
    assert_eq!(healed["repairs"][0]["summary"], "ran `./tool upgrade`");
    assert_eq!(
        step(&json, "schema_secrets::required_columns")["status"],
        "pass"
    );
    assert_eq!(
        fixture.tables(),
        ["alembic_version", "orders"],
        "no record of ours"
    );
}

#[test]
fn a_plan_whose_command_does_something_else_by_now_is_another_plan() {
    let fixture = with_tool("touch upgraded");
    fixture.write("alembic.ini", "[alembic]\nscript_location = history\n");
    fixture.write("history/versions/1.py", "");
    let plan = || {
        let heal = ["heal", "apply_pending_migrations", "--plan"];
        let answer = fixture.run(&heal);
        let text = answer.all();
        assert!(
            text.contains("by history/versions/1.py as it is now"),
            "{text}"
        );
        let name = text
            .split("--apply ")
            .nth(1)
            .and_then(|it| it.split([' ', '`']).next());
        name.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let seen = plan();
    assert_eq!(plan(), seen);
    for name in ["tool", "alembic.ini", "history/versions/1.py"] {
        let text = fixture.read(name);
        fixture.write(name, format!("{text}\n# edited"));
        let apply = ["heal", "apply_pending_migrations", "--apply", &seen];
        fixture
            .run(&apply)
            .says(8, &["this is not the plan that was named"]);
        assert!(!fixture.path("upgraded").exists(), "{name}");
        fixture.write(name, text);
        assert_eq!(plan(), seen, "{name}");
    }
}

#[test]
fn a_tool_that_fails_fixed_nothing() {
    let fixture = with_tool("echo 'no such revision: a1b2c3' >&2; exit 4");
    let (answer, json) = fixture.boot_and_record();
    answer.says(
        3,
        &[
            "`./tool upgrade` failed (exit status: 4): no such revision: a1b2c3",
            "its changes were taken back",
            "3 (heal-failed)",
        ],
    );
    assert_eq!(json["summary"]["fixes_applied"], 1, "the folder only");
    let failed = step(&json, "preflight::schema_version");
    assert_eq!(failed["status"], "fail");
    assert_eq!(failed["repairs"][0]["result"], "failed");
    assert!(
        !fixture.report().contains("Fixes Applied: ran"),
        "{}",
        fixture.report()
    );
}

#[test]
fn a_tool_that_lies_fixed_nothing() {
    let fixture = with_tool("echo done; exit 0");
    let (answer, json) = fixture.boot_and_record();
    answer.says(
        3,
        &["apply_pending_migrations ran, but the check still fails"],
    );
    let failed = step(&json, "preflight::schema_version");
    assert_eq!(failed["status"], "fail");
    assert_eq!(failed["repairs"][0]["result"], "not-verified");
    assert!(
        !fixture.report().contains("Fixes Applied: ran"),
        "{}",
        fixture.report()
    );
}

#[test]
fn a_tool_whose_check_lies_is_found_out_by_the_structure() {
    let fixture = with_tool("touch upgraded");
    let (answer, json) = fixture.boot_and_record();
    assert_ne!(answer.code, 0, "{}", answer.all());
    assert_eq!(
        step(&json, "schema_secrets::required_columns")["status"],
        "fail"
    );
    answer.says(answer.code, &["column orders.paid is missing"]);
}

#[test]
fn a_tool_that_hangs_is_stopped() {
    for body in ["sleep 600", "sleep 600 & wait"] {
        let fixture = with_tool(body);
        let (answer, json) = fixture.boot_and_record();
        answer.says(
            3,
            &["`./tool upgrade` did not end within 1s and was stopped"],
        );
        assert_eq!(step(&json, "preflight::schema_version")["status"], "fail");
    }
}

#[test]
fn a_tool_that_is_not_there_is_named() {
    let fixture = shop("[migrations]\ncommand = [\"./nowhere\"]\ncheck = [\"./nowhere\"]\n");
    fixture.sql(ALEMBIC);
    let (answer, json) = fixture.boot_and_record();
    answer.says(1, &["cannot run `./nowhere`", "No such file or directory"]);
    assert_eq!(step(&json, "preflight::schema_version")["status"], "error");
}

#[test]
fn a_database_that_another_tool_migrates_is_recognised_and_left_alone() {
    let fixture = shop("[migrations]\nfolder = \"sql\"\n");
    fixture.write(
        "sql/1_orders.sql",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);",
    );
    fixture.sql(ALEMBIC);
    let before = std::fs::read(fixture.database()).unwrap();
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    let seen = step(&json, "preflight::schema_version")["observed"].to_string();
    assert!(seen.contains("Alembic migrates this database"), "{seen}");

    fixture.write(
        "sql/2_paid.sql",
        "ALTER TABLE orders ADD COLUMN paid BOOLEAN;",
    );
    let answer = fixture.boot(&[]);
    answer.says(
        1,
        &[
            "the schema lacks column orders.paid: Alembic migrates it",
            "name Alembic's command under [migrations] in boot.toml, or run it",
        ],
    );
    assert_eq!(before, std::fs::read(fixture.database()).unwrap());
}

#[test]
fn required_tables_and_records_are_the_applications_own() {
    let toml = "[tables]\ninvoices = [\"id\", \"total REAL\"]\n\
                [records.invoices]\nfields = [\"total\"]\nat_least = 1\n";
    let fixture = shop(toml);
    fixture.sql("CREATE TABLE orders (x)");
    fixture.boot(&[]).says(1, &["table invoices is missing"]);
    fixture.sql("CREATE TABLE invoices (id INTEGER PRIMARY KEY, total TEXT)");
    fixture
        .boot(&[])
        .says(1, &["column invoices.total is TEXT, expected REAL"]);
    fixture.sql("DROP TABLE invoices; CREATE TABLE invoices (id INTEGER PRIMARY KEY, total REAL)");
    fixture.boot(&[]).says(
        0,
        &["invoices has 0 records, expected at least 1", "(1 warning)"],
    );
    fixture.sql("INSERT INTO invoices VALUES (1, 9.5)");
    fixture.boot(&[]).says(0, &["BOOT PIPELINE SUCCESS", "8/8"]);
}

#[test]
fn what_nothing_was_said_about_is_skipped_with_the_reason() {
    let fixture = shop("");
    fixture.sql("CREATE TABLE theirs (x)");
    let mut command = fixture.command();
    command.env_remove("BOOT_PORT").args(["--format", "json"]);
    let answer = support::answer(&mut command);
    let json: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(answer.code, 0, "{json:#}");
    let skipped: Vec<(String, String)> = steps(&json)
        .filter(|step| step["status"] == "skip")
        .map(|step| {
            let text = |key: &str| step[key].as_str().unwrap().to_owned();
            (text("id"), text("observed"))
        })
        .collect();
    let expected = [
        (
            "preflight::required_tables",
            "boot.toml names no required table",
        ),
        ("preflight::schema_version", "boot.toml names no migrations"),
        ("preflight::port_free", "boot.toml names no port"),
        (
            "preflight::entry_point_imports",
            "boot.toml names no Python sources",
        ),
        (
            "schema_secrets::verification_events_passed",
            "verification_events is no table of this application",
        ),
        (
            "schema_secrets::playbooks_risk_fields",
            "playbooks is no table of this application",
        ),
        (
            "schema_secrets::required_columns",
            "boot.toml names no required column",
        ),
        (
            "schema_secrets::migration_checksums",
            "the gate applies no migrations",
        ),
        (
            "schema_secrets::secret_key",
            "boot.toml names no required secret",
        ),
        (
            "schema_secrets::database_url",
            "boot.toml does not require DATABASE_URL",
        ),
        (
            "startup_playbooks::apply_pending_migrations",
            "boot.toml names no migrations",
        ),
        (
            "smoke::critical_imports",
            "boot.toml names no Python sources",
        ),
        ("smoke::critical_records", "boot.toml names no records"),
        (
            "smoke::record_fields",
            "boot.toml names no fields of records",
        ),
    ]
    .map(|(id, reason)| (id.to_owned(), reason.to_owned()));
    assert_eq!(skipped, expected);
    assert_eq!(json["partial"], false, "nobody asked to leave anything out");
}

#[test]
fn the_registry_of_another_application_is_the_gates_own() {
    let fixture = shop("");
    fixture.sql("CREATE TABLE playbooks (title TEXT)");
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    let registry: Value = serde_json::from_str(&fixture.read("var/boot/playbooks.json")).unwrap();
    let ids: Vec<&str> = registry
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "fix_unicode_logging",
            "apply_pending_migrations",
            "verify_async_subscriptions",
            "unlock_database",
            "fix_circular_imports",
            "create_default_env"
        ]
    );
    assert_eq!(
        step(&json, "autonomy::playbook_definitions")["observed"],
        "6 playbooks loaded"
    );
    assert_eq!(fixture.tables(), ["playbooks"]);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(
        (code, &json["summary"]["fixes_applied"]),
        (0, &Value::from(0))
    );
}

#[test]
fn a_database_in_memory_is_nothing_to_look_at() {
    let fixture = Fixture::empty();
    let mut command = fixture.command();
    command.env("DATABASE_URL", "sqlite://:memory:");
    let answer = support::answer(&mut command);
    answer.says(
        0,
        &[
            "[SKIP] Database exists - the database is in memory",
            "registered 6 playbooks",
        ],
    );
    assert!(!answer.stdout.contains("[WARN]"), "{}", answer.stdout);
}

#[test]
fn a_missing_database_that_nothing_describes_is_not_made_up() {
    let fixture = shop("");
    let answer = fixture.boot(&[]);
    answer.says(
        1,
        &[
            "var/grace.db does not exist",
            "create_database does nothing",
            "[migrations]",
        ],
    );
    assert!(!fixture.database().exists());
}

#[test]
fn a_secret_that_only_its_issuer_can_give_is_asked_for() {
    let toml = "required_secrets = [\"SECRET_KEY\", \"STRIPE_API_KEY\"]\n";
    let fixture = Fixture::empty();
    fixture.write("boot.toml", format!("{toml}{SHOP}"));
    fixture.sql("CREATE TABLE theirs (x)");
    let answer = fixture.boot(&[]);
    answer.says(
        0,
        &[
            "STRIPE_API_KEY is not set",
            "only its issuer can give STRIPE_API_KEY; put it into .env",
        ],
    );
    assert!(!answer.all().contains("taken back"), "{}", answer.all());
    fixture.write(".env", "STRIPE_API_KEY=sk_from_the_issuer\n");
    fixture
        .boot(&[])
        .says(0, &["completed .env with SECRET_KEY"]);
}
