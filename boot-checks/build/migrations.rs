//! Embeds the migrations and the structure that they lead to.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::services::db::{Connection, Structure, stay_in_one_transaction, text_of, unfit};

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
        let bytes = fs::read(&migration.file)?;
        let file = migration.file.display();
        let sql = text_of(&bytes).map_err(|unfit| format!("{file}: {unfit}"))?;
        run(&mut database, &migration.file, sql)?;
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

/// What a transaction cannot take back does not run in one; whoever ends it is found by SQLite.
fn run(database: &mut Connection, file: &Path, sql: &str) -> Result<(), Box<dyn Error>> {
    let file = file.display();
    let mut lines = sql.lines();
    if lines.any(|line| line.trim_start().starts_with("-- no-transaction")) {
        return Err(format!("{file}: `-- no-transaction` is not allowed").into());
    }
    if let Some(unfit) = unfit(sql) {
        return Err(format!("{file}: {unfit}").into());
    }
    match stay_in_one_transaction(database, sql) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{file}: it ends the transaction that it is run in").into()),
        Err(error) => Err(format!("{file}: {error}").into()),
    }
}
