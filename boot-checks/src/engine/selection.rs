use crate::model::{StageId, StepId};
use crate::plan;

/// Which steps a run is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only steps whose name contains this, or is this where `exact` is set.
    pub filter: Option<String>,
    /// Whether `filter` is a whole name.
    pub exact: bool,
    /// No step whose name contains one of these.
    pub skip: Vec<String>,
    /// Only steps of these stages.
    pub stages: Vec<StageId>,
    /// Only steps that this playbook may heal.
    pub playbook: Option<&'static str>,
}

/// A name that no step and no stage has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no check is named `{name}`")]
pub struct SelectionError {
    /// What was typed.
    pub name: String,
    /// What it may have meant.
    pub suggestion: Option<String>,
}

impl Selection {
    /// Checks the names against the plan.
    ///
    /// # Errors
    ///
    /// The first name that selects nothing, with what may have been meant.
    pub fn validate(&self) -> Result<(), SelectionError> {
        let filter = self.filter.iter().map(|filter| (filter, self.exact));
        for (name, exact) in filter.chain(self.skip.iter().map(|skip| (skip, self.exact))) {
            if !plan::step_ids().any(|id| matches(id, name, exact)) {
                return Err(SelectionError {
                    name: name.clone(),
                    suggestion: nearest(name),
                });
            }
        }
        Ok(())
    }

    /// Whether a step is asked for.
    pub fn includes(&self, id: StepId) -> bool {
        let in_stage = self.stages.is_empty() || self.stages.contains(&id.stage);
        let kept = self
            .filter
            .as_ref()
            .is_none_or(|filter| matches(id, filter, self.exact));
        let healed = self
            .playbook
            .is_none_or(|name| plan::may_be_healed_by(id, name));
        in_stage && kept && healed && !self.skips(id)
    }

    /// Why a step is left out of the run; none where it is run. What a selected step needs is run
    /// even where it was not asked for.
    pub fn reason_to_skip(&self, id: StepId) -> Option<String> {
        if self.skips(id) {
            return Some("left out by --skip".to_owned());
        }
        if self.includes(id) || self.is_needed(id) {
            return None;
        }
        Some("not asked for".to_owned())
    }

    fn is_needed(&self, id: StepId) -> bool {
        let aborts =
            plan::step(id).is_some_and(|step| step.on_failure == crate::model::OnFailure::Abort);
        aborts && plan::step_ids().any(|other| other.stage > id.stage && self.includes(other))
    }

    fn skips(&self, id: StepId) -> bool {
        self.skip.iter().any(|skip| matches(id, skip, self.exact))
    }
}

fn matches(id: StepId, name: &str, exact: bool) -> bool {
    let full = id.to_string();
    if exact {
        full == name
    } else {
        full.contains(name)
    }
}

/// The name that takes the fewest edits, where few are enough to have been meant.
fn nearest(name: &str) -> Option<String> {
    plan::step_ids()
        .flat_map(|id| {
            [
                id.to_string(),
                id.name.to_owned(),
                id.stage.slug().to_owned(),
            ]
        })
        .map(|candidate| (strsim::damerau_levenshtein(&candidate, name), candidate))
        .min()
        .filter(|(edits, candidate)| *edits <= candidate.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(selection: &Selection) -> Vec<String> {
        plan::step_ids()
            .filter(|id| selection.reason_to_skip(*id).is_none())
            .map(|id| id.to_string())
            .collect()
    }

    #[test]
    fn everything_is_run_unless_asked_otherwise() {
        assert_eq!(run(&Selection::default()).len(), plan::step_ids().count());
    }

    #[test]
    fn a_filter_brings_what_it_needs() {
        let filter = Selection {
            filter: Some("codec::emoji".to_owned()),
            ..Selection::default()
        };
        let run = run(&filter);
        assert!(run.contains(&"codec::emoji".to_owned()));
        assert!(
            run.contains(&"preflight::database_exists".to_owned()),
            "an earlier aborting step"
        );
        assert!(!run.contains(&"codec::unicode".to_owned()));
        assert!(
            !run.contains(&"preflight::port_free".to_owned()),
            "nobody needs a warning"
        );
    }

    #[test]
    fn what_is_skipped_is_skipped_even_where_it_is_needed() {
        let selection = Selection {
            skip: vec!["disk_space".to_owned()],
            ..Selection::default()
        };
        assert!(!run(&selection).contains(&"preflight::disk_space".to_owned()));
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let unknown = |name: &str| Selection {
            filter: Some(name.to_owned()),
            exact: true,
            ..Selection::default()
        };
        let error = unknown("preflight::database_exist").validate().unwrap_err();
        assert_eq!(
            error.suggestion.as_deref(),
            Some("preflight::database_exists")
        );
        let error = unknown("zzzzzzzzzzzzzzzzzzzzzz").validate().unwrap_err();
        assert_eq!(error.suggestion, None);
    }
}
