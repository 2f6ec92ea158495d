//! Embeds the states that are replayed: `replay.toml` and the files below `root/`, of each pattern
//! and of each state in which nothing is to be healed. A mistake in one fails the build, with its
//! file and line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[allow(dead_code, unreachable_pub)]
#[path = "../src/patterns/fixture.rs"]
mod fixture;

use fixture::{Fixture, Outcome};

/// Writes the tables `PATTERNS` and `CONTROLS` to `out`.
pub(crate) fn generate(patterns: &Path, controls: &Path, out: &Path) -> Result<(), String> {
    let mut code = String::new();
    for (name, folder, is_control) in [("PATTERNS", patterns, false), ("CONTROLS", controls, true)]
    {
        println!("cargo:rerun-if-changed={}", folder.display());
        let _ = writeln!(code, "static {name}: &[Embedded] = &[");
        for entry in folders(folder)? {
            code.push_str(&source(&entry, is_control)?);
        }
        code.push_str("];\n");
    }
    std::fs::write(out, code).map_err(|error| format!("{}: {error}", out.display()))
}

fn source(folder: &Path, is_control: bool) -> Result<String, String> {
    let file = folder.join("replay.toml");
    println!("cargo:rerun-if-changed={}", file.display());
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let fixture = Fixture::parse(&text).map_err(|(at, problem)| {
        let line = text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
        format!("{}:{line}: {problem}", file.display())
    })?;
    if (fixture.expect.outcome == Outcome::NoHeal) != is_control {
        let problem = "a state without a heal stands below controls/, and no other does";
        return Err(format!("{}: {problem}", file.display()));
    }
    let id = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut files = Vec::new();
    let root = folder.join("root");
    if root.is_dir() {
        println!("cargo:rerun-if-changed={}", root.display());
        walk(&root, &mut files)?;
    }
    let mut code = format!("Embedded {{ id: {id:?}, text: {text:?}, files: &[");
    for path in files {
        let name = path.strip_prefix(&root).unwrap_or(&path);
        let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        let path = path.display().to_string();
        let _ = write!(code, "({:?}, include_bytes!({path:?})),", name.join("/"));
    }
    code.push_str("] },\n");
    Ok(code)
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut all: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    all.sort();
    Ok(all)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let mut all = entries(folder)?;
    all.sort();
    for path in all {
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::read_dir(folder)
        .map_err(problem)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(problem))
        .collect()
}
