use serde_json::{Value, json};

use super::catalogue;
use super::pattern::Pattern;

/// Version of the file's shape.
const FORMAT_VERSION: u32 = 1;

/// The content of `grace_training/startup_failures/_metadata.json` (SPEC.md, Startup Failure
/// Patterns): for each known incident its signatures, root cause, playbook and verification steps.
///
/// It depends on the catalogue alone, so two boots of the same version write the same bytes.
pub fn metadata_json() -> String {
    let patterns: Vec<Value> = catalogue::all().iter().map(pattern_json).collect();
    let metadata = json!({
        "format_version": FORMAT_VERSION,
        "description": "Known startup incidents: how to recognise, heal and verify each.",
        "patterns": patterns,
    });
    format!("{metadata:#}\n")
}

fn pattern_json(pattern: &Pattern) -> Value {
    let signatures: Vec<&str> = pattern.signatures.iter().map(|one| one.regex).collect();
    let examples: Vec<&str> = pattern.samples.iter().map(|one| one.text.trim()).collect();
    json!({
        "id": pattern.id,
        "title": pattern.title,
        "error_signatures": signatures,
        "examples": examples,
        "symptoms": pattern.symptoms,
        "root_cause": pattern.root_cause,
        "fix": {
            "playbook": pattern.playbook,
            "risk_level": pattern.risk,
            "autonomy_tier": pattern.tier,
            "advice": pattern.advice,
            "escalation": pattern.escalation.as_ref().map(|step| json!({
                "when": step.when,
                "risk_level": step.risk,
                "autonomy_tier": step.tier,
            })),
        },
        "checks": pattern.checks,
        "verification_steps": pattern.verification,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_stands_as_the_specification_names_it() {
        let metadata: Value = serde_json::from_str(&metadata_json()).unwrap();
        let patterns = metadata["patterns"].as_array().unwrap();
        assert_eq!(patterns.len(), catalogue::all().len());
        let locked = patterns
            .iter()
            .find(|one| one["id"] == "database_locked")
            .unwrap();
        insta::assert_snapshot!(format!("{locked:#}"), @r###"
        {
          "id": "database_locked",
          "title": "Another connection holds the database's lock",
          "error_signatures": [
            "(?:\\(code: (?P<code>5|6|261|262|517|773)\\) )?\\bdatabase (?:table |schema )?is locked\\b",
            "\\bSQLITE_BUSY(?:_RECOVERY|_SNAPSHOT|_TIMEOUT)?\\b",
            "\\bsqlite_errorcode\\W{1,4}(?P<code>5|261|517|773)\\b"
          ],
          "examples": [
            "sqlite3.OperationalError: database is locked",
            "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked",
            "Error: error returned from database: (code: 5) database is locked",
            "Error: error returned from database: (code: 517) database is locked",
            "sqlite3.OperationalError: database table is locked: playbooks",
            "write failed: SQLITE_BUSY_SNAPSHOT",
            "ERROR db: insert failed sqlite_errorcode=261"
          ],
          "symptoms": [
            "Writes fail after the busy timeout, reads often still work",
            "A second copy of the application, a shell or a backup tool has the file open"
          ],
          "root_cause": "A live process holds a write or exclusive lock for longer than the wait, or a reader tried to write from an old snapshot.",
          "fix": {
            "playbook": "unlock_database",
            "risk_level": "low",
            "autonomy_tier": "tier_1",
            "advice": "Find who holds the file and let it finish; a lock is never removed by deleting files beside the database.",
            "escalation": null
          },
          "checks": [
            "preflight::database_readable",
            "core_services::database"
          ],
          "verification_steps": [
            "An immediate transaction begins and rolls back on a fresh connection"
          ]
        }
        "###);
    }
}
