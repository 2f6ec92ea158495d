//! What a boot looks like to people and machines. Everything here is a pure function of the model;
//! secrets were taken out before.

mod attempt;
mod console;
mod format;
mod headline;
mod json;
mod junit;
mod page;
mod past;
mod prometheus;
#[cfg(test)]
pub(crate) mod sample;
mod stage_end;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use console::{Console, pretty};
pub use format::{Format, UnknownFormat};
pub use json::{json, record_json};
pub use junit::junit;
pub use page::Style;
pub use past::past;
pub use prometheus::prometheus;
pub use text::text;
pub use words::{meaning, printable};
