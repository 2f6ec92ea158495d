use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// How much harm a playbook could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskLevel {
    /// Adds what is missing; nothing existing changes.
    Low,
    /// Changes structure, additively.
    Medium,
    /// Edits what a person wrote.
    High,
    /// Could lose something.
    Critical,
}

/// Who decides that a playbook may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AutonomyTier {
    /// Acts on its own.
    Auto,
    /// Acts, and leaves a notice.
    Notify,
    /// Acts after one person approved exactly this plan.
    Approve,
    /// Acts after a quorum approved exactly this plan.
    Parliament,
}

/// Whether this run may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Look only.
    Observe,
    /// Heal what governance lets it.
    Heal,
}

/// What people said about exactly the plan at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Nobody approved it.
    None,
    /// One person approved it.
    Person,
    /// A quorum approved it.
    Quorum,
}

/// What governance answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Act.
    Apply,
    /// Act and leave a notice.
    ApplyAndNotify,
    /// Propose; a person decides.
    NeedsApproval,
    /// Propose; a quorum decides.
    NeedsQuorum,
    /// Only look.
    ObserveOnly,
}

/// Describes a playbook. It costs nothing to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlaybookMeta {
    /// Stable name; the stem of its file.
    pub id: &'static str,
    /// What it does, in a few words.
    pub description: &'static str,
    /// How much harm it could do.
    pub risk: RiskLevel,
    /// Who decides.
    pub tier: AutonomyTier,
    /// Codes of the findings that it fixes.
    pub fixes: &'static [&'static str],
    /// Whether the application's registry lists it. The gate's own chores are not listed there.
    pub registered: bool,
}

/// A word that is no risk level or tier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of {1}")]
pub struct UnknownWord(pub String, pub &'static str);

macro_rules! words {
    ($type:ty, $all:literal, $($variant:ident = $word:literal),+) => {
        impl $type {
            /// The word for machines.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord(text.to_owned(), $all)),
                }
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

words!(
    RiskLevel,
    "low, medium, high, critical",
    Low = "low",
    Medium = "medium",
    High = "high",
    Critical = "critical"
);
words!(
    AutonomyTier,
    "tier_1, tier_2, tier_3, tier_4",
    Auto = "tier_1",
    Notify = "tier_2",
    Approve = "tier_3",
    Parliament = "tier_4"
);
