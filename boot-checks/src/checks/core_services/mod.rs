//! Stage 3: the foundational services, really started, without power to act, each proven by use.

mod database;
mod governance;
mod metrics_collector;
mod trigger_mesh;

pub use database::Database;
pub use governance::Governance;
pub use metrics_collector::Metrics;
pub(crate) use trigger_mesh::DELIVERY_WAIT;
pub use trigger_mesh::Mesh;
