//! Faults: real boots of real databases, killed or failed at real instants; afterwards a plain boot
//! has to be green and every row has to be there. Each test can be run alone:
//!
//! ```text
//! cargo test -p xtask --test faults                       # bounded: a sample of all instants
//! FAULTS=all cargo test -p xtask --test faults -- --nocapture   # every instant, with the figures
//! ```
//!
//! A test that needs a tool which is not there is ignored, with the reason, and counted as that
//! (`xtask/build.rs`); where `FAULTS_TOOLS=required` is set, as in CI, it fails.
#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures, for whoever runs the tests"
)]

mod boots;
mod clock;
mod concurrency;
mod control;
mod corruption;
mod damaged;
mod drift;
mod flushes;
mod foreign_log;
mod half_way;
mod held;
mod holders;
mod in_use;
mod instants;
mod leftovers;
mod meanwhile;
mod observed;
mod out_of_sight;
mod playbooks;
mod read_only;
mod readers;
mod replacing;
mod restore;
mod salvage;
mod salvage_copies;
mod salvage_counts;
mod salvage_keyed;
mod salvage_settings;
mod salvage_sweeps;
mod salvage_virtual;
mod sandbox;
mod shim;
mod signals;
mod small_disk;
mod spilled;
mod tool;
mod undo;
mod undo_beside;
mod undo_over_a_log;
mod unfinished;
