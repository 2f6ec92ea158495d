//! The verdicts against a real Python: every module of generated trees is imported in an interpreter of its own.

use std::process::Command;

use super::{project, tree};
use crate::python::analyse;

const IMPORTS: [&str; 14] = [
    "from app.m{n} import f{n}",
    "from app.m{n} import gone",
    "import app.m{n}",
    "from . import m{n}",
    "from .m{n} import f{n} as g",
    "try:\n    from app.m{n} import gone\nexcept ImportError:\n    gone = None",
    "try:\n    from app.m{n} import f{n}\nexcept ImportError:\n    from app.m{n} import late",
    "if len('x') == 2:\n    import app.gone",
    "def inner():\n    from app.m{n} import gone",
    "from app.m{n} import *",
    "from app import m{n}, f0",
    "try:\n    import app.gone\nfinally:\n    late = 1",
    "from ..m{n} import f{n}",
    "class C:\n    from app.m{n} import late",
];

#[test]
fn python_agrees_with_every_verdict() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !Command::new(&python)
        .arg("-c")
        .arg("")
        .status()
        .is_ok_and(|status| status.success())
    {
        #[allow(clippy::print_stderr)] // a skipped comparison must be seen
        {
            eprintln!("skipped: no python3 on PATH");
        }
        return;
    }
    let mut state = 7_u64;
    let mut next = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below
    };
    for round in 0..4 {
        let mut files = vec![("app/__init__.py".to_owned(), "f0 = 1\n".to_owned())];
        for module in 0..6 {
            let mut text = String::from("'''A module.'''\n");
            let lines = next(3);
            for line in 0..=lines {
                if line == lines.min(1) {
                    text.push_str(&format!("def f{module}():\n    pass\n"));
                }
                let import = IMPORTS[if next(3) == 0 {
                    next(14)
                } else {
                    [0, 2, 3, 4, 7, 8][next(6)]
                }];
                text.push_str(&import.replace("{n}", &next(6).to_string()));
                text.push('\n');
            }
            text.push_str("late = 1\n");
            files.push((format!("app/m{module}.py"), text));
        }
        let borrowed: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        let folder = tree(&borrowed);
        let report = analyse(&project(folder.path())).unwrap();
        for module in 0..6 {
            let name = format!("app.m{module}");
            let output = Command::new(&python)
                .args(["-B", "-c", &format!("import {name}")])
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert_eq!(
                report.failing_modules.contains_key(&name),
                !output.status.success(),
                "round {round}, {name}: {}\n{files:#?}",
                String::from_utf8_lossy(&output.stderr),
            );
        }
    }
}
