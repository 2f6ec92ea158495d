//! What can be computed when the project is built is not computed at boot.

#[path = "build/migrations.rs"]
mod migrations;
// The very code that reads a structure at boot also describes the expected one.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "src/model/mod.rs"]
mod model;
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "build/services.rs"]
mod services;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    migrations::generate(std::path::Path::new("../migrations"), &out)
}
