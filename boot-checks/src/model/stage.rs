use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// One of the eight stages, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageId {
    /// The database and what surrounds it.
    Preflight,
    /// Columns, secrets and the text encoding.
    SchemaSecrets,
    /// Database connection, trigger mesh, metrics, governance.
    CoreServices,
    /// Healing playbooks that belong to a start.
    StartupPlaybooks,
    /// Whether the real output can carry the text that the application prints.
    Codec,
    /// Metrics catalogue, playbook definitions, proactive rules.
    Autonomy,
    /// Small proofs that the whole works.
    Smoke,
    /// Schedules for what goes on after the boot.
    Monitor,
}

impl StageId {
    /// All stages, in order.
    pub const ALL: [StageId; 8] = [
        StageId::Preflight,
        StageId::SchemaSecrets,
        StageId::CoreServices,
        StageId::StartupPlaybooks,
        StageId::Codec,
        StageId::Autonomy,
        StageId::Smoke,
        StageId::Monitor,
    ];

    /// Position from 1 to 8.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            StageId::Preflight => "Preflight Gate",
            StageId::SchemaSecrets => "Schema Sync & Secrets",
            StageId::CoreServices => "Core Services Isolation",
            StageId::StartupPlaybooks => "Startup Playbooks",
            StageId::Codec => "Codec Validation",
            StageId::Autonomy => "Autonomy & Playbook Load",
            StageId::Smoke => "Smoke Tests",
            StageId::Monitor => "Continuous Monitor Setup",
        }
    }

    /// The name for machines: in trial names, flags and JSON keys.
    pub fn slug(self) -> &'static str {
        match self {
            StageId::Preflight => "preflight",
            StageId::SchemaSecrets => "schema_secrets",
            StageId::CoreServices => "core_services",
            StageId::StartupPlaybooks => "startup_playbooks",
            StageId::Codec => "codec",
            StageId::Autonomy => "autonomy",
            StageId::Smoke => "smoke",
            StageId::Monitor => "monitor",
        }
    }

    /// The stage with this slug or number, if there is one.
    pub fn parse(text: &str) -> Option<StageId> {
        StageId::ALL
            .into_iter()
            .find(|stage| stage.slug() == text || stage.number().to_string() == text)
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.number(), self.title())
    }
}

impl Serialize for StageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.slug())
    }
}

/// Names one step: `preflight::database_exists`. It is the trial's name and the JSON key at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    /// The stage that the step belongs to.
    pub stage: StageId,
    /// The step's own name; the stem of its file.
    pub name: &'static str,
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.stage.slug(), self.name)
    }
}

impl Serialize for StepId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a problem in a step means for the boot. It sits on the step: a stage is critical when one
/// of its steps aborts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The application must not start; the stages that need this one are not run.
    Abort,
    /// The problem is reported and the application may start.
    Warn,
    /// The boot goes on with reduced abilities.
    Continue,
}
