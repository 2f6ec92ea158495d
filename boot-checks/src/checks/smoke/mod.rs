//! Stage 7: small proofs that the whole works.

mod critical_imports;
mod critical_records;
mod database_query;
mod metrics_snapshot;
mod record_fields;

pub use critical_imports::CriticalImports;
pub use critical_records::CriticalRecords;
pub use database_query::DatabaseQuery;
pub use metrics_snapshot::MetricsSnapshot;
pub use record_fields::RecordFields;
