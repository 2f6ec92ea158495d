//! Boot records on disk and what is learnt from them.

mod find;
mod history;
mod incident;
mod records;

pub use find::{FindError, Known, find};
pub use history::{FrequentIssue, History, Trend};
pub use incident::{
    INCIDENT_FORMAT_VERSION, IncidentBundle, IncidentConfiguration, IncidentDatabase,
    IncidentError, IncidentVariable, incident_path,
};
pub use records::{FOLDER, RecordError, Reservation, list, prune, read, read_with_text, reserve};
