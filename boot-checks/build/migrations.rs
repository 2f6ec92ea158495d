//! Embeds the migrations and the structure that they lead to.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::services::db::{Connection, Structure};

/// Statements that a transaction cannot take back, or that would end the one around them.
const NOT_IN_A_TRANSACTION: [&str; 11] = [
    "ATTACH",
    "BEGIN",
    "COMMIT",
    "DETACH",
    "END",
    "PRAGMA",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "VACUUM",
    "REINDEX",
];

struct Migration {
    version: i64,
    description: String,
    file: PathBuf,
}

/// Writes `migrations.rs` into `out`.
pub(crate) fn generate(folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let migrations = list(folder)?;
    let mut code = String::from("const EMBEDDED: &[Embedded] = &[\n");
    let mut database = Connection::in_memory()?;
    for migration in &migrations {
        let sql = fs::read_to_string(&migration.file)?;
        refuse_unsafe(&migration.file, &sql)?;
        database
            .execute(&sql)
            .map_err(|error| format!("{}: {error}", migration.file.display()))?;
        writeln!(
            code,
            "    Embedded {{ version: {}, description: {:?}, sql: {sql:?} }},",
            migration.version, migration.description
        )?;
    }
    let structure = serde_json::to_string(&Structure::read(&mut database, &[])?)?;
    writeln!(
        code,
        "];\n\nconst EXPECTED_STRUCTURE: &str = {structure:?};"
    )?;
    fs::write(out.join("migrations.rs"), code)?;
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<Migration>, Box<dyn Error>> {
    let mut migrations = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let parts = name
            .strip_suffix(".sql")
            .and_then(|stem| stem.split_once('_'));
        let parsed = parts.and_then(|(version, text)| Some((version.parse().ok()?, text)));
        let Some((version, text)) = parsed else {
            return Err(
                format!("{name} is not VERSION_NAME.sql: it would never be applied").into(),
            );
        };
        migrations.push(Migration {
            version,
            description: text.replace('_', " "),
            file,
        });
    }
    migrations.sort_by_key(|migration| migration.version);
    if let Some(pair) = migrations
        .windows(2)
        .find(|pair| pair[0].version == pair[1].version)
    {
        return Err(format!("two migrations have the version {}", pair[0].version).into());
    }
    Ok(migrations)
}

fn refuse_unsafe(file: &Path, sql: &str) -> Result<(), Box<dyn Error>> {
    if sql
        .lines()
        .any(|line| line.trim_start().starts_with("-- no-transaction"))
    {
        return Err(format!("{}: `-- no-transaction` is not allowed", file.display()).into());
    }
    for statement in statements(sql) {
        let word: String = statement
            .chars()
            .take_while(|c| c.is_ascii_alphabetic())
            .collect::<String>();
        if NOT_IN_A_TRANSACTION.contains(&word.to_ascii_uppercase().as_str()) {
            return Err(format!("{}: {word} cannot live in a transaction", file.display()).into());
        }
    }
    Ok(())
}

/// The statements, without comments. Good enough to find their first words: a semicolon inside a
/// string or a trigger only makes more pieces, none of which begins with a forbidden word but `END`
/// of a trigger, which is why triggers' bodies are passed over.
fn statements(sql: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if matches!(c, '\'' | '"') {
            rest[1..].find(c).map_or(rest.len(), |at| at + 2)
        } else {
            plain.push(c);
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    let mut in_trigger = false;
    let mut found = Vec::new();
    for piece in plain.split(';') {
        let piece = piece.trim();
        let upper = piece.to_ascii_uppercase();
        if !in_trigger {
            in_trigger = upper.starts_with("CREATE") && upper.contains(" TRIGGER ");
            found.push(piece.to_owned());
        } else if upper == "END" {
            in_trigger = false;
        }
    }
    found
}
