//! Can what is launched be imported? Its unguarded imports are followed as Python would follow them,
//! without running anything.
//!
//! Most starts that fail, fail here: a module or a name that a move or an edit left behind. Such an
//! import is a person's to correct; a cycle may be broken by `fix_circular_imports`.

use crate::checks::Check;
use crate::checks::support::{ask_sources, counted};
use crate::context::Context;
use crate::model::{CheckResult, Finding, Findings};

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
            let problems = sources.entry_problems();
            let observed = format!("{entry}, {} read", counted(sources.files(), "file"));
            Findings::from_problems(problems.iter().map(Finding::from).collect(), observed)
        })
    }
}
