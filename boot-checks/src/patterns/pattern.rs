use crate::model::{AutonomyTier, RiskLevel};

/// A known incident, as data. The source is `fixtures/patterns/<id>/pattern.toml`.
#[derive(Debug)]
pub struct Pattern {
    /// Stable name; the folder's name.
    pub id: &'static str,
    /// What is wrong, in a line.
    pub title: &'static str,
    /// Steps that find it before launch.
    pub checks: &'static [&'static str],
    /// Labels in files of labelled lines that mean this pattern.
    pub labels: &'static [&'static str],
    /// Why it happens.
    pub root_cause: &'static str,
    /// What people see.
    pub symptoms: &'static [&'static str],
    /// The playbook that heals it, where there is one.
    pub playbook: Option<&'static str>,
    /// How much harm the remedy could do.
    pub risk: RiskLevel,
    /// Who decides about the remedy.
    pub tier: AutonomyTier,
    /// What a person does about it.
    pub advice: &'static str,
    /// How to see that it is gone.
    pub verification: &'static [&'static str],
    /// The next command to type; it destroys nothing.
    pub next_command: &'static str,
    /// A further step of the remedy that is riskier than the first.
    pub escalation: Option<Escalation>,
    /// How it shows in text.
    pub signatures: &'static [Signature],
    /// Messages as they are really printed; each matches this pattern and no other.
    pub samples: &'static [Sample],
    /// Messages that look alike and must not match.
    pub look_alikes: &'static [LookAlike],
}

/// A step of a remedy with its own risk.
#[derive(Debug)]
pub struct Escalation {
    /// What the step is for.
    pub when: &'static str,
    /// How much harm it could do.
    pub risk: RiskLevel,
    /// Who decides.
    pub tier: AutonomyTier,
}

/// One shape of message.
#[derive(Debug)]
pub struct Signature {
    /// Regular expression over one line, or over a window of lines that ends with it.
    pub regex: &'static str,
    /// Literals, one of which is in every text that the expression matches.
    pub anchors: &'static [&'static str],
    /// Refutes the match when it is found in the same line.
    pub unless: Option<&'static str>,
    /// Captures that tell incidents of this pattern apart; `a|b` is the first one present.
    pub subject: &'static [&'static str],
    /// What this shape means, where that is not what the rest of the pattern means.
    pub other: Option<Other>,
    /// Whether the capture `module` must (or must not) be one of the application's own packages.
    pub own_package: Option<bool>,
    /// Whether the expression reads the lines before, too.
    pub window: bool,
}

/// Another cause behind nearly the same words; the pattern's playbook does not reach it.
#[derive(Debug)]
pub struct Other {
    /// Why it happens.
    pub cause: &'static str,
    /// What a person does about it.
    pub advice: &'static str,
    /// How much harm the remedy could do.
    pub risk: RiskLevel,
    /// Who decides about the remedy.
    pub tier: AutonomyTier,
}

/// A message as it is really printed.
#[derive(Debug)]
pub struct Sample {
    /// The message.
    pub text: &'static str,
    /// Names and values that the signature must capture.
    pub captures: &'static [(&'static str, &'static str)],
}

/// A message that must not match.
#[derive(Debug)]
pub struct LookAlike {
    /// The message.
    pub text: &'static str,
    /// Why it is something else.
    pub why: &'static str,
}
