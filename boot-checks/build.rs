//! Turns the folders of data beside the crates into tables that are compiled in.
// A build script speaks to cargo through its standard output.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

#[path = "build/patterns.rs"]
mod patterns;

fn main() -> ExitCode {
    let here = PathBuf::from(env("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env("OUT_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    match patterns::generate(&here.join("../fixtures/patterns"), &out.join("patterns.rs")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
