//! One playbook at a time: planned, carried out, approved, refused, taken back.

mod support;

use std::fs;

use boot_checks::services::db::{Access, Connection};
use serde_json::Value;
use support::{Answer, Fixture, PATIENCE, answer, binary, step};

/// Runs another command than `boot` for this application.
fn xtask(fixture: &Fixture, arguments: &[&str]) -> Answer {
    let mut command = assert_cmd::Command::new(binary());
    command
        .env_clear()
        .current_dir(fixture.root())
        .timeout(support::PATIENCE);
    for (name, value) in fixture.environment() {
        command.env(name, value);
    }
    let (name, rest) = arguments.split_first().unwrap();
    answer(
        command
            .arg(name)
            .arg("--root")
            .arg(fixture.root())
            .args(rest),
    )
}

fn heal(fixture: &Fixture, arguments: &[&str]) -> Answer {
    xtask(fixture, &[&["heal"], arguments].concat())
}

fn heal_json(fixture: &Fixture, arguments: &[&str]) -> (i32, Value) {
    let answer = heal(fixture, &[arguments, &["--format", "json"]].concat());
    let json = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{}", answer.all()));
    (answer.code, json)
}

/// The fingerprint of the one plan that there is.
#[track_caller]
fn fingerprint(fixture: &Fixture, playbook: &str) -> String {
    let (_, json) = heal_json(fixture, &[playbook, "--plan"]);
    let plans = json["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 1, "{json:#}");
    plans[0]["fingerprint"].as_str().unwrap().to_owned()
}

const MAIN: (&str, &str) = ("backend/main.py", "import backend.a\napp = 1\n");
const A: (&str, &str) = (
    "backend/a.py",
    "from backend.b import g\n\n\ndef f():\n    return g\n",
);
const B: (&str, &str) = (
    "backend/b.py",
    "\u{feff}\"\"\"B.\"\"\"\r\nfrom backend.a import f\r\n\r\n\r\ndef g():\r\n\treturn f()",
);
const B_HEALED: &str =
    "\u{feff}\"\"\"B.\"\"\"\r\n\r\n\r\ndef g():\r\n\tfrom backend.a import f\r\n\treturn f()";

/// A healthy Grace with these sources.
fn application(files: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::healthy();
    for (path, text) in files {
        fixture.write(path, text);
    }
    fixture
}

fn with_cycle() -> Fixture {
    application(&[MAIN, A, B])
}

#[test]
fn a_plan_is_shown_named_and_writes_nothing() {
    let fixture = Fixture::empty();
    let before = fixture.tree();
    let answer = heal(&fixture, &["create_default_env", "--plan"]);
    answer.says(
        0,
        &[
            "SECRET_KEY is not set",
            "make .env with mode 600",
            "+DATABASE_URL=sqlite+aiosqlite:///./var/grace.db",
            "decision: it may act",
            "cargo xtask heal create_default_env --apply",
        ],
    );
    assert_eq!(
        fingerprint(&fixture, "create_default_env"),
        fingerprint(&fixture, "create_default_env"),
        "a fresh random key is no other plan"
    );
    assert_eq!(fixture.tree(), before);
}

#[test]
fn exactly_the_plan_that_was_shown_is_carried_out() {
    let fixture = Fixture::empty();
    let shown = fingerprint(&fixture, "create_default_env");
    let before = fixture.tree();
    let another = heal(
        &fixture,
        &["create_default_env", "--apply", "0123456789abcdef"],
    );
    another.says(8, &["this is not the plan that was named", "--plan"]);
    assert!(!fixture.path(".env").exists());
    assert!(before.keys().all(|name| fixture.path(name).exists()));

    // What the plan is made from changes.
    fixture.write(".env.example", "MAIL_HOST=localhost\n");
    heal(&fixture, &["create_default_env", "--apply", &shown]).says(8, &["not the plan"]);
    fs::remove_file(fixture.path(".env.example")).unwrap();

    heal(&fixture, &["create_default_env", "--apply", &shown]).says(
        0,
        &[
            "[FIX] created .env with SECRET_KEY and DATABASE_URL",
            "cargo xtask undo",
        ],
    );
    assert!(fixture.read(".env").contains("SECRET_KEY="));
    heal(&fixture, &["create_default_env"]).says(0, &["nothing to heal"]);
}

/// An application whose migrations are files in `sql`.
fn with_migrations() -> Fixture {
    let fixture = Fixture::empty();
    let toml = [
        "name = \"shop\"",
        "[database]",
        "url = \"sqlite:///./var/grace.db\"",
        "[migrations]",
        "folder = \"sql\"",
    ];
    fixture.write("boot.toml", toml.join("\n"));
    fs::create_dir(fixture.path("sql")).unwrap();
    fixture
}

/// What a migration does is what is agreed to, and not its number.
#[test]
fn a_migration_that_was_edited_since_the_plan_was_shown_is_not_run() {
    let fixture = with_migrations();
    fixture.write(
        "sql/1_orders.sql",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY);",
    );
    fixture.boot(&[]).says(0, &["BOOT PIPELINE SUCCESS"]);
    fixture.sql("INSERT INTO orders VALUES (1), (2)");
    let pending = "CREATE TABLE four (x INTEGER);";
    fixture.write("sql/4_four.sql", pending);
    let plan = ["apply_pending_migrations", "--plan"];
    heal(&fixture, &plan).says(0, &["  4:", pending]);
    let shown = fingerprint(&fixture, "apply_pending_migrations");
    fixture.write("sql/4_four.sql", format!("{pending} DELETE FROM orders;"));
    let apply = ["apply_pending_migrations", "--apply", &shown];
    heal(&fixture, &apply).says(8, &["not the plan"]);
    let rows = |fixture: &Fixture| {
        let mut connection =
            Connection::open(&fixture.database(), Access::ReadOnly, PATIENCE).unwrap();
        connection.scalar("SELECT count(*) FROM orders").unwrap()
    };
    assert_eq!(rows(&fixture), 2.into());
    fixture.write("sql/4_four.sql", pending);
    heal(&fixture, &apply).says(0, &["applied migration 4"]);
    assert_eq!(rows(&fixture), 2.into());
}

#[test]
fn a_database_is_not_created_by_other_migrations_than_the_plan_showed() {
    let fixture = with_migrations();
    let (name, text) = (
        "sql/1_orders.sql",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY);",
    );
    fixture.write(name, text);
    fs::create_dir(fixture.path("var")).unwrap();
    let plan = ["create_database", "--plan"];
    heal(&fixture, &plan).says(0, &["by these migrations", "1"]);
    let shown = fingerprint(&fixture, "create_database");
    let apply = ["create_database", "--apply", &shown];
    fixture.write(name, "CREATE TABLE other (id INTEGER PRIMARY KEY);");
    heal(&fixture, &apply).says(8, &["not the plan"]);
    fixture.write(name, text);
    fixture.write("sql/2_more.sql", "CREATE TABLE more (a);");
    heal(&fixture, &apply).says(8, &["not the plan"]);
    assert!(!fixture.database().exists());
    fs::remove_file(fixture.path("sql/2_more.sql")).unwrap();
    heal(&fixture, &apply).says(0, &["created database"]);
}

