use std::collections::BTreeMap;

use serde::Serialize;

use super::pattern::{Pattern, Signature};
use crate::model::{AutonomyTier, RiskLevel};

/// What a log showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Each incident once, in the order of first places.
    pub incidents: Vec<Incident>,
    /// Lines read.
    pub lines: u64,
    /// Bytes read, after decompression and decoding.
    pub bytes: u64,
    /// Sightings of further incidents that were not kept, because too many differ.
    pub omitted: u64,
    /// Why the input was not read to its end, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// One incident of a known pattern, however often it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Id of the pattern.
    pub pattern: &'static str,
    /// How often it was seen. A chained traceback counts once.
    pub count: u64,
    /// Where it was first seen.
    pub first: Place,
    /// Where it was last seen.
    pub last: Place,
    /// What is wrong, in a line.
    pub title: &'static str,
    /// The message, as first seen; shortened, without control characters and passwords.
    pub message: String,
    /// What the message names: module, column, port.
    pub captures: BTreeMap<&'static str, String>,
    /// Why it happens.
    pub cause: &'static str,
    /// The playbook that heals it.
    pub playbook: Option<&'static str>,
    /// How much harm the remedy could do.
    pub risk: RiskLevel,
    /// Who decides about the remedy.
    pub tier: AutonomyTier,
    /// A further step of the remedy with its own risk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<EscalationNote>,
    /// What a person does about it.
    pub advice: &'static str,
    /// Steps of the boot that find it before launch.
    pub checks: &'static [&'static str],
    /// How to see that it is gone.
    pub verification: &'static [&'static str],
    /// The next command to type.
    pub next_command: &'static str,
}

/// A further step of a remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EscalationNote {
    /// What the step is for.
    pub when: &'static str,
    /// How much harm it could do.
    pub risk: RiskLevel,
    /// Who decides.
    pub tier: AutonomyTier,
}

/// Where in the input a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Number of the line, from 1.
    pub line: u64,
    /// Bytes before the message, after decompression and decoding.
    pub offset: u64,
}

impl Incident {
    pub(super) fn new(
        pattern: &'static Pattern,
        signature: &'static Signature,
        captures: BTreeMap<&'static str, String>,
        message: String,
        count: u64,
        first: Place,
        last: Place,
    ) -> Incident {
        let other = signature.other.as_ref();
        Incident {
            pattern: pattern.id,
            count,
            first,
            last,
            title: pattern.title,
            message,
            captures,
            cause: other.map_or(pattern.root_cause, |other| other.cause),
            playbook: pattern.playbook.filter(|_| other.is_none()),
            risk: other.map_or(pattern.risk, |other| other.risk),
            tier: other.map_or(pattern.tier, |other| other.tier),
            escalation: pattern.escalation.as_ref().map(|step| EscalationNote {
                when: step.when,
                risk: step.risk,
                tier: step.tier,
            }),
            advice: other.map_or(pattern.advice, |other| other.advice),
            checks: pattern.checks,
            verification: pattern.verification,
            next_command: pattern.next_command,
        }
    }
}
