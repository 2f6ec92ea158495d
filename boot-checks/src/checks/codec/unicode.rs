//! Can text in other scripts be printed, such as names that users enter?

use super::fits;
use crate::checks::Check;
use crate::context::Context;
use crate::model::CheckResult;

/// See the module.
pub struct Unicode;

impl Check for Unicode {
    fn title(&self) -> &'static str {
        "Unicode output"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        fits(cx, "\u{65e5}\u{672c}\u{8a9e}", "U+65E5 U+672C U+8A9E")
    }
}
