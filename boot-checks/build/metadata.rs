//! `grace_training/startup_failures/_metadata.json` (SPEC.md, Startup Failure Patterns): for each known
//! incident its signatures, root cause, playbook and verification steps. It depends on the catalogue
//! alone, so every boot of one version leaves the same bytes.

use serde_json::{Value, json};

use crate::patterns::PatternFile;

/// Version of the file's shape.
const FORMAT_VERSION: u32 = 1;

/// The file with these patterns.
pub(crate) fn file(patterns: &[PatternFile]) -> String {
    let entries: Vec<Value> = patterns.iter().map(entry).collect();
    let metadata = json!({
        "format_version": FORMAT_VERSION,
        "description": "Known startup incidents: how to recognise, heal and verify each.",
        "patterns": entries,
    });
    format!("{metadata:#}\n")
}

fn entry(pattern: &PatternFile) -> Value {
    let signatures = pattern
        .signatures
        .iter()
        .map(|one| one.regex.as_ref().as_str());
    let examples = pattern.samples.iter().map(|one| one.text.as_ref().trim());
    json!({
        "id": pattern.id.as_ref(),
        "title": pattern.title,
        "error_signatures": signatures.collect::<Vec<_>>(),
        "examples": examples.collect::<Vec<_>>(),
        "symptoms": pattern.symptoms,
        "root_cause": pattern.root_cause,
        "fix": {
            "playbook": pattern.playbook,
            "risk_level": pattern.risk.as_ref(),
            "autonomy_tier": pattern.tier.as_ref(),
            "advice": pattern.advice,
            "escalation": pattern.escalation.as_ref().map(|step| json!({
                "when": step.when,
                "risk_level": step.risk.as_ref(),
                "autonomy_tier": step.tier.as_ref(),
            })),
        },
        "checks": pattern.checks,
        "verification_steps": pattern.verification,
    })
}
