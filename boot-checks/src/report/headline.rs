//! What is told first of every boot, from the boot itself or from its record.

use super::page::Tag;
use super::words::{count, meaning, one_line};
use crate::model::{BootReport, Ending, EndingKind, StepStatus, Verdict};

/// How a boot ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headline<'a> {
    pub(super) application: &'a str,
    /// None where it did not come to its end.
    pub(super) ending: Option<EndingKind>,
    /// None where a record has a word that nobody knows.
    pub(super) verdict: Option<Verdict>,
    pub(super) is_partial: bool,
    /// Steps that warned or could not look.
    pub(super) warnings: usize,
}

impl<'a> From<&'a BootReport> for Headline<'a> {
    fn from(report: &'a BootReport) -> Headline<'a> {
        Headline {
            application: &report.start.application,
            ending: report.ending.as_ref().map(Ending::kind),
            verdict: Some(report.verdict()),
            is_partial: report.start.is_partial(),
            warnings: report.count(StepStatus::Warn) + report.count(StepStatus::Error),
        }
    }
}

impl Headline<'_> {
    /// `BOOT PIPELINE SUCCESS (1 warning)`, with the tag that has its colour.
    pub(super) fn line(&self) -> (Tag, String) {
        let is_green = matches!(
            self.verdict,
            Some(Verdict::MayStart | Verdict::WarningsUnderStrict)
        );
        // Where there is worse to tell, warnings are not counted.
        let with_warnings = match self.warnings {
            number if number > 0 && is_green => format!(" ({})", count(number, "warning")),
            _ => String::new(),
        };
        let what = if self.is_partial {
            "PARTIAL RUN"
        } else {
            "BOOT PIPELINE"
        };
        let (tag, word) = match (self.ending, self.verdict) {
            (Some(EndingKind::Interrupted), _) => (Tag::Fail, "INTERRUPTED"),
            (Some(EndingKind::Panicked), _) => (Tag::Fail, "CRASHED"),
            (Some(EndingKind::Refused), _) => (Tag::Fail, "REFUSED"),
            (Some(EndingKind::Aborted), _) => (Tag::Fail, "ABORTED"),
            (None, _) => (Tag::Fail, "UNFINISHED"),
            (Some(EndingKind::Completed), Some(Verdict::MayStart)) if self.is_partial => {
                (Tag::Ok, "PASSED")
            }
            (Some(EndingKind::Completed), Some(Verdict::MayStart)) => (Tag::Ok, "SUCCESS"),
            (Some(EndingKind::Completed), Some(Verdict::NothingChecked)) => {
                (Tag::Fail, "CHECKED NOTHING")
            }
            (Some(EndingKind::Completed), _) => (Tag::Fail, "FAILED"),
        };
        let tag = if tag == Tag::Ok && self.warnings > 0 {
            Tag::Warn
        } else {
            tag
        };
        (tag, format!("{what} {word}{with_warnings}"))
    }

    /// What the verdict means for this application.
    pub(super) fn meaning(&self) -> String {
        match self.verdict {
            None => "its verdict is not known to this gate".to_owned(),
            Some(Verdict::MayStart) if self.is_partial => "the steps that were run hold".to_owned(),
            Some(Verdict::WarningsUnderStrict) if self.is_partial => {
                "the steps that were run gave warnings".to_owned()
            }
            Some(verdict) => {
                meaning(verdict).replace("the application", &one_line(self.application))
            }
        }
    }
}
