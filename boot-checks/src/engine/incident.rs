//! What a boot that failed leaves for whoever wants to see it again elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Recorder;
use crate::config::{BootConfig, Migrations, RequiredColumn, Source, Sourced, is_placeholder};
use crate::context::Context;
use crate::model::{BootRecord, BootReport, Ending, Mode, RecordStep, SqlValue, Verdict};
use crate::services::db::{self, Connection, DbError, FileSet, MainFile, quoted};
use crate::training::{
    FOLDER, INCIDENT_FORMAT_VERSION, IncidentBundle, IncidentConfiguration, IncidentDatabase,
    IncidentVariable,
};

/// Tables whose rows are counted; an application with more has its schema in the bundle all the same.
const MAX_COUNTED: usize = 200;

/// A boot that failed is not to take long over it.
const COPY_BYTES_MAX: u64 = 64 << 20;

/// Leaves a bundle where the application must not start. One that only looked leaves its record alone.
///
/// # Errors
///
/// Why it could not be written.
pub(super) fn leave(
    cx: &Context,
    recorder: &Recorder,
    report: &BootReport,
) -> Result<(), std::io::Error> {
    let has_ended = matches!(
        report.ending,
        Some(Ending::Completed | Ending::Aborted { .. })
    );
    let is_whole = !report.start.is_partial();
    let is_wanted = cx.mode == Mode::Heal && has_ended && is_whole;
    if !is_wanted || report.verdict() == Verdict::MayStart {
        return Ok(());
    }
    let mut value = serde_json::to_value(bundle(cx, report))?;
    clean(&mut value, recorder);
    let bundle: IncidentBundle = serde_json::from_value(value)?;
    bundle.write(&cx.config.root.join(FOLDER))
}

/// Everything in it passes the redactor of the boot, as every event did.
fn clean(value: &mut Value, recorder: &Recorder) {
    match value {
        Value::String(text) => *text = recorder.clean(text),
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, recorder)),
        Value::Object(members) => members.values_mut().for_each(|it| clean(it, recorder)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn bundle(cx: &Context, report: &BootReport) -> IncidentBundle {
    let record = BootRecord::from(report);
    let failing: Vec<RecordStep> = record
        .stages
        .into_iter()
        .flat_map(|stage| stage.steps)
        .filter(|step| ["fail", "error", "warn"].contains(&step.status.as_str()))
        .collect();
    let environment = cx.environment().map_or_else(
        |_| BTreeMap::new(),
        |environment| {
            environment
                .iter()
                .map(|(name, set)| (name.to_owned(), variable(set)))
                .collect()
        },
    );
    let encoding = cx.output_encoding().ok();
    let mut limits = vec![
        "rows of tables and values of variables are not in it".to_owned(),
        "files of the application are not in it, its source included".to_owned(),
    ];
    let database = database(cx, &mut limits);
    IncidentBundle {
        format_version: INCIDENT_FORMAT_VERSION,
        run_id: record.run_id,
        boot_timestamp: record.boot_timestamp,
        gate: env!("CARGO_PKG_VERSION").to_owned(),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        verdict: record.summary.verdict,
        configuration: configuration(&cx.config, &mut limits),
        limits,
        environment,
        output_encoding: encoding.map(|it| (it.name, it.decided_by)),
        database,
        failing,
    }
}

fn variable(set: &Sourced<String>) -> IncidentVariable {
    let set_in = match set.source {
        Source::EnvFile => "env-file",
        _ => "process",
    };
    IncidentVariable {
        set_in: set_in.to_owned(),
        is_placeholder: is_placeholder(&set.value),
    }
}

fn configuration(config: &BootConfig, limits: &mut Vec<String>) -> IncidentConfiguration {
    let migrations = match &config.migrations {
        Migrations::BuiltIn => "built-in",
        Migrations::None => "none",
        Migrations::Folder(_) => "folder",
        Migrations::External { .. } => "command",
    };
    if ["folder", "command"].contains(&migrations) {
        limits.push("the application's own migrations are not in it".to_owned());
    }
    let column = |column: &RequiredColumn| {
        let name = match column.name.contains([' ', '"']) {
            true => quoted(&column.name),
            false => column.name.clone(),
        };
        let declared = column.declared_type.as_deref().unwrap_or_default();
        format!("{name} {declared}").trim_end().to_owned()
    };
    IncidentConfiguration {
        name: config.application.clone(),
        port: config.port,
        required_secrets: config.required_secrets.clone(),
        writable_folders: config
            .writable_folders
            .iter()
            .map(|folder| (below(&config.root, folder), folder.is_dir()))
            .collect(),
        migrations: migrations.to_owned(),
        tables: config
            .tables
            .iter()
            .map(|table| {
                let columns = table.columns.iter().map(column).collect();
                (table.name.clone(), columns)
            })
            .collect(),
        records: config
            .records
            .iter()
            .map(|wanted| {
                let records = (wanted.fields.clone(), wanted.at_least);
                (wanted.table.clone(), records)
            })
            .collect(),
    }
}

fn below(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.display().to_string()
}

fn database(cx: &Context, limits: &mut Vec<String>) -> IncidentDatabase {
    let Some(files) = cx.files() else {
        return IncidentDatabase {
            kind: "memory".to_owned(),
            ..IncidentDatabase::default()
        };
    };
    let mut told = look_at(&files);
    told.path = Some(below(&cx.config.root, &files.path));
    if told.kind != "database" {
        return told;
    }
    let bytes = told.bytes + told.side_files.values().sum::<u64>();
    if bytes > COPY_BYTES_MAX {
        limits.push("the schema is not in it: the database is too large to be copied".to_owned());
        return told;
    }
    let is_file = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|it| it.is_file());
    if !files.side_files().iter().all(is_file) {
        limits
            .push("the schema is not in it: what stands beside the database is no file".to_owned());
        return told;
    }
    // In a copy: a boot that failed has no business with locks, and must not wait for one.
    let read = db::copy_for_looking(&files).and_then(|copy| {
        let name = files.path.file_name().unwrap_or_default();
        let path = copy.path().join(name);
        let wait = std::time::Duration::ZERO;
        let mut connection = Connection::open(&path, db::Access::ReadWrite, wait)?;
        let read = read_schema(&mut connection, &mut told);
        connection.close();
        read
    });
    if let Err(error) = read {
        limits.push(format!("the schema could not be read: {error}"));
    }
    told
}