#[test]
fn no_database_is_created_by_migrations_that_do_not_fit() {
    let fixture = with_migrations();
    for name in ["sql/1_a.sql", "sql/0001_b.sql"] {
        fixture.write(name, "CREATE TABLE orders (id INTEGER PRIMARY KEY);");
    }
    let boot = fixture.boot(&[]);
    boot.says(
        1,
        &["cannot plan", "1_a.sql", "0001_b.sql", "version of its own"],
    );
    assert!(!fixture.database().exists());
}

#[test]
fn a_checksum_of_another_text_than_the_plan_showed_is_not_written() {
    let fixture = with_migrations();
    let text = "CREATE TABLE orders (\n  id INTEGER PRIMARY KEY\n);\n";
    fixture.write("sql/1_orders.sql", text);
    fixture.boot(&[]).says(0, &["BOOT PIPELINE SUCCESS"]);
    fixture.write("sql/1_orders.sql", text.replace('\n', "\r\n"));
    let shown = fingerprint(&fixture, "restamp_migrations");
    fixture.write("sql/1_orders.sql", format!("\u{feff}{text}"));
    let apply = ["restamp_migrations", "--apply", &shown];
    heal(&fixture, &apply).says(8, &["not the plan"]);
    fixture.write("sql/1_orders.sql", text.replace('\n', "\r\n"));
    heal(&fixture, &apply).says(0, &["renewed the checksum of migration 1"]);
}

#[test]
fn the_key_that_is_made_is_in_no_output_and_no_artefact() {
    let fixture = Fixture::empty();
    let answer = heal(&fixture, &["create_default_env"]);
    answer.says(0, &["[FIX]"]);
    let env = fixture.read(".env");
    let key = env
        .lines()
        .find_map(|line| line.strip_prefix("SECRET_KEY="));
    let key = key.unwrap().trim_matches('"');
    assert!(!answer.all().contains(key));
    for (name, entry) in fixture.tree() {
        let text =
            String::from_utf8_lossy(entry.contents.as_deref().unwrap_or_default()).into_owned();
        assert!(name == ".env" || !text.contains(key), "{name}");
    }
}

