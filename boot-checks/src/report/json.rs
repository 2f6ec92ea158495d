use crate::model::{BootRecord, BootReport};

/// One JSON object, readable by people, with a newline behind it.
pub fn json(report: &BootReport) -> String {
    record_json(&BootRecord::from(report))
}

/// The same of a record that is already there: what stands on disk is what `--format json` prints,
/// and needs to be rendered once.
pub fn record_json(record: &BootRecord) -> String {
    let mut json =
        serde_json::to_string_pretty(record).expect("a record has text keys and plain values only");
    json.push('\n');
    json
}
