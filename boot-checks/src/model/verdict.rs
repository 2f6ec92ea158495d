use serde::{Deserialize, Serialize};

use super::StepId;

/// How a boot came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every planned stage had its turn.
    Completed,
    /// A step that must hold did not.
    Aborted {
        /// The first such step.
        by: StepId,
    },
    /// A signal asked the gate to stop.
    Interrupted {
        /// Such as `SIGTERM`.
        signal: &'static str,
    },
    /// A check or the gate itself broke.
    Panicked {
        /// What it said.
        message: String,
    },
    /// The boot never began.
    Refused {
        /// What that means for the exit code.
        verdict: Verdict,
        /// Why, with the next step.
        reason: String,
    },
}

impl Ending {
    /// Which kind of ending it is.
    pub fn kind(&self) -> EndingKind {
        match self {
            Ending::Completed => EndingKind::Completed,
            Ending::Aborted { .. } => EndingKind::Aborted,
            Ending::Interrupted { .. } => EndingKind::Interrupted,
            Ending::Panicked { .. } => EndingKind::Panicked,
            Ending::Refused { .. } => EndingKind::Refused,
        }
    }
}

/// An [`Ending`] without what it was about, as a record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndingKind {
    /// Every planned stage had its turn.
    Completed,
    /// A step that must hold did not.
    Aborted,
    /// A signal asked the gate to stop.
    Interrupted,
    /// A check or the gate itself broke.
    Panicked,
    /// The boot never began.
    Refused,
}

impl EndingKind {
    /// The word for machines.
    pub fn word(self) -> &'static str {
        match self {
            EndingKind::Completed => "completed",
            EndingKind::Aborted => "aborted",
            EndingKind::Interrupted => "interrupted",
            EndingKind::Panicked => "panicked",
            EndingKind::Refused => "refused",
        }
    }
}

/// The answer to "may the application start?". Each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may; there may be warnings.
    MayStart,
    /// It must not.
    Blocked,
    /// The command line could not be understood.
    Usage,
    /// It must not, and a heal was begun, did not help, and was taken back or could not be.
    HealFailed,
    /// Nothing was checked, so nothing is known.
    NothingChecked,
    /// It could start but for warnings, and `--strict` was asked for.
    WarningsUnderStrict,
    /// Another boot holds the lock.
    LockHeld,
    /// A heal needs an approval, or the plan changed since it was shown.
    NeedsApproval,
    /// A fault of the gate itself.
    Bug,
    /// The configuration could not be understood.
    Config,
}

impl Verdict {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::MayStart => 0,
            Verdict::Blocked => 1,
            Verdict::Usage => 2,
            Verdict::HealFailed => 3,
            Verdict::NothingChecked => 4,
            Verdict::WarningsUnderStrict => 5,
            Verdict::LockHeld => 7,
            Verdict::NeedsApproval => 8,
            Verdict::Bug => 70,
            Verdict::Config => 78,
        }
    }

    /// The word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::MayStart => "may-start",
            Verdict::Blocked => "blocked",
            Verdict::Usage => "usage",
            Verdict::HealFailed => "heal-failed",
            Verdict::NothingChecked => "nothing-checked",
            Verdict::WarningsUnderStrict => "warnings-under-strict",
            Verdict::LockHeld => "lock-held",
            Verdict::NeedsApproval => "needs-approval",
            Verdict::Bug => "bug",
            Verdict::Config => "config",
        }
    }
}
