//! The least that a boot gate must do: open the database, ask ten questions, write two flushed
//! files. The bench compares a boot with it; whole processes both.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boot_checks::services::db::{Access, Connection};

const QUESTIONS: [&str; 10] = [
    "PRAGMA schema_version",
    "SELECT count(*) FROM sqlite_schema",
    "SELECT name FROM sqlite_schema WHERE type = 'table'",
    "SELECT name FROM pragma_table_info('verification_events')",
    "SELECT name FROM pragma_table_info('playbooks')",
    "SELECT name FROM pragma_table_info('meta_loop_configs')",
    "SELECT version FROM _sqlx_migrations",
    "SELECT name, risk_level FROM playbooks",
    "SELECT id, passed FROM verification_events LIMIT 1",
    "SELECT id FROM meta_loop_configs LIMIT 1",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: floor ROOT")?);
    let database = root.join("var/grace.db");
    let mut connection = Connection::open(&database, Access::ReadOnly, Duration::ZERO)?;
    for question in QUESTIONS {
        connection.query(question, &[])?;
    }
    connection.close();
    write_flushed(&root.join("var/floor_report.txt"), &[b'x'; 1_200])?;
    write_flushed(&root.join("var/floor_record.json"), &[b'x'; 20_000])?;
    Ok(())
}

fn write_flushed(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
