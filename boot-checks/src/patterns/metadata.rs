/// The content of `grace_training/startup_failures/_metadata.json`, written when the project is built
/// (`build/metadata.rs`).
pub const METADATA_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/metadata.json"));

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::catalogue;
    use super::*;

    #[test]
    fn one_entry_stands_as_the_specification_names_it() {
        let metadata: Value = serde_json::from_str(METADATA_JSON).unwrap();
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
