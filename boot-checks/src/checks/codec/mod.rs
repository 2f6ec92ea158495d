//! Stage 5: whether the real output can carry what the application prints.

mod ascii;
mod emoji;
mod unicode;

pub use ascii::Ascii;
pub use emoji::Emoji;
pub use unicode::Unicode;

use crate::checks::support::cannot_look;
use crate::context::Context;
use crate::host::encoding::EncodeError;
use crate::model::{CheckError, CheckResult, Finding, Findings};

/// Whether this text fits through the encoding of the application's output.
fn fits(cx: &Context, text: &str, what: &str) -> CheckResult {
    let encoding = cx.output_encoding().map_err(cannot_look)?;
    match encoding.encode(text) {
        Ok(bytes) => Ok(Findings::healthy(format!(
            "{what} is {} bytes of {}",
            bytes.len(),
            encoding.name
        ))),
        Err(error @ EncodeError::Unknown(_)) => {
            Err(CheckError::new(error.to_string()).action(format!(
                "set {} to a known encoding, such as utf-8",
                encoding.decided_by
            )))
        }
        Err(error) if encoding.replaces => Ok(Findings::problem(
            Finding::new(
                "text_replaced",
                format!("{what} arrives as a replacement: {error}"),
            )
            .evidence("decided by", &encoding.decided_by),
        )),
        Err(error) => Ok(Findings::problem(
            Finding::new(
                "text_unprintable",
                format!("{what} cannot be printed: {error}"),
            )
            .evidence("decided by", &encoding.decided_by)
            .action("set PYTHONIOENCODING=utf-8 for the application")
            .pattern("unicode_logging_crash"),
        )),
    }
}
