use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::place::Place;
use crate::model::Finding;

/// What the analysis saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceReport {
    /// Figures.
    pub counts: Counts,
    /// What would crash on import, each root cause once, or never run.
    pub problems: Vec<Problem>,
    /// Modules of the packages that fail on import, each with the index of the problem that it meets first.
    pub failing_modules: BTreeMap<String, usize>,
    /// Import cycles that fail from no entry.
    pub harmless_cycles: Vec<Vec<String>>,
}

/// Figures of one analysis.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Python files read.
    pub files: usize,
    /// Their lines.
    pub lines: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Files that do not parse.
    pub parse_failures: usize,
    /// Modules of the packages, each judged as an entry of its own.
    pub modules: usize,
    /// Imports that were not judged, by reason.
    pub unjudged: BTreeMap<String, usize>,
}

/// One step on the way from the entry to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The module that imports.
    pub module: String,
    /// The line of the import.
    pub line: u32,
}

/// A problem in a source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    #[serde(flatten)]
    pub kind: ProblemKind,
    /// The file, relative to the root where it lies in it.
    pub file: PathBuf,
    /// Where in the file.
    #[serde(flatten)]
    pub place: Place,
    /// The module that the file is.
    pub module: String,
    /// Imports from the entry to the module, the entry first; empty: the module itself is the entry.
    pub chain: Vec<Link>,
    /// Whether an entry point reaches it.
    pub reached_by_entry_point: bool,
    /// Modules that cannot be imported because of it.
    pub fails: Vec<String>,
    /// What to write instead.
    pub suggestion: Option<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum ProblemKind {
    /// A module of the application does not exist.
    MissingInternalModule {
        /// The module.
        wanted: String,
    },
    /// A relative import climbs above the top-level package.
    #[serde(rename = "missing_internal_module")]
    RelativeBeyondTop {
        /// As written.
        wanted: String,
    },
    /// A module exists, but not the name.
    ImportNameMissing {
        /// The module.
        from: String,
        /// The name.
        name: String,
    },
    /// The module that is started exists, but not what the server asks it for.
    #[serde(rename = "entry_point_name_missing")]
    EntryPointName {
        /// The module.
        asked: String,
        /// The name.
        name: String,
    },
    /// A file does not parse.
    SyntaxError {
        /// The parser's message.
        message: String,
    },
    /// A file, or the folder of a module, is there and the system does not let it be read.
    SourceUnreadable {
        /// The file or folder, relative to the root where it lies in it.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A package is not installed in the environment.
    MissingDependency {
        /// The package's module.
        wanted: String,
    },
    /// A name is imported from a module whose import has not got that far.
    ImportCycle {
        /// The module that is still being imported.
        from: String,
        /// The name.
        name: String,
        /// The modules on the way round.
        cycle: Vec<String>,
    },
    /// A coroutine is made and thrown away.
    CoroutineNotAwaited {
        /// The call as written.
        call: String,
        /// Where the coroutine is defined: `module.Class.method`.
        defined: String,
        /// Whether `await` may stand there.
        in_coroutine: bool,
        /// Byte offset of the call in the file's text.
        offset: u32,
    },
}

impl ProblemKind {
    /// The stable name of this kind of problem.
    pub fn code(&self) -> &'static str {
        match self {
            ProblemKind::MissingInternalModule { .. } | ProblemKind::RelativeBeyondTop { .. } => {
                "missing_internal_module"
            }
            ProblemKind::ImportNameMissing { .. } => "import_name_missing",
            ProblemKind::EntryPointName { .. } => "entry_point_name_missing",
            ProblemKind::SyntaxError { .. } => "syntax_error",
            ProblemKind::SourceUnreadable { .. } => "source_unreadable",
            ProblemKind::MissingDependency { .. } => "missing_dependency",
            ProblemKind::ImportCycle { .. } => "import_cycle",
            ProblemKind::CoroutineNotAwaited { .. } => "coroutine_not_awaited",
        }
    }

    fn message(&self) -> String {
        match self {
            ProblemKind::MissingInternalModule { wanted } => format!("no module named '{wanted}'"),
            ProblemKind::RelativeBeyondTop { wanted } => {
                format!("relative import '{wanted}' leads above the top-level package")
            }
            ProblemKind::ImportNameMissing { from, name } => {
                format!("cannot import name '{name}' from '{from}'")
            }
            ProblemKind::EntryPointName { asked, name } => {
                format!("'{asked}' has no '{name}', which the entry point names")
            }
            ProblemKind::SyntaxError { message } => format!("file does not parse: {message}"),
            ProblemKind::SourceUnreadable { path, reason } => {
                format!("{} cannot be read: {reason}", path.display())
            }
            ProblemKind::MissingDependency { wanted } => {
                format!("dependency '{wanted}' is not installed")
            }
            ProblemKind::ImportCycle { from, name, .. } => {
                format!(
                    "cannot import name '{name}' from '{from}', whose own import is still under way"
                )
            }
            ProblemKind::CoroutineNotAwaited { call, .. } => {
                format!("coroutine '{call}' is never awaited")
            }
        }
    }

    /// Why it is so.
    fn cause(&self) -> &'static str {
        match self {
            ProblemKind::MissingInternalModule { .. } => {
                "the module was moved, renamed or deleted, and this import was left behind"
            }
            ProblemKind::RelativeBeyondTop { .. } => {
                "there are more dots than packages around this file"
            }
            ProblemKind::ImportNameMissing { .. } => {
                "the module is there and defines no such name: it was moved, renamed or deleted"
            }
            ProblemKind::EntryPointName { .. } => {
                "the server asks the module for it once that is imported"
            }
            ProblemKind::SyntaxError { .. } => "Python refuses the whole file",
            ProblemKind::SourceUnreadable { .. } => {
                "importing it opens it, and that fails for this user; only what Python compiled earlier \
                 (__pycache__) could stand in for a file"
            }
            ProblemKind::MissingDependency { .. } => {
                "the environment holds no package that provides it"
            }
            ProblemKind::ImportCycle { .. } => {
                "the modules import each other, and this one runs before the name is bound"
            }
            ProblemKind::CoroutineNotAwaited { .. } => {
                "calling a coroutine only makes it; nothing of it ever runs"
            }
        }
    }

    /// The next step where nothing more exact is known.
    fn next_step(&self) -> String {
        match self {
            ProblemKind::MissingInternalModule { wanted } => {
                format!("restore '{wanted}', or take this import out: no module is like it")
            }
            ProblemKind::RelativeBeyondTop { .. } => {
                "write the import from the top-level package on".to_owned()
            }
            ProblemKind::ImportNameMissing { from, name } => {
                format!("define '{name}' in '{from}', or take this import out: no module has it")
            }
            ProblemKind::EntryPointName { asked, name } => {
                format!("define '{name}' in '{asked}', or correct the entry point")
            }
            ProblemKind::SyntaxError { .. } => "correct the line".to_owned(),
            ProblemKind::SourceUnreadable { path, .. } => format!(
                "let the user that starts the application read {}, and boot as that user",
                path.display()
            ),
            ProblemKind::MissingDependency { wanted } => {
                format!("install the package that provides '{wanted}'")
            }
            ProblemKind::ImportCycle { .. } => {
                "see the edit that `cargo xtask heal fix_circular_imports --plan` proposes, or \
                 import the name inside the function that uses it"
                    .to_owned()
            }
            ProblemKind::CoroutineNotAwaited { .. } => "await it, or schedule it".to_owned(),
        }
    }

    fn pattern(&self) -> Option<&'static str> {
        match self {
            ProblemKind::ImportCycle { .. } => Some("circular_import_avn_models"),
            ProblemKind::CoroutineNotAwaited { .. } => Some("trigger_mesh_unawaited"),
            // What its owner or its permission bits are, no message of Python says.
            ProblemKind::SourceUnreadable { .. } => None,
            // No import is to be corrected.
            ProblemKind::EntryPointName { .. } => None,
            other => Some(other.code()),
        }
    }

    /// Whether the problem stops an import.
    pub fn stops_import(&self) -> bool {
        !matches!(self, ProblemKind::CoroutineNotAwaited { .. })
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Finding {
        let file = problem.file.display();
        let place = match &problem.kind {
            // No line of it is at fault.
            ProblemKind::EntryPointName { .. } => file.to_string(),
            _ => format!("{file}:{}:{}", problem.place.line, problem.place.column),
        };
        let message = match &problem.kind {
            ProblemKind::SyntaxError { message } => {
                format!("{} does not parse: {message}", problem.file.display())
            }
            kind => kind.message(),
        };
        let mut finding = Finding::new(problem.kind.code(), message).evidence("place", place);
        if !problem.chain.is_empty() {
            let steps: Vec<String> = problem
                .chain
                .iter()
                .map(|link| format!("{}:{}", link.module, link.line))
                .collect();
            finding = finding.evidence("imported through", steps.join(" -> "));
        }
        match &problem.kind {
            ProblemKind::ImportCycle { cycle, .. } => {
                finding = finding.evidence("cycle", cycle.join(" -> "))
            }
            ProblemKind::CoroutineNotAwaited { defined, .. } => {
                finding = finding.evidence("defined", defined)
            }
            _ => {}
        }
        if !problem.fails.is_empty() {
            finding = finding.evidence("modules that fail", problem.fails.len());
        }
        let action = problem.suggestion.clone();
        finding = finding
            .cause(problem.kind.cause())
            .action(action.unwrap_or_else(|| problem.kind.next_step()));
        match problem.kind.pattern() {
            Some(pattern) => finding.pattern(pattern),
            None => finding,
        }
    }
}
