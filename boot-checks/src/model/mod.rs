//! The nouns of a boot. Pure data: nothing here touches the machine or uses another module of ours.

mod again;
mod change;
mod check;
mod event;
mod finding;
mod governance;
mod outcome;
mod record;
mod report;
mod salvage;
mod stage;
mod texts;
mod verdict;

pub use again::complete_commands;
pub use change::{Change, CommandFile, Repair, RepairResult, SqlStatement, SqlValue};
pub use check::{CheckError, CheckResult};
pub use event::{Event, PlannedStage, PlannedStep, Start};
pub use finding::{Evidence, Finding, Findings};
pub use governance::{Approval, AutonomyTier, Decision, Mode, PlaybookMeta, RiskLevel};
pub use outcome::{StepOutcome, StepReport, StepStatus};
pub use record::{BootRecord, RECORD_FORMAT_VERSION, RecordStage, RecordStep, RecordSummary};
pub use report::{BootReport, StageReport};
pub use salvage::{Lost, Method, SalvageReport, TableSalvage};
pub use stage::{OnFailure, StageId, StepId};
pub use verdict::{Ending, EndingKind, Verdict};

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";
