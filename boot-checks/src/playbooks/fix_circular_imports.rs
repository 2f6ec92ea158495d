//! Resolves import loops in the application's source: a name is imported from the module that defines
//! it, or in the functions that use it. The edit is checked in memory before it is proposed, and a
//! person decides about it.

use super::{Plan, PlanError, Playbook};
use crate::context::{Context, NoSources};
use crate::model::{AutonomyTier, Change, Finding, PlaybookMeta, RiskLevel};
use crate::python::{EditProposal, Problem, propose_cycle_fixes};

const META: PlaybookMeta = PlaybookMeta {
    id: "fix_circular_imports",
    description: "Resolve import loops",
    risk: RiskLevel::High,
    tier: AutonomyTier::Approve,
    fixes: &["import_cycle"],
    registered: true,
};

/// Longest source file that is edited; the parser reads no longer one.
const SOURCE_BYTES_MAX: u64 = 16 << 20;

pub(super) struct FixCircularImports;

impl Playbook for FixCircularImports {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, problems: &[Finding]) -> Result<Plan, PlanError> {
        let project = cx.project().map_err(no_sources)?;
        let sources = cx.sources().map_err(no_sources)?;
        let python = cx.python().map_err(no_sources)?;
        let critical = python.imports.value.iter().filter_map(|one| {
            let module = one.name.split(':').next().unwrap_or_default();
            sources.module_problem(module)
        });
        let cycle = sources.entry_problems().into_iter().chain(critical);
        let cycle = cycle_of(cycle, problems)?;
        let proposals = propose_cycle_fixes(&project, &cycle).ok_or_else(|| {
            PlanError::NotApplicable(
                "no small edit is safe: the name is used while the module is imported, and no \
                 module outside of the cycle defines it; move what both need into a third module"
                    .to_owned(),
            )
        })?;
        edits(cx, &proposals)
    }
}

/// The cycle that these findings are about.
fn cycle_of(
    mut found: impl Iterator<Item = Problem>,
    problems: &[Finding],
) -> Result<Problem, PlanError> {
    let is_meant = |problem: &Problem| problems.contains(&Finding::from(problem));
    found
        .find(is_meant)
        .ok_or_else(|| PlanError::NotApplicable("the cycle is no longer there".to_owned()))
}

pub(super) fn no_sources(error: NoSources) -> PlanError {
    match error {
        NoSources::NotPython(reason) => PlanError::NotApplicable(reason),
        NoSources::Unreadable(error) => PlanError::CannotLook(error.to_string()),
    }
}

/// One change for each file.
pub(super) fn edits(cx: &Context, proposals: &[EditProposal]) -> Result<Plan, PlanError> {
    let mut changes = Vec::new();
    for proposal in proposals {
        let path = cx.config.root.join(&proposal.file);
        let name = proposal.file.display();
        let expected = crate::host::files::read_limited(&path, SOURCE_BYTES_MAX)
            .map_err(|error| PlanError::CannotLook(format!("{name}: {error}")))?;
        let edited = proposal.apply_to_bytes(&expected).ok_or_else(|| {
            let reason =
                format!("{name} changed just now, or its encoding is not UTF-8 or latin-1");
            PlanError::NotApplicable(reason)
        })?;
        changes.push(Change::EditFile {
            path,
            expected,
            edited,
            diff: proposal.diff.clone(),
        });
    }
    let summary: Vec<String> = proposals
        .iter()
        .map(|proposal| format!("{}: {}", proposal.file.display(), proposal.description))
        .collect();
    Ok(Plan {
        summary: summary.join("; "),
        changes,
    })
}
