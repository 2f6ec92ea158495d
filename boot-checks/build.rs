//! What can be computed when the project is built is not computed at boot: the migrations with the
//! structure that they lead to, the catalogue of known incidents, and that of the metrics.
// A build script speaks to cargo through its standard output.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::{Path, PathBuf};
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
    autonomy(&here.join("src/services/autonomy.toml"), &out)?;
    Ok(())
}

/// The metrics catalogue in the form that is read fastest.
fn autonomy(source: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", source.display());
    let catalogue: toml::Table = toml::from_str(&std::fs::read_to_string(source)?)
        .map_err(|error| format!("{}: {error}", source.display()))?;
    let json = serde_json::to_string(&catalogue)?;
    Ok(std::fs::write(out.join("autonomy.json"), json)?)
}
