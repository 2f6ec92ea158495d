use super::Findings;

/// What a check answers: what it saw, or that it could not look.
pub type CheckResult = Result<Findings, CheckError>;

/// The check could not look. Never a pass: it blocks as a failure of the same step would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CheckError {
    /// What could not be looked at, and why: a lowercase fragment.
    pub message: String,
    /// The next step.
    pub action: Option<String>,
}

impl CheckError {
    /// Could not look, for this reason.
    pub fn new(message: impl Into<String>) -> CheckError {
        CheckError {
            message: message.into(),
            action: None,
        }
    }

    /// Says what to do next.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> CheckError {
        self.action = Some(action.into());
        self
    }
}
