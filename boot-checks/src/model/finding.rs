use std::collections::BTreeMap;

use serde::Serialize;

/// One thing that was looked at: a name and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What was looked at, such as `path` or `sqlite code`.
    pub label: String,
    /// What was seen there.
    pub value: String,
}

/// A problem that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name of this kind of problem, such as `database_missing`.
    pub code: &'static str,
    /// What is wrong: a lowercase fragment that names the thing.
    pub message: String,
    /// What was seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Why it happened, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The next step. Only commands that destroy nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The known incident that this finding belongs to, such as `database_locked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<&'static str>,
}

impl Finding {
    /// A finding with its code and message; the rest is added by the methods below.
    pub fn new(code: &'static str, message: impl Into<String>) -> Finding {
        Finding {
            code,
            message: message.into(),
            evidence: Vec::new(),
            cause: None,
            action: None,
            pattern: None,
        }
    }

    /// Adds one thing that was seen.
    #[must_use]
    pub fn evidence(mut self, label: impl Into<String>, value: impl ToString) -> Finding {
        self.evidence.push(Evidence {
            label: label.into(),
            value: value.to_string(),
        });
        self
    }

    /// Says why it happened.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Finding {
        self.cause = Some(cause.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Finding {
        self.action = Some(action.into());
        self
    }

    /// Names the known incident.
    #[must_use]
    pub fn pattern(mut self, pattern: &'static str) -> Finding {
        self.pattern = Some(pattern);
        self
    }
}

/// What a check saw. No problems means healthy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// One line on what was seen, for the report of a healthy step.
    pub observed: String,
    /// What is wrong. Empty: healthy.
    pub problems: Vec<Finding>,
    /// Worth knowing, but nothing to act on.
    pub notes: Vec<String>,
    /// Figures for the stage's metrics.
    pub facts: BTreeMap<&'static str, serde_json::Value>,
    /// The check does not apply to this application, for this reason.
    pub not_applicable: Option<String>,
}

impl Findings {
    /// Nothing is wrong, and this is what was seen.
    pub fn healthy(observed: impl Into<String>) -> Findings {
        Findings {
            observed: observed.into(),
            ..Findings::default()
        }
    }

    /// One problem.
    pub fn problem(finding: Finding) -> Findings {
        Findings {
            problems: vec![finding],
            ..Findings::default()
        }
    }

    /// These problems; `observed` stands where there are none.
    pub fn from_problems(problems: Vec<Finding>, observed: impl Into<String>) -> Findings {
        Findings {
            problems,
            observed: observed.into(),
            ..Findings::default()
        }
    }

    /// The check has nothing to look at in this application.
    pub fn not_applicable(reason: impl Into<String>) -> Findings {
        Findings {
            not_applicable: Some(reason.into()),
            ..Findings::default()
        }
    }

    /// Adds something worth knowing.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Findings {
        self.notes.push(note.into());
        self
    }

    /// Adds a figure.
    #[must_use]
    pub fn fact(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Findings {
        self.facts.insert(name, value.into());
        self
    }

    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.problems.is_empty()
    }
}
