//! Can the check marks be printed with which Grace marks its log lines?

use super::fits;
use crate::checks::Check;
use crate::context::Context;
use crate::model::CheckResult;

/// See the module.
pub struct Emoji;

impl Check for Emoji {
    fn title(&self) -> &'static str {
        "Emoji output"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        fits(cx, "\u{2705}", "U+2705 (white heavy check mark)")
    }
}