fn look_at(files: &FileSet) -> IncidentDatabase {
    let (kind, bytes, is_wal) = match &files.main {
        MainFile::Missing => ("missing", 0, false),
        MainFile::Empty => ("empty", 0, false),
        MainFile::NotADatabase { bytes } => ("no-database", *bytes, false),
        MainFile::Database(header) => ("database", header.bytes, header.is_wal()),
        MainFile::NotAFile(_) | MainFile::Unreadable(_) => ("unreadable", 0, false),
    };
    let sides = [
        ("-wal", files.wal_bytes),
        ("-journal", files.journal_bytes),
        ("-shm", files.shm_bytes),
    ];
    IncidentDatabase {
        kind: kind.to_owned(),
        bytes,
        is_wal,
        side_files: sides
            .into_iter()
            .filter_map(|(suffix, bytes)| Some((suffix.to_owned(), bytes?)))
            .collect(),
        ..IncidentDatabase::default()
    }
}

fn read_schema(connection: &mut Connection, told: &mut IncidentDatabase) -> Result<(), DbError> {
    let objects = connection.query(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY CASE type WHEN 'table' THEN 0 ELSE 1 END, rowid",
        &[],
    )?;
    told.schema = objects.into_iter().flatten().filter_map(text).collect();
    let tables = connection.query(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        &[],
    )?;
    let tables: Vec<String> = tables.into_iter().flatten().filter_map(text).collect();
    if tables.iter().any(|name| name == "_sqlx_migrations") {
        let sql = "SELECT version, lower(hex(checksum)) FROM _sqlx_migrations WHERE success";
        let rows = connection.query(sql, &[])?;
        told.migrations = Some(rows.into_iter().filter_map(version).collect());
    }
    for name in tables.into_iter().take(MAX_COUNTED) {
        let count = connection.scalar(&format!("SELECT count(*) FROM {}", quoted(&name)))?;
        if let SqlValue::Integer(count) = count {
            told.rows.insert(name, count);
        }
    }
    Ok(())
}

fn text(value: SqlValue) -> Option<String> {
    match value {
        SqlValue::Text(text) => Some(text),
        _ => None,
    }
}

fn version(row: db::Row) -> Option<(i64, String)> {
    match <[SqlValue; 2]>::try_from(row) {
        Ok([SqlValue::Integer(version), SqlValue::Text(checksum)]) => Some((version, checksum)),
        _ => None,
    }
}
