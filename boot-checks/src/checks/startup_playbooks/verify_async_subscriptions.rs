//! Does every subscription of the trigger mesh receive and acknowledge a probe, and does the
//! application's source throw away a coroutine that it should await?

use crate::checks::Check;
use crate::checks::core_services::DELIVERY_WAIT;
use crate::checks::support::{ask_sources, counted};
use crate::context::Context;
use crate::model::{CheckError, CheckResult, Finding, Findings};
use crate::services::mesh::{MeshError, MeshEvent, PROBE_TOPIC};

/// See the module.
pub struct AsyncSubscriptions;

impl Check for AsyncSubscriptions {
    fn title(&self) -> &'static str {
        "Playbook verify_async_subscriptions"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let probed = probe(cx)?;
        let source = lost_calls(cx)?;
        if source.not_applicable.is_some() {
            return Ok(probed);
        }
        let observed = format!("{}; {}", probed.observed, source.observed);
        let problems = [probed.problems, source.problems].concat();
        Ok(Findings::from_problems(problems, observed))
    }
}

/// Publishes a probe, which every subscription has to acknowledge.
fn probe(cx: &Context) -> CheckResult {
    let mesh = cx
        .mesh
        .get()
        .ok_or_else(|| CheckError::new("the trigger mesh is not started"))?;
    let probe = MeshEvent {
        topic: PROBE_TOPIC.to_owned(),
        payload: String::new(),
    };
    match mesh.publish(probe, DELIVERY_WAIT) {
        Ok(count) => Ok(Findings::healthy(format!(
            "{} acknowledged a probe",
            counted(count, "subscription")
        ))),
        Err(MeshError::NotAcknowledged(names)) => Ok(Findings::from_problems(
            names
                .iter()
                .map(|name| {
                    let message = format!("subscription {name} does not acknowledge");
                    Finding::new("subscription_deaf", message).pattern("trigger_mesh_unawaited")
                })
                .collect(),
            "",
        )),
        Err(error) => Err(CheckError::new(format!("cannot probe the mesh: {error}"))),
    }
}

/// Calls of the source that make a coroutine and throw it away.
fn lost_calls(cx: &Context) -> CheckResult {
    ask_sources(cx, |_, sources| {
        let lost = sources.lost_coroutines();
        let files = counted(sources.files(), "file");
        let observed = match lost.len() {
            0 => format!("no lost coroutine in {files}"),
            lost => format!("{} in {files}", counted(lost, "lost coroutine")),
        };
        Findings::from_problems(lost.iter().map(Finding::from).collect(), observed)
    })
}