#[test]
fn a_heal_is_no_boot_and_leaves_the_last_report_alone() {
    let fixture = Fixture::healthy();
    let report = fixture.report();
    let records = fixture.records().len();
    fs::remove_file(fixture.path(".env")).unwrap();
    heal(&fixture, &["create_default_env"]).says(0, &["[FIX]"]);
    assert_eq!(fixture.report(), report);
    assert_eq!(fixture.records().len(), records + 1);
}

#[test]
fn tier_two_leaves_a_notice_until_it_is_acknowledged() {
    let fixture = Fixture::healthy();
    fixture.sql(
        "ALTER TABLE playbooks DROP COLUMN risk_level;
         ALTER TABLE playbooks DROP COLUMN autonomy_tier;
         DELETE FROM _sqlx_migrations WHERE version = 20251109000100",
    );
    let (code, json) = heal_json(&fixture, &["apply_pending_migrations"]);
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(json["plans"][0]["repair"]["decision"], "apply-and-notify");
    let run = json["run_id"].as_str().unwrap();

    let note = |json: &Value| step(json, "core_services::governance")["notes"].clone();
    let (_, boot) = fixture.boot_json(&[]);
    let said = note(&boot)[0].as_str().unwrap_or_default().to_owned();
    assert!(
        said.contains(&format!("cargo xtask acknowledge {run}")),
        "{said}"
    );
    xtask(&fixture, &["acknowledge"]).says(0, &[run, "apply_pending_migrations"]);
    xtask(&fixture, &["acknowledge", "20200101_000000"]).says(2, &["left no notice"]);
    xtask(&fixture, &["acknowledge", run]).says(0, &["acknowledged"]);
    let (_, boot) = fixture.boot_json(&[]);
    assert_eq!(note(&boot).as_array().map(Vec::len), Some(0));
}

