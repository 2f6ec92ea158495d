-- The tables of Grace that a boot depends on, as they were before the incident of November 2025.
CREATE TABLE verification_events (
    id INTEGER NOT NULL PRIMARY KEY,
    verification_type VARCHAR(64) NOT NULL,
    target_component VARCHAR(128),
    verification_method VARCHAR(64),
    result VARCHAR(32),
    anomaly_score FLOAT,
    confidence FLOAT,
    details TEXT,
    verified_by VARCHAR(64),
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE playbooks (
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(128) NOT NULL UNIQUE,
    description TEXT,
    service VARCHAR(128),
    severity VARCHAR(16),
    preconditions TEXT,
    parameters_schema TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE meta_loop_configs (
    id INTEGER NOT NULL PRIMARY KEY,
    config_key VARCHAR(128) NOT NULL UNIQUE,
    config_value TEXT NOT NULL,
    config_type VARCHAR(32),
    last_updated_by VARCHAR(64),
    last_updated_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    approved BOOLEAN
);
