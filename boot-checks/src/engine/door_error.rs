use std::io;
use std::path::PathBuf;

use crate::model::RepairResult;
use crate::services::command::CommandError;
use crate::services::db::DbError;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A copy of what would have been changed could not be made.
    #[error("cannot make a backup of {}: {source}", path.display())]
    Backup {
        /// The file, or the database's main file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The gate's own journal cannot be gone by: what cannot be told from it could not be taken back.
    #[error("cannot go by the gate's journal: {0}")]
    Journal(#[source] io::Error),
    /// What is there is no longer what the plan was made for.
    #[error("{} changed since it was looked at", .0.display())]
    Changed(PathBuf),
    /// The database said no.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Somebody else held the lock for as long as the boot could wait.
    #[error("the database is locked by {holder}; let it finish or stop it, then try again")]
    Locked {
        /// Who.
        holder: String,
        /// SQLite's reason.
        source: DbError,
    },
    /// The application's own tool gave no answer.
    #[error("{0}; {hint}", hint = .0.hint("command"))]
    Command(#[from] CommandError),
    /// The application's own tool failed.
    #[error("`{command}` failed ({status}){}", said(tail))]
    ToolFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        tail: String,
    },
    /// The plan cannot be carried out for this application.
    #[error("{0}")]
    NotPossible(String),
}

fn said(tail: &str) -> String {
    match tail {
        "" => " and said nothing; [migrations] in boot.toml names it as `command`".to_owned(),
        tail => match decisive(tail) {
            line if line == tail => format!(": {tail}"),
            line => format!(": {line}\n{tail}"),
        },
    }
}

/// The line that says what went wrong: of a Python traceback the first behind its last frame, for what follows may be
/// a statement or where to read about it; else the last.
fn decisive(tail: &str) -> &str {
    let lines: Vec<&str> = tail.lines().collect();
    let is_frame = |line: &&str| line.trim_start().starts_with("File \"");
    let frame = lines.iter().rposition(is_frame);
    let behind = frame.map_or(&[][..], |frame| &lines[frame + 1..]);
    let is_reason = |line: &&&str| !line.is_empty() && !line.starts_with(char::is_whitespace);
    let last = lines.iter().rev().find(|line| !line.trim().is_empty());
    behind
        .iter()
        .find(is_reason)
        .or(last)
        .map_or(tail, |line| line.trim_end())
}

impl DoorError {
    /// Whether a transaction or a tool had run: then something was begun, whatever it left.
    pub(super) fn has_run(&self) -> bool {
        match self {
            DoorError::Database(_) | DoorError::ToolFailed { .. } => true,
            DoorError::Command(error) => matches!(error, CommandError::TimedOut { .. }),
            DoorError::File { .. }
            | DoorError::Backup { .. }
            | DoorError::Journal(_)
            | DoorError::Changed(_)
            | DoorError::Locked { .. }
            | DoorError::NotPossible(_) => false,
        }
    }
}

/// Why a repair was not made.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: DoorError,
    /// What is left of it.
    pub left: Left,
    /// Whether all that it was to change was as before when it failed, with nothing to be taken back.
    pub(super) changed_nothing: bool,
}

impl Failure {
    /// In words, where somebody else changed what the plan was made for, and nothing is left of this one.
    pub(super) fn overtaken(&self) -> Option<String> {
        let is_overtaken = matches!(self.error, DoorError::Changed(_)) && self.left.is_nothing();
        is_overtaken.then(|| self.error.to_string())
    }

    /// The same where the application's own tool failed and did nothing: perhaps because somebody else had done its work.
    pub(super) fn may_be_overtaken(&self) -> Option<String> {
        let tool_failed = matches!(self.error, DoorError::ToolFailed { .. });
        let did_nothing = self.changed_nothing && self.left.is_nothing();
        (tool_failed && did_nothing).then(|| self.error.to_string())
    }
}

/// What is left of a repair that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing: it was refused before its first change, or that did nothing.
    Untouched,
    /// Nothing: what was begun of it was taken back.
    TakenBack,
    /// Something that could not be taken back; why, and where what was there before lies, where that is
    /// known.
    Something(Option<String>),
}

impl Left {
    /// Whether everything is as it was.
    pub fn is_nothing(&self) -> bool {
        !matches!(self, Left::Something(_))
    }

    /// Why something is left.
    pub fn stays(self) -> Option<String> {
        match self {
            Left::Something(stays) => stays,
            Left::Untouched | Left::TakenBack => None,
        }
    }
}

impl From<Failure> for RepairResult {
    fn from(failure: Failure) -> RepairResult {
        let error = failure.error.to_string();
        match failure.left {
            Left::Untouched => RepairResult::Refused { error },
            left => RepairResult::Failed {
                error,
                taken_back: left.is_nothing(),
                stays: left.stays(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_what_went_wrong_comes_first() {
        let traceback = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\n\
             sqlalchemy.exc.OperationalError: table orders already exists\n[SQL: CREATE TABLE orders (\n\tid INT\n)]\n\
             (Background on this error at: https://sqlalche.me/e/20/e3q8)";
        for (tail, said_first) in [
            (
                traceback,
                ": sqlalchemy.exc.OperationalError: table orders already exists\nTrace",
            ),
            (
                "INFO begun\nFAILED: no such revision\n",
                ": FAILED: no such revision\nINFO",
            ),
            ("half\n  File \"a.py\", line 1, in f", ":   File"),
        ] {
            let said = said(tail);
            assert!(said.starts_with(said_first), "{said}");
            assert!(said.ends_with(tail), "{said}");
        }
        assert_eq!(said("boom"), ": boom");
    }
}
