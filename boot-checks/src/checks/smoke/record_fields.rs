//! Do the critical records have the fields that the application's code names: in the database, and as
//! attributes of their classes in the source?

use crate::checks::Check;
use crate::checks::support::{ask, ask_sources, cannot_look, counted};
use crate::config::{CriticalImport, RequiredRecords};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::python::{AttributeResolution, RecordResolution, Sources};
use crate::services::db::{Connection, DbError, quoted};

/// See the module.
pub struct RecordFields;

impl Check for RecordFields {
    fn title(&self) -> &'static str {
        "Record fields"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let in_database = fields(cx)?;
        let in_source = attributes(cx)?;
        Ok(
            match (&in_database.not_applicable, &in_source.not_applicable) {
                (_, Some(_)) => in_database,
                (Some(_), None) => in_source,
                (None, None) => {
                    let observed = format!("{}, {}", in_database.observed, in_source.observed);
                    let problems = [in_database.problems, in_source.problems].concat();
                    Findings::from_problems(problems, observed)
                }
            },
        )
    }
}

/// The fields of the database's records.
fn fields(cx: &Context) -> CheckResult {
    let records = &cx.config.records;
    let fields: usize = records.iter().map(|wanted| wanted.fields.len()).sum();
    if fields == 0 {
        return Ok(Findings::not_applicable(
            "boot.toml names no fields of records",
        ));
    }
    ask(cx, |connection| {
        let all: Vec<Field<'_>> = records.iter().flat_map(fields_of).collect();
        let mut problems = Vec::new();
        // One question for all; where it makes no sense, one for each finds out which.
        if !can_read(connection, &all)? {
            for field in all {
                if !can_read(connection, std::slice::from_ref(&field))? {
                    let message = format!("{} has no field {}", field.table, field.name);
                    problems.push(Finding::new("record_field_missing", message));
                }
            }
        }
        Ok(Findings::from_problems(problems, counted(fields, "field")))
    })
}

struct Field<'a> {
    table: &'a str,
    name: &'a str,
}

fn fields_of(records: &RequiredRecords) -> impl Iterator<Item = Field<'_>> {
    records.fields.iter().map(|name| Field {
        table: &records.table,
        name,
    })
}

/// The attributes of the application's classes.
fn attributes(cx: &Context) -> CheckResult {
    let imported = cx.imported().map_err(cannot_look)?;
    ask_sources(cx, |python, sources| {
        let imports = python.imports.value.iter();
        let wanted: Vec<&CriticalImport> = imports
            .filter(|one| !one.attributes.is_empty() && is_there(sources, one))
            .collect();
        if wanted.is_empty() {
            return Findings::not_applicable("boot.toml names no attributes");
        }
        let absent = |one: &CriticalImport| match &imported {
            Some(imported) => imported
                .iter()
                .find(|failure| failure.name == one.name)
                .map_or_else(Vec::new, |failure| failure.absent.clone()),
            None => absent_in_source(sources, one),
        };
        let problems = wanted
            .iter()
            .flat_map(|one| {
                absent(one)
                    .into_iter()
                    .map(|name| missing(&one.name, &name))
            })
            .collect();
        let count = wanted.iter().map(|one| one.attributes.len()).sum();
        Findings::from_problems(problems, counted(count, "attribute"))
    })
}

/// What is not there is what `critical_imports` says.
fn is_there(sources: &Sources, wanted: &CriticalImport) -> bool {
    let module = wanted.name.split(':').next().unwrap_or_default();
    sources.has_module(module)
}

fn absent_in_source(sources: &Sources, wanted: &CriticalImport) -> Vec<String> {
    let names: Vec<&str> = wanted.attributes.iter().map(String::as_str).collect();
    let RecordResolution::Found { attributes, .. } = sources.record(&wanted.name, &names) else {
        return Vec::new();
    };
    let absent = attributes
        .into_iter()
        .filter(|(_, found)| *found == AttributeResolution::Missing);
    absent.map(|(name, _)| name).collect()
}

fn missing(class: &str, attribute: &str) -> Finding {
    let name = class.rsplit([':', '.']).next().unwrap_or(class);
    let message = format!("type object '{name}' has no attribute '{attribute}'");
    let finding = Finding::new("record_attribute_missing", message)
        .evidence("class", class)
        .cause(
            "a fault of the code: the database may have the column, the class does not declare it",
        )
        .action(format!("declare '{attribute}' in {class}, then boot again"));
    match (name, attribute) {
        ("VerificationEvent", "passed") => finding.pattern("verification_events_schema_mismatch"),
        ("Playbook", "risk_level" | "autonomy_tier") => {
            finding.pattern("playbook_missing_risk_fields")
        }
        _ => finding,
    }
}

/// Whether these fields of a record can be read; false when the statement makes no sense there.
fn can_read(connection: &mut Connection, fields: &[Field<'_>]) -> Result<bool, DbError> {
    let read = fields.iter().map(|Field { table, name }| {
        let (table, name) = (quoted(table), quoted(name));
        // Qualified: SQLite takes a bare quoted name that is no column for a string.
        format!("(SELECT {table}.{name} FROM {table} LIMIT 1)")
    });
    let sql = format!("SELECT {}", read.collect::<Vec<_>>().join(", "));
    match connection.query(&sql, &[]) {
        Ok(_) => Ok(true),
        Err(DbError::Other { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
