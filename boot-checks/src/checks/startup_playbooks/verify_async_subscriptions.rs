//! Does every subscription of the trigger mesh receive and acknowledge a probe?

use crate::checks::Check;
use crate::checks::core_services::DELIVERY_WAIT;
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
                "{count} subscription acknowledged a probe"
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
}
