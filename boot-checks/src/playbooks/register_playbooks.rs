//! Puts the playbooks into the application's registry: its table `playbooks`, or the gate's own store
//! where the application has none.

use super::{Plan, PlanError, Playbook, registered};
use crate::context::Context;
use crate::model::{
    AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel, SqlStatement, SqlValue,
};

const META: PlaybookMeta = PlaybookMeta {
    id: "register_playbooks",
    description: "Register the startup playbooks",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["playbook_unregistered"],
    registered: false,
};

pub(super) struct RegisterPlaybooks;

impl Playbook for RegisterPlaybooks {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, _problems: &[Finding]) -> Result<Plan, PlanError> {
        let playbooks = registered();
        let change = if cx.registry_is_in_database() {
            Change::WriteRows {
                statements: playbooks.iter().flat_map(statements).collect(),
            }
        } else {
            let mut contents = serde_json::to_vec_pretty(&playbooks)
                .map_err(|error| PlanError::CannotLook(error.to_string()))?;
            contents.push(b'\n');
            Change::ReplaceOwnFile {
                path: cx.registry_file(),
                contents,
            }
        };
        let summary = format!("registered {} playbooks", playbooks.len());
        Ok(Plan {
            summary,
            changes: vec![change],
        })
    }
}

/// A row of that name keeps what it says; only what is missing is filled in.
fn statements(meta: &PlaybookMeta) -> [SqlStatement; 2] {
    let parameters: Vec<SqlValue> = [
        meta.id,
        meta.description,
        meta.risk.word(),
        meta.tier.word(),
    ]
    .map(SqlValue::from)
    .into();
    let insert = "INSERT INTO playbooks (name, description, risk_level, autonomy_tier) \
                  SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM playbooks WHERE name = ?1)";
    let complete = "UPDATE playbooks SET risk_level = coalesce(risk_level, ?3), \
                    autonomy_tier = coalesce(autonomy_tier, ?4), \
                    description = coalesce(description, ?2) \
                    WHERE name = ?1 AND (risk_level IS NULL OR autonomy_tier IS NULL)";
    [insert, complete].map(|sql| SqlStatement {
        sql: sql.to_owned(),
        parameters: parameters.clone(),
    })
}
