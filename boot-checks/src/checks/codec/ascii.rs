//! Does plain text arrive? The gate's own output is the application's output: where the gate cannot
//! write, neither can it.

use super::fits;
use crate::checks::Check;
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};

/// See the module.
pub struct Ascii;

impl Check for Ascii {
    fn title(&self) -> &'static str {
        "ASCII output"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        if cx.host.output_is_broken() {
            return Ok(Findings::problem(
                Finding::new("output_broken", "the output cannot be written")
                    .action("check where the output goes: a full disk, or a closed descriptor"),
            ));
        }
        let printable: String = (b' '..=b'~').map(char::from).collect();
        fits(cx, &printable, "ASCII")
    }
}
