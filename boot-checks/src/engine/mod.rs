//! Runs a boot: decides, heals, and tells what happened.

mod redact;

pub use redact::Redactor;
