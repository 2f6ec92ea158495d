//! Stage 2: columns, secrets and the text encoding.

mod database_url;
mod migration_checksums;
mod playbooks_risk_fields;
mod required_columns;
mod secret_key;
mod utf8_configured;
mod verification_events_passed;

pub use database_url::DatabaseUrlSet;
pub use migration_checksums::MigrationChecksums;
pub use playbooks_risk_fields::PlaybooksRiskFields;
pub use required_columns::RequiredColumns;
pub use secret_key::SecretKey;
pub use utf8_configured::Utf8Configured;
pub use verification_events_passed::VerificationEventsPassed;
