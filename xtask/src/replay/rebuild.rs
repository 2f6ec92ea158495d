//! Makes the state of an incident again from its bundle, as far as the bundle goes.

use std::fs;
use std::time::Duration;

use boot_checks::model::SqlValue;
use boot_checks::patterns::Arrangement;
use boot_checks::services::db::{Access, Connection};
use boot_checks::training::{IncidentBundle, IncidentDatabase};
use toml::{Table, Value};

use super::arrange::arrange;
use super::sandbox::Sandbox;

/// What stands for a value that the bundle does not hold.
const MADE_UP: &str = "d41e7c0b93f2-made-up-for-a-replay";

/// What stands for a value that was a placeholder.
const PLACEHOLDER: &str = "changeme";

/// Bytes of a file that is told by its size alone.
const FILLER_BYTES_MAX: u64 = 1 << 20;

/// Where the database is put that did not stand below the root.
const DATABASE_ELSEWHERE: &str = "var/rebuilt.db";

/// What it takes to have a finding again for which another program is to blame.
fn other_program(code: &str) -> Option<Arrangement> {
    match code {
        "database_locked" => Some(Arrangement::LockHolder {
            run: "BEGIN EXCLUSIVE".to_owned(),
            end: "COMMIT".to_owned(),
        }),
        "port_in_use" => Some(Arrangement::PortListener),
        _ => None,
    }
}

/// Makes it again; says what could not be.
pub(super) fn rebuild(
    sandbox: &mut Sandbox,
    bundle: &IncidentBundle,
) -> anyhow::Result<Vec<String>> {
    let mut limits = Vec::new();
    let database = database_name(&bundle.database);
    folders(sandbox, bundle, &mut limits)?;
    environment(sandbox, bundle, &database, &mut limits)?;
    make_database(sandbox, bundle, &database, &mut limits)?;
    let codes: Vec<&str> = codes(bundle).collect();
    let mut others: Vec<&str> = codes.clone();
    others.sort_unstable();
    others.dedup();
    for arrangement in others.into_iter().filter_map(other_program) {
        arrange(sandbox, &arrangement)?;
    }
    if codes.contains(&"database_vanished") {
        let seen = sandbox.path("var/boot/database_seen");
        fs::create_dir_all(sandbox.path("var/boot"))?;
        fs::write(seen, format!("{}\n", sandbox.path(&database).display()))?;
    }
    let text = toml::to_string(&boot_toml(sandbox, bundle, &database))?;
    fs::write(sandbox.path("boot.toml"), text)?;
    Ok(limits)
}

fn codes(bundle: &IncidentBundle) -> impl Iterator<Item = &str> {
    let problems = bundle.failing.iter().flat_map(|step| &step.problems);
    problems.filter_map(|problem| problem["code"].as_str())
}

fn database_name(database: &IncidentDatabase) -> String {
    match &database.path {
        Some(path) if is_below(path) => path.clone(),
        _ => DATABASE_ELSEWHERE.to_owned(),
    }
}

pub(super) fn is_below(path: &str) -> bool {
    let is_plain = |part| matches!(part, std::path::Component::Normal(_));
    !path.is_empty() && std::path::Path::new(path).components().all(is_plain)
}

fn boot_toml(sandbox: &Sandbox, bundle: &IncidentBundle, database: &str) -> Table {
    let known = &bundle.configuration;
    let texts = |all: &[String]| -> Value {
        Value::Array(all.iter().cloned().map(Value::String).collect())
    };
    let below: Vec<String> = known
        .writable_folders
        .keys()
        .filter(|folder| is_below(folder))
        .cloned()
        .collect();
    let source = match known.migrations.as_str() {
        "built-in" => "built-in",
        _ => "none",
    };
    let tables: Table = known
        .tables
        .iter()
        .map(|(name, columns)| (name.clone(), texts(columns)))
        .collect();
    let records: Table = known
        .records
        .iter()
        .map(|(table, (fields, at_least))| {
            let at_least = i64::try_from(*at_least).unwrap_or(i64::MAX);
            let wanted = Table::from_iter([
                ("fields".to_owned(), texts(fields)),
                ("at_least".to_owned(), Value::Integer(at_least)),
            ]);
            (table.clone(), Value::Table(wanted))
        })
        .collect();
    let one = |name: &str, value: &str| {
        Value::Table(Table::from_iter([(
            name.to_owned(),
            Value::String(value.to_owned()),
        )]))
    };
    let mut table = Table::from_iter([
        ("name".to_owned(), Value::String(known.name.clone())),
        (
            "required_secrets".to_owned(),
            texts(&known.required_secrets),
        ),
        ("writable_folders".to_owned(), texts(&below)),
        (
            "database".to_owned(),
            one("url", &format!("sqlite:///./{database}")),
        ),
        ("migrations".to_owned(), one("source", source)),
        ("tables".to_owned(), Value::Table(tables)),
        ("records".to_owned(), Value::Table(records)),
    ]);
    if known.port.is_some() {
        let port = Value::Integer(i64::from(sandbox.port));
        table.insert("port".to_owned(), port);
    }
    table
}

fn folders(
    sandbox: &Sandbox,
    bundle: &IncidentBundle,
    limits: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (folder, was_there) in &bundle.configuration.writable_folders {
        if !is_below(folder) {
            limits.push(format!("{folder} stands outside of the root"));
        } else if *was_there {
            fs::create_dir_all(sandbox.path(folder))?;
        }
    }
    Ok(())
}

