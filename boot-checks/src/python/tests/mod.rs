//! Small trees of Python files, one rule each, and the same trees imported by a real Python.

mod against_python;
mod calls;
mod fixes;
mod imports;
mod noise;

use std::path::Path;

use super::{Project, SourceReport, analyse};

/// Writes `(path, text)` pairs below a fresh folder.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn project(root: &Path) -> Project {
    Project {
        root: root.to_owned(),
        packages: vec!["app".to_owned()],
        ..Project::default()
    }
}

fn report(files: &[(&str, &str)]) -> SourceReport {
    let folder = tree(files);
    analyse(&project(folder.path())).unwrap()
}

/// `module:line code subject`, one line for each problem.
fn lines(report: &SourceReport) -> Vec<String> {
    let line = |problem: &super::Problem| {
        let finding = crate::model::Finding::from(problem);
        format!(
            "{}:{} {}: {}",
            problem.module, problem.place.line, finding.code, finding.message
        )
    };
    report.problems.iter().map(line).collect()
}
