//! Does the application's registry list the playbooks, with risk and tier? `register_playbooks`
//! enters what is missing.

use crate::checks::Check;
use crate::checks::support::database_finding;
use crate::context::Context;
use crate::host::files::read_limited;
use crate::model::{CheckResult, Finding, Findings, SqlValue};

/// See the module.
pub struct Registered;

/// The registry holds a handful of short entries.
const REGISTRY_BYTES_MAX: u64 = 1 << 20;

impl Check for Registered {
    fn title(&self) -> &'static str {
        "Playbooks are registered"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let listed = match definitions(cx) {
            Ok(listed) => listed,
            Err(finding) => return Ok(Findings::problem(*finding)),
        };
        let is_complete = |id: &str| {
            listed
                .iter()
                .any(|entry| entry.name == id && entry.risk.is_some() && entry.tier.is_some())
        };
        let missing: Vec<Finding> = cx
            .registry
            .iter()
            .filter(|meta| !is_complete(meta.id))
            .map(|meta| {
                let message = format!("playbook {} is not registered", meta.id);
                Finding::new("playbook_unregistered", message)
            })
            .collect();
        let place = if cx.registry_is_in_database() {
            "table playbooks"
        } else {
            "the gate's store"
        };
        Ok(Findings::from_problems(
            missing,
            format!("{} in {place}", cx.registry.len()),
        ))
    }
}

/// One entry of the registry, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Definition {
    /// The playbook's name.
    #[serde(rename = "id")]
    pub name: String,
    /// Its risk level, unjudged.
    pub risk: Option<String>,
    /// Its autonomy tier, unjudged.
    pub tier: Option<String>,
}

/// Everything in the application's registry; nothing where there is none yet.
///
/// # Errors
///
/// The finding that explains why it cannot be read.
pub fn definitions(cx: &Context) -> Result<Vec<Definition>, Box<Finding>> {
    if cx.registry_is_in_database() {
        return in_database(cx);
    }
    let path = cx.registry_file();
    let bytes = match read_limited(&path, REGISTRY_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&path, &error.to_string())),
    };
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&path, &error.to_string()))
}

fn in_database(cx: &Context) -> Result<Vec<Definition>, Box<Finding>> {
    let sql = "SELECT name, risk_level, autonomy_tier FROM playbooks ORDER BY name";
    let rows = cx
        .answer(sql)
        .map_err(|error| Box::new(database_finding(cx, &error)))?;
    let text = |value: &SqlValue| match value {
        SqlValue::Text(text) => Some(text.clone()),
        _ => None,
    };
    Ok(rows
        .iter()
        .map(|row| Definition {
            name: row.first().and_then(text).unwrap_or_default(),
            risk: row.get(1).and_then(text),
            tier: row.get(2).and_then(text),
        })
        .collect())
}

fn unreadable(path: &std::path::Path, reason: &str) -> Box<Finding> {
    let message = format!("{} cannot be read: {reason}", path.display());
    Box::new(Finding::new("playbook_unregistered", message))
}
