//! Can what is launched be imported? Its unguarded imports are followed as Python would follow them,
//! without running anything.
//!
//! Most starts that fail, fail here: a module or a name that a move or an edit left behind. Such an
//! import is a person's to correct; a cycle may be broken by `fix_circular_imports`.

use crate::checks::Check;
use crate::checks::support::{ask_sources, counted};
use crate::config::{PythonConfig, Source};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::python::{Problem, ProblemKind};

/// See the module.
pub struct EntryPointImports;

impl Check for EntryPointImports {
    fn title(&self) -> &'static str {
        "Entry point imports"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        ask_sources(cx, |python, sources| {
            let Some(entry) = &python.entry_point else {
                return Findings::not_applicable("boot.toml names no entry point");
            };
            let problems = sources.entry_problems().into_iter();
            let problems = problems.map(|problem| finding(python, entry, &problem));
            let observed = format!("{entry}, {} read", counted(sources.files(), "file"));
            Findings::from_problems(problems.collect(), observed)
        })
    }
}

/// What the server asks for in vain, boot.toml says, and no import.
fn finding(python: &PythonConfig, entry: &str, problem: &Problem) -> Finding {
    let finding = Finding::from(problem);
    let ProblemKind::EntryPointName { name, .. } = &problem.kind else {
        return finding;
    };
    let file = problem.file.display();
    let (cause, correct) = match python.source {
        Source::Default => (
            format!("`{entry}` is what is started where boot.toml names no entry_point"),
            "name another entry_point in boot.toml",
        ),
        _ => (
            format!("entry_point in boot.toml says `{entry}`"),
            "correct entry_point in boot.toml",
        ),
    };
    finding.cause(cause).action(match &problem.suggestion {
        Some(meant) => format!("{meant} as entry_point in boot.toml, or define {name} in {file}"),
        None => format!("define {name} in {file}, or {correct}"),
    })
}