#[test]
fn an_edit_of_source_waits_for_approval_of_exactly_it() {
    let fixture = with_cycle();
    let before = fixture.tree_of_others();
    let (code, boot) = fixture.boot_json(&[]);
    let repair = &step(&boot, "preflight::entry_point_imports")["repairs"][0];
    assert_eq!(
        (code, &repair["decision"]),
        (8, &Value::from("needs-approval"))
    );
    let plan = repair["fingerprint"].as_str().unwrap();
    let proposal = repair["proposal"].as_str().unwrap();
    assert!(
        proposal.contains("+\tfrom backend.a import f"),
        "{proposal}"
    );
    let console = fixture.boot(&[]);
    console.says(
        8,
        &[&format!("cargo xtask approve {plan}"), "+++ b/backend/b.py"],
    );
    assert!(fixture.report().contains("+++ b/backend/b.py"));
    heal(&fixture, &["fix_circular_imports"]).says(8, &[&format!("cargo xtask approve {plan}")]);
    assert_eq!(fixture.tree_of_others(), before, "nothing was changed");

    xtask(&fixture, &["approve", "0123456789abcdef"]).says(8, &["no plan has the fingerprint"]);
    xtask(&fixture, &["approve", "xyz"]).says(2, &["is no fingerprint"]);
    xtask(&fixture, &["approve", &plan[..8], "--by", "ann"]).says(0, &["ann approved", plan]);
    // Another plan than the one that was approved.
    fixture.write("backend/b.py", B.1.replace("B.", "Bee."));
    heal(&fixture, &["fix_circular_imports"]).says(8, &["waits for a person's approval"]);
    fixture.write("backend/b.py", B.1);

    heal(&fixture, &["fix_circular_imports"]).says(0, &["[FIX] backend/b.py"]);
    assert_eq!(fixture.read("backend/b.py"), B_HEALED);
    let (code, boot) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{boot:#}");
}

#[test]
fn an_approved_edit_is_made_by_the_next_boot_once_and_taken_back_by_undo() {
    let fixture = with_cycle();
    let plan = fingerprint(&fixture, "fix_circular_imports");
    xtask(&fixture, &["approve", &plan, "--by", "ann"]).says(0, &["ann approved"]);
    let (code, boot) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{boot:#}");
    let healed = step(&boot, "preflight::entry_point_imports");
    assert_eq!(healed["status"], "fixed");
    assert_eq!(fixture.read("backend/b.py"), B_HEALED);

    let run = boot["run_id"].as_str().unwrap();
    xtask(&fixture, &["undo", run]).says(0, &["restored backend/b.py"]);
    assert_eq!(fixture.read("backend/b.py"), B.1);
    let again = fixture.boot(&[]);
    again.says(8, &["waits for approval"]);
    assert_eq!(fixture.read("backend/b.py"), B.1, "an approval is for once");
}

#[test]
fn a_cycle_behind_a_cycle_is_in_the_same_plan() {
    let fixture = application(&[
        (
            "backend/main.py",
            "import backend.a\nimport backend.c\napp = 1\n",
        ),
        A,
        B,
        (
            "backend/c.py",
            "from backend.d import g\n\n\ndef f():\n    return g\n",
        ),
        (
            "backend/d.py",
            "from backend.c import f\n\n\ndef g():\n    return f()\n",
        ),
    ]);
    let plan = fingerprint(&fixture, "fix_circular_imports");
    xtask(&fixture, &["approve", &plan]).says(0, &["approved"]);
    heal(&fixture, &["fix_circular_imports", "--apply", &plan])
        .says(0, &["edit backend/b.py", "edit backend/d.py", "[FIX]"]);
    assert_eq!(fixture.boot(&[]).code, 0);
}

#[test]
fn a_lost_coroutine_is_awaited_with_approval_and_not_outside_of_one() {
    let lost =
        "async def publish():\n    pass\n\n\nasync def main():\n    publish()\n\n\napp = 1\n";
    let fixture = application(&[("backend/main.py", lost)]);
    let (code, boot) = fixture.boot_json(&[]);
    let id = "startup_playbooks::verify_async_subscriptions";
    assert_eq!(code, 0, "it only warns: {boot:#}");
    let repair = &step(&boot, id)["repairs"][0];
    assert_eq!(
        repair["decision"], "needs-approval",
        "a playbook of tier 1 edits no source"
    );
    assert_eq!(fixture.read("backend/main.py"), lost);

    let plan = repair["fingerprint"].as_str().unwrap();
    xtask(&fixture, &["approve", plan, "--by", "ann"]).says(0, &["ann approved"]);
    heal(&fixture, &["verify_async_subscriptions"]).says(0, &["+    await publish()", "[FIX]"]);
    assert_eq!(
        fixture.read("backend/main.py"),
        lost.replace("    publish()", "    await publish()")
    );

    let outside = format!("{lost}\n\ndef later():\n    publish()\n");
    fixture.write("backend/main.py", &outside);
    let answer = heal(&fixture, &["verify_async_subscriptions"]);
    answer.says(1, &["backend/main.py:13 stands in no coroutine"]);
    assert_eq!(fixture.read("backend/main.py"), outside);
}

#[test]
fn a_fix_that_does_not_verify_is_taken_back() {
    let fixture = Fixture::healthy();
    // The application's own tool succeeds and does nothing that the check asks for.
    let tool = fixture.script("tool", "exit 0");
    fixture.write(
        "boot.toml",
        format!(
            "[migrations]\ncommand = ['{}']\ncheck = ['false']\n[tables]\nplaybooks = ['gone']\n",
            tool.display()
        ),
    );
    fixture.sql("CREATE TABLE alembic_version (version_num TEXT)");
    let (code, json) = heal_json(&fixture, &["apply_pending_migrations"]);
    assert_eq!(code, 3, "{json:#}");
    assert_eq!(json["exit_name"], "heal-failed");
    let results = json["plans"].as_array().unwrap().iter();
    let results: Vec<_> = results
        .map(|plan| plan["repair"]["result"].clone())
        .collect();
    assert!(
        results.contains(&Value::from("not-verified")),
        "{results:?}"
    );
}

#[test]
fn a_boot_that_is_under_way_is_not_disturbed_and_an_unknown_name_is_told() {
    let fixture = Fixture::healthy();
    fs::remove_file(fixture.path(".env")).unwrap();
    let lock = fs::File::open(fixture.path("var/boot/lock")).unwrap();
    lock.lock().unwrap();
    let busy = ["create_default_env", "--lock-timeout", "10ms"];
    heal(&fixture, &busy).says(7, &["another boot holds"]);
    assert!(!fixture.path(".env").exists());
    let look = heal(&fixture, &["create_default_env", "--plan"]);
    look.says(0, &["decision: it may act"]);
    drop(lock);
    heal(&fixture, &["create_default_envs"]).says(2, &["create_default_env"]);
    xtask(&fixture, &["heal"]).says(2, &["PLAYBOOK"]);
}
