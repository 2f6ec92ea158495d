//! Boot records on disk and what is learnt from them.

mod history;
mod incident;
mod records;

pub use history::{FrequentIssue, History, Trend};
pub use incident::{
    INCIDENT_FORMAT_VERSION, IncidentBundle, IncidentConfiguration, IncidentDatabase,
    IncidentError, IncidentVariable, incident_path,
};
pub use records::{FOLDER, RecordError, Reservation, list, prune, read, reserve};
