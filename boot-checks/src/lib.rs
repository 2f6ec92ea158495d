//! The boot gate: eight ordered stages of named checks, healing playbooks and evidence.
//!
//! The layers, from the ground up, stand in ARCHITECTURE.md; a test holds the modules to them.

pub mod checks;
pub mod config;
pub mod context;
pub mod engine;
pub mod harness;
pub mod host;
pub mod model;
pub mod patterns;
pub mod plan;
pub mod playbooks;
pub mod python;
pub mod report;
pub mod services;
pub mod training;
