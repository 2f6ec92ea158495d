//! What holds where nothing was typed: Grace's description of itself, and neutral defaults for any
//! other application.

use super::{
    CriticalImport, Migrations, PythonConfig, RequiredColumn, RequiredRecords, RequiredTable,
    Source, Sourced,
};

/// The name of the reference application.
pub(super) const GRACE: &str = "grace";

/// The `.env` file, relative to the root.
pub(super) const ENV_FILE: &str = ".env";

/// Grace's tables and the columns that its code names; with types where code depends on them.
const GRACE_TABLES: [(&str, &[&str]); 3] = [
    (
        "verification_events",
        &[
            "id",
            "verification_type",
            "target_component",
            "verification_method",
            "result",
            "passed BOOLEAN",
            "anomaly_score",
            "confidence",
            "details",
            "verified_by",
            "created_at",
        ],
    ),
    (
        "playbooks",
        &[
            "id",
            "name",
            "description",
            "service",
            "severity",
            "preconditions",
            "parameters_schema",
            "risk_level VARCHAR",
            "autonomy_tier VARCHAR",
            "created_at",
        ],
    ),
    (
        "meta_loop_configs",
        &[
            "id",
            "config_key",
            "config_value",
            "config_type",
            "last_updated_by",
            "last_updated_at",
            "approved",
        ],
    ),
];

/// Grace registers six playbooks of its own at the fourth stage.
const GRACE_RECORDS: [(&str, &[&str], u64); 2] = [
    ("verification_events", &["id", "result", "passed"], 0),
    ("playbooks", &["name", "risk_level", "autonomy_tier"], 6),
];

/// What Grace's smoke tests import (SPEC.md, stage 7), where its code has it.
const GRACE_IMPORTS: [(&str, &[&str]); 2] = [
    ("backend.avn_avm:VerificationEvent", &["passed"]),
    (
        "backend.self_heal_models:Playbook",
        &["risk_level", "autonomy_tier"],
    ),
];

/// What holds where nothing was typed.
pub(super) struct Defaults {
    pub(super) database_url: Option<&'static str>,
    pub(super) migrations: Migrations,
    pub(super) port: Option<u16>,
    pub(super) required_secrets: &'static [&'static str],
    pub(super) writable_folders: &'static [&'static str],
    pub(super) tables: Vec<RequiredTable>,
    pub(super) records: Vec<RequiredRecords>,
    pub(super) python: Option<PythonConfig>,
}

impl Defaults {
    /// Grace's for Grace, neutral ones for any other application.
    pub(super) fn of(application: &str) -> Defaults {
        if application == GRACE {
            Defaults::grace()
        } else {
            Defaults::neutral()
        }
    }

    fn grace() -> Defaults {
        Defaults {
            database_url: Some("sqlite+aiosqlite:///./var/grace.db"),
            migrations: Migrations::BuiltIn,
            port: Some(8000),
            required_secrets: &["SECRET_KEY", "DATABASE_URL"],
            writable_folders: &["logs", "var", "grace_training"],
            tables: GRACE_TABLES
                .iter()
                .map(|(name, columns)| table(name, columns))
                .collect(),
            records: GRACE_RECORDS
                .iter()
                .map(|(table, fields, at_least)| RequiredRecords {
                    table: (*table).to_owned(),
                    fields: fields.iter().map(|field| (*field).to_owned()).collect(),
                    at_least: *at_least,
                })
                .collect(),
            python: Some(grace_python()),
        }
    }

    fn neutral() -> Defaults {
        Defaults {
            database_url: None,
            migrations: Migrations::None,
            port: None,
            required_secrets: &[],
            writable_folders: &["logs"],
            tables: Vec::new(),
            records: Vec::new(),
            python: None,
        }
    }
}

fn grace_python() -> PythonConfig {
    let import = |(name, attributes): &(&str, &[&str])| CriticalImport {
        name: (*name).to_owned(),
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
    };
    PythonConfig {
        entry_point: Some("backend.main:app".to_owned()),
        packages: vec!["backend".to_owned()],
        imports: Sourced::new(GRACE_IMPORTS.iter().map(import).collect(), Source::Default),
        ..PythonConfig::neutral()
    }
}

fn table(name: &str, columns: &[&str]) -> RequiredTable {
    RequiredTable {
        name: name.to_owned(),
        columns: columns
            .iter()
            .filter_map(|declaration| RequiredColumn::parse(declaration))
            .collect(),
    }
}
