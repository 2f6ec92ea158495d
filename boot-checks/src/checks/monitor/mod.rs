//! Stage 8: schedules for what goes on after the boot.

mod metrics_snapshot;
mod proactive_intelligence;
mod self_heal;

pub use metrics_snapshot::MetricsSnapshotSchedule;
pub use proactive_intelligence::ProactiveIntelligence;
pub use self_heal::SelfHeal;

use crate::checks::support::short;
use crate::context::Context;
use crate::host::files::read_limited;
use crate::model::{CheckResult, Finding, Findings};

/// Three short entries.
const SCHEDULE_BYTES_MAX: u64 = 64 << 10;

#[derive(serde::Deserialize)]
struct Entry {
    name: String,
    every_seconds: u64,
}

/// Whether the schedule that the monitor will read has this entry.
fn scheduled(cx: &Context, name: &str, every_seconds: u64) -> CheckResult {
    let path = cx.schedule_file();
    let place = short(cx, &path);
    let missing = |why: String| Findings::problem(Finding::new("schedule_missing", why));
    let bytes = match read_limited(&path, SCHEDULE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Ok(missing(format!(
                "{name} is not scheduled: {place}: {error}"
            )));
        }
    };
    let entries: Vec<Entry> = match serde_json::from_slice(&bytes) {
        Ok(entries) => entries,
        Err(error) => {
            return Ok(missing(format!(
                "{name} is not scheduled: {place}: {error}"
            )));
        }
    };
    Ok(match entries.iter().find(|entry| entry.name == name) {
        Some(entry) if entry.every_seconds == every_seconds => {
            Findings::healthy(format!("every {} min", every_seconds / 60))
        }
        Some(entry) => missing(format!(
            "{name} is scheduled every {} s",
            entry.every_seconds
        )),
        None => missing(format!("{name} is not in {place}")),
    })
}
