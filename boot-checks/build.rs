//! What can be computed when the project is built is not computed at boot: the migrations with the
//! structure that they lead to, and the catalogue of known incidents.
// A build script speaks to cargo through its standard output.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

#[path = "build/fixtures.rs"]
mod fixtures;
#[path = "build/metadata.rs"]
mod metadata;
#[path = "build/migrations.rs"]
mod migrations;
// The very code that reads a structure at boot also describes the expected one.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "src/model/mod.rs"]
mod model;
#[path = "build/patterns.rs"]
mod patterns;
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "build/services.rs"]
mod services;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    migrations::generate(&here.join("../migrations"), &out)?;
    let patterns = here.join("../fixtures/patterns");
    let known = patterns::generate(&patterns, &out.join("patterns.rs"))?;
    std::fs::write(out.join("metadata.json"), metadata::file(&known))?;
    let controls = here.join("../fixtures/controls");
    fixtures::generate(&patterns, &controls, &out.join("fixtures.rs"))?;
    Ok(())
}
