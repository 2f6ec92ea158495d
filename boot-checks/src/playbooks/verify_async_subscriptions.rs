//! Shows that every subscription of the trigger mesh receives and acknowledges a probe: looking is the
//! check's work. Where the application's source throws a coroutine away, it proposes to await it, inside
//! of a coroutine and only there; such an edit waits for a person, whatever this playbook's own tier is.

use super::fix_circular_imports::{edits, no_sources};
use super::{Plan, PlanError, Playbook};
use crate::context::Context;
use crate::model::{AutonomyTier, Finding, PlaybookMeta, RiskLevel};
use crate::python::{Problem, ProblemKind, propose_await_fixes};

const META: PlaybookMeta = PlaybookMeta {
    id: "verify_async_subscriptions",
    description: "Check await usage",
    risk: RiskLevel::Low,
    tier: AutonomyTier::Auto,
    fixes: &["subscription_deaf", "coroutine_not_awaited"],
    registered: true,
};

pub(super) struct VerifyAsyncSubscriptions;

impl Playbook for VerifyAsyncSubscriptions {
    fn meta(&self) -> &'static PlaybookMeta {
        &META
    }

    fn plan(&self, cx: &Context, problems: &[Finding]) -> Result<Plan, PlanError> {
        let not = |reason: String| Err(PlanError::NotApplicable(reason));
        if problems.iter().any(|it| it.code == "subscription_deaf") {
            return not(
                "a subscriber that does not acknowledge is a fault in its source".to_owned(),
            );
        }
        let project = cx.project().map_err(no_sources)?;
        let calls = cx.sources().map_err(no_sources)?.lost_coroutines();
        if let Some(outside) = calls.iter().find(|call| !is_in_coroutine(call)) {
            let place = format!("{}:{}", outside.file.display(), outside.place.line);
            return not(format!(
                "{place} stands in no coroutine, where nothing can be awaited; a person has to \
                 schedule it or to make the function `async`"
            ));
        }
        match propose_await_fixes(&project, &calls) {
            Some(proposals) => edits(cx, &proposals),
            None => not("with `await` the source would have other problems".to_owned()),
        }
    }
}

fn is_in_coroutine(call: &Problem) -> bool {
    matches!(
        call.kind,
        ProblemKind::CoroutineNotAwaited {
            in_coroutine: true,
            ..
        }
    )
}
