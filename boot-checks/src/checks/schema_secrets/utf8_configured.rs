//! Will the application's output be UTF-8? `fix_unicode_logging` sets it, where nothing stronger
//! says otherwise.

use crate::checks::Check;
use crate::checks::support::cannot_look;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};

/// See the module.
pub struct Utf8Configured;

impl Check for Utf8Configured {
    fn title(&self) -> &'static str {
        "UTF-8 is configured"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let encoding = cx.output_encoding().map_err(cannot_look)?;
        let observed = format!("{} by {}", encoding.name, encoding.decided_by);
        let findings = if encoding.is_utf8() {
            Findings::healthy(observed)
        } else {
            Findings::problem(
                Finding::new(
                    "encoding_not_utf8",
                    format!("the output's encoding is {observed}"),
                )
                .cause("a character outside it stops a Python program with UnicodeEncodeError")
                .action(format!(
                    "set PYTHONIOENCODING=utf-8, or take {} away",
                    encoding.decided_by
                ))
                .pattern("unicode_logging_crash"),
            )
        };
        Ok(findings.fact("console_encoding", encoding.name))
    }
}
