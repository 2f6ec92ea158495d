//! The columns of the tables that a boot looks for.

/// As the first migration makes them.
pub(crate) fn columns(table: &str) -> &'static str {
    match table {
        "verification_events" => {
            "id INTEGER NOT NULL PRIMARY KEY, verification_type VARCHAR(64) NOT NULL,
             target_component VARCHAR(128), verification_method VARCHAR(64), result VARCHAR(32),
             anomaly_score FLOAT, confidence FLOAT, details TEXT, verified_by VARCHAR(64),
             created_at DATETIME DEFAULT CURRENT_TIMESTAMP"
        }
        "playbooks" => {
            "id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(128) NOT NULL UNIQUE, description TEXT,
             service VARCHAR(128), severity VARCHAR(16), preconditions TEXT,
             parameters_schema TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP"
        }
        _ => {
            "id INTEGER NOT NULL PRIMARY KEY, config_key VARCHAR(128) NOT NULL UNIQUE,
             config_value TEXT NOT NULL, config_type VARCHAR(32), last_updated_by VARCHAR(64),
             last_updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, approved BOOLEAN"
        }
    }
}

/// What the later migrations add.
pub(crate) fn added(table: &str) -> &'static str {
    match table {
        "verification_events" => ", passed BOOLEAN",
        "playbooks" => ", risk_level VARCHAR(16), autonomy_tier VARCHAR(16)",
        _ => "",
    }
}

/// Columns that every row has, and their values.
pub(crate) fn values(table: &str) -> (&'static str, &'static str) {
    match table {
        "verification_events" => ("id, verification_type", "i, 'kind ' || i"),
        "playbooks" => ("id, name", "i, 'own ' || i"),
        _ => ("id, config_key, config_value", "i, 'key ' || i, 'value'"),
    }
}

/// In the few types that a STRICT table knows.
pub(crate) fn strict(columns: &str) -> String {
    let mut strict = columns
        .replace("FLOAT", "REAL")
        .replace("BOOLEAN", "INTEGER");
    for length in [16, 32, 64, 128] {
        strict = strict.replace(&format!("VARCHAR({length})"), "TEXT");
    }
    strict.replace("DATETIME", "TEXT")
}
