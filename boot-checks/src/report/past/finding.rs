//! A problem as a record has it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::loose::{as_list, as_option, as_text, text};
use crate::model::Evidence;
use crate::report::words::Reason;

/// As [`crate::model::Finding`] was written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PastFinding {
    #[serde(deserialize_with = "as_text")]
    code: String,
    #[serde(deserialize_with = "as_text")]
    message: String,
    #[serde(deserialize_with = "as_list")]
    evidence: Vec<Value>,
    #[serde(deserialize_with = "as_option")]
    cause: Option<String>,
    #[serde(deserialize_with = "as_option")]
    action: Option<String>,
    #[serde(deserialize_with = "as_option")]
    pattern: Option<String>,
    /// What another version wrote.
    #[serde(flatten)]
    others: Map<String, Value>,
    /// All that was seen, once it is read.
    #[serde(skip)]
    seen: Vec<Evidence>,
}

impl From<&Value> for PastFinding {
    /// A value that is no finding is the message of one.
    fn from(value: &Value) -> PastFinding {
        let mut finding = PastFinding::deserialize(value).unwrap_or_else(|_| PastFinding {
            message: text(value),
            ..PastFinding::default()
        });
        let others = std::mem::take(&mut finding.others);
        finding.seen = finding.evidence.iter().map(evidence).collect();
        finding
            .seen
            .extend(others.iter().map(|(name, value)| seen(name, value)));
        finding
    }
}

impl PastFinding {
    /// What is wrong; at the least, its code.
    pub(super) fn message(&self) -> &str {
        match (self.message.as_str(), self.code.as_str()) {
            ("", "") => "a problem of which nothing is told",
            ("", code) => code,
            (message, _) => message,
        }
    }

    /// The step that found it, with the code.
    pub(super) fn place(&self, step: &str) -> String {
        match self.code.as_str() {
            "" => step.to_owned(),
            code => format!("{step} ({code})"),
        }
    }

    /// All of it.
    pub(super) fn reason(&self, place: Option<String>) -> Reason<'_> {
        Reason {
            what: self.message().to_owned(),
            place,
            evidence: &self.seen,
            cause: self.cause.as_deref(),
            next_step: self.action.as_deref(),
            pattern: self.pattern.as_deref(),
        }
    }
}

fn evidence(value: &Value) -> Evidence {
    match (value.get("label"), value.get("value")) {
        (Some(label), Some(value)) => seen(&text(label), value),
        _ => seen("seen", value),
    }
}

fn seen(label: &str, value: &Value) -> Evidence {
    Evidence {
        label: label.to_owned(),
        value: text(value),
    }
}
