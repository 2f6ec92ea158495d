//! Are the modules and classes there that the application cannot do without, and can they be imported?
//!
//! They are looked up in the source, or imported by the application's own interpreter where boot.toml
//! names one.

use crate::checks::Check;
use crate::checks::support::{ask_sources, cannot_look, counted};
use crate::config::{CriticalImport, PythonConfig, Source};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};
use crate::python::{RecordResolution, Sources};

/// See the module.
pub struct CriticalImports;

impl Check for CriticalImports {
    fn title(&self) -> &'static str {
        "Critical imports"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let imported = cx.imported().map_err(cannot_look)?;
        ask_sources(cx, |python, sources| {
            let wanted: Vec<&CriticalImport> = named(python, sources).collect();
            if wanted.is_empty() {
                return Findings::not_applicable("boot.toml names no imports");
            }
            let mut problems: Vec<Finding> = Vec::new();
            for one in &wanted {
                let found = problem(sources, one);
                if found.as_ref().is_none_or(|found| !problems.contains(found)) {
                    problems.extend(found);
                }
            }
            let names: Vec<&str> = wanted.iter().map(|one| one.name.as_str()).collect();
            let Some(imported) = &imported else {
                let observed = format!("{} in the source", counted(names.len(), "import"));
                return Findings::from_problems(problems, observed);
            };
            // Where the source says why, that says more than Python does.
            if problems.is_empty() {
                let failed = imported.iter().filter_map(|failure| {
                    Some(not_imported(&failure.name, failure.error.as_ref()?))
                });
                problems.extend(failed);
            }
            Findings::from_problems(problems, names.join(", "))
        })
    }
}

/// What is only a default counts where the application has it.
fn named<'p>(
    python: &'p PythonConfig,
    sources: &'p Sources,
) -> impl Iterator<Item = &'p CriticalImport> {
    let is_default = python.imports.source == Source::Default;
    let module = |one: &CriticalImport| one.name.split(':').next().unwrap_or_default().to_owned();
    let imports = python.imports.value.iter();
    imports.filter(move |one| !is_default || sources.has_module(&module(one)))
}

fn problem(sources: &Sources, wanted: &CriticalImport) -> Option<Finding> {
    let (module, class) = wanted.name.split_once(':').unwrap_or((&wanted.name, ""));
    if !sources.has_module(module) {
        let finding = Finding::new(
            "missing_internal_module",
            format!("no module named '{module}'"),
        );
        let nearest = sources.nearest_module(module);
        let finding = finding
            .evidence("named in", "boot.toml, [python.imports]")
            .cause("it was moved, renamed or deleted, and is still asked for")
            .action(match nearest {
                Some(nearest) => format!("restore it, or name the nearest module, '{nearest}'"),
                None => "restore it, or take the line out of boot.toml".to_owned(),
            });
        return Some(finding.pattern("missing_internal_module"));
    }
    if let Some(problem) = sources.module_problem(module) {
        return Some(Finding::from(&problem));
    }
    let is_missing = !class.is_empty()
        && matches!(
            sources.record(&wanted.name, &[]),
            RecordResolution::ClassMissing
        );
    is_missing.then(|| {
        let message = format!("cannot import name '{class}' from '{module}'");
        Finding::new("import_name_missing", message)
            .evidence("named in", "boot.toml, [python.imports]")
            .cause("the module is there and defines no such name")
            .action(match sources.home_of(module, class) {
                Some(home) => home,
                None => format!("define '{class}' in '{module}', or correct boot.toml"),
            })
            .pattern("import_name_missing")
    })
}

fn not_imported(name: &str, error: &str) -> Finding {
    Finding::new("import_failed", format!("'{name}' cannot be imported"))
        .evidence("python", error)
        .cause("the application's own interpreter tried, and raised this")
        .action("correct what the exception names, then boot again")
}
