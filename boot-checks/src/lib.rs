//! The boot gate: eight ordered stages of named checks, healing playbooks and evidence.
//!
//! The layers, from the ground up, stand in ARCHITECTURE.md; a test holds the modules to them.

pub mod config;
pub mod model;
pub mod patterns;
