//! One boot that is over, from its record: what somebody who was not there has to know. A stage in which all
//! was well has one line; everything else is told in full.

mod change;
mod finding;
mod head;
mod loose;
mod repair;
mod stage;
mod step;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::page::{Page, Style};
use crate::model::BootRecord;

/// A step or a stage that took longer says how long.
const SLOW_MS: f64 = 1_000.0;

/// Shows a boot that is over. `again` chooses the application in commands that are printed, as in
/// [`crate::model::Start`].
pub fn past(record: &BootRecord, again: &str, style: Style) -> String {
    let mut page = Page::of_record(style);
    head::show(&mut page, record, again);
    let mut was_told = true;
    let mut said = None;
    for stage in &record.stages {
        let is_told = stage::is_told(stage);
        if is_told || was_told {
            page.blank();
        }
        was_told = is_told;
        let why = stage::why_not_reached(record, stage);
        let is_news = why != said;
        stage::show(&mut page, stage, why.as_deref(), is_news, again);
        said = why.or(said);
    }
    page.take()
}

/// The word of a record as what it stands for; none for one that this version does not know.
fn known<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(Value::from(word)).ok()
}

/// Seconds to the millisecond, of what a record says in milliseconds.
fn seconds(ms: f64) -> String {
    format!("{:.3} s", ms / 1_000.0)
}
