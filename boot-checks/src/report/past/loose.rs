//! Reads what other versions may have written in another shape: nothing is an error, nothing is lost.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A text as it is; anything else as JSON spells it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A field that holds a text.
pub(super) fn as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Value::deserialize(deserializer).map(|value| text(&value))
}

/// A field that holds a text, or is empty or left out.
pub(super) fn as_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = as_text(deserializer)?;
    Ok((!text.is_empty()).then_some(text))
}

/// A field that holds a list; one thing alone is a list of one.
pub(super) fn as_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(values) => values,
        Value::Null => Vec::new(),
        other => vec![other],
    })
}

/// A field that says yes or no; anything but a yes is a no.
pub(super) fn as_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Value::deserialize(deserializer)? == Value::Bool(true))
}