/// Required variables that were set get a value that is made up; the rest of the environment is the
/// sandbox's, but for what decided the output's encoding.
fn environment(
    sandbox: &mut Sandbox,
    bundle: &IncidentBundle,
    database: &str,
    limits: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut set = Vec::new();
    for name in &bundle.configuration.required_secrets {
        if let Some(variable) = bundle.environment.get(name) {
            let value = match (variable.is_placeholder, name.as_str()) {
                (true, _) => PLACEHOLDER.to_owned(),
                (false, "DATABASE_URL") => format!("sqlite:///./{database}"),
                (false, _) => MADE_UP.to_owned(),
            };
            set.push((name.as_str(), value));
        }
    }
    match &bundle.output_encoding {
        Some((name, by)) if by == "PYTHONIOENCODING" => set.push((by, name.clone())),
        Some((name, by)) if ["LC_ALL", "LC_CTYPE", "LANG"].contains(&by.as_str()) => {
            set.push((by, format!("xx_XX.{name}")));
        }
        Some((_, by)) if by == "PYTHONUTF8" => set.push((by, "1".to_owned())),
        Some((_, by)) if by == "default" => {
            sandbox.variables.remove("LANG");
        }
        Some((name, by)) => limits.push(format!("the output's encoding, {name} by {by}")),
        None => {}
    }
    let mut file = String::new();
    for (name, value) in set {
        let is_in_file = bundle
            .environment
            .get(name)
            .is_some_and(|variable| variable.set_in == "env-file");
        if is_in_file {
            file += &format!("{name}={value}\n");
        } else {
            sandbox.variables.insert(name.to_owned(), value);
        }
    }
    if !file.is_empty() {
        fs::write(sandbox.path(".env"), file)?;
    }
    Ok(())
}

fn make_database(
    sandbox: &Sandbox,
    bundle: &IncidentBundle,
    name: &str,
    limits: &mut Vec<String>,
) -> anyhow::Result<()> {
    let told = &bundle.database;
    let path = sandbox.path(name);
    if let Some(folder) = path.parent().filter(|_| told.kind != "missing") {
        fs::create_dir_all(folder)?;
    }
    let filler = |bytes: u64| vec![0xa5; usize::try_from(bytes.min(FILLER_BYTES_MAX)).unwrap_or(0)];
    match told.kind.as_str() {
        "database" => make_schema(&path, told, limits)?,
        "empty" => fs::write(&path, "")?,
        "no-database" => fs::write(&path, filler(told.bytes))?,
        "missing" | "memory" => {}
        kind => limits.push(format!("a database that is {kind}")),
    }
    if ["missing", "empty"].contains(&told.kind.as_str()) {
        for (suffix, bytes) in &told.side_files {
            if !["-wal", "-journal", "-shm"].contains(&suffix.as_str()) {
                continue;
            }
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(sandbox.path(&format!("{name}{suffix}")), filler(*bytes))?;
        }
    }
    if codes(bundle).any(|code| code == "database_corrupt") {
        limits.push("the damaged pages of the database".to_owned());
    }
    if codes(bundle).any(|code| code == "disk_full") {
        limits.push("the full disk; `replay disk_full` has one".to_owned());
    }
    Ok(())
}

/// A bundle comes from anywhere: only what makes something in this very database is run.
fn is_harmless(statement: &str) -> bool {
    const REACHES_OUT: [&str; 4] = ["attach", "vacuum", "pragma", "load_extension"];
    let statement = statement.to_ascii_lowercase();
    let mut words = statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    statement.starts_with("create ") && !words.any(|word| REACHES_OUT.contains(&word))
}

fn make_schema(
    path: &std::path::Path,
    told: &IncidentDatabase,
    limits: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(path, Access::Create, Duration::from_secs(5))?;
    if told.is_wal {
        connection.execute("PRAGMA journal_mode = WAL")?;
    }
    // A file without any object is no database yet.
    connection.execute("PRAGMA user_version = 1; PRAGMA user_version = 0")?;
    for statement in &told.schema {
        if !is_harmless(statement) {
            limits.push(format!(
                "`{statement}`: it is not run, since it could reach other files"
            ));
            continue;
        }
        if let Err(error) = connection.execute(statement) {
            limits.push(format!("`{statement}`: {error}"));
        }
    }
    for (version, checksum) in told.migrations.iter().flatten() {
        let recorded = connection.query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (?1, '', 1, unhex(?2), 0)",
            &[SqlValue::Integer(*version), checksum.as_str().into()],
        );
        if let Err(error) = recorded {
            limits.push(format!("migration {version} as applied: {error}"));
        }
    }
    connection.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_cannot_reach_beyond_the_sandbox() {
        for (statement, expect) in [
            ("CREATE TABLE a (attached TEXT)", true),
            (
                "create trigger t after insert on a begin delete from b; end",
                true,
            ),
            ("ATTACH '/srv/a.db' AS b", false),
            ("CREATE TABLE a (x); ATTACH '/srv/a.db' AS b", false),
            ("CREATE TABLE a (x);VACUUM INTO '/srv/a.db'", false),
            ("DROP TABLE a", false),
        ] {
            assert_eq!(is_harmless(statement), expect, "{statement}");
        }
        for (path, expect) in [
            ("var/a.db", true),
            ("../a.db", false),
            ("/a.db", false),
            ("", false),
        ] {
            assert_eq!(is_below(path), expect, "{path}");
        }
    }
}
