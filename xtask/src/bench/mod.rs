//! Measurements against the tools of the field.

pub(crate) mod python;
