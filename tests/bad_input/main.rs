//! What goes wrong: known ways in which boot gates have failed, and bad input. Each case names what
//! was wrong, why, and the next step, with the documented exit code.
#![cfg(unix)]
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a suite speaks to its terminal"
)]

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod configuration;
mod databases;
mod encodings;
mod evidence;
mod interrupted;
mod locks;
mod names;
mod output;
mod permissions;
mod places;
mod secrets;
mod strangers;
