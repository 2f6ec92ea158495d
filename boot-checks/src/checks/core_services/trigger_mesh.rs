//! Does the trigger mesh run? An event is published and must arrive at every subscriber.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::checks::Check;
use crate::context::Context;
use crate::model::{CheckError, CheckResult, Finding, Findings};
use crate::services::mesh::{MeshEvent, TriggerMesh};

/// See the module.
pub struct Mesh;

/// Delivery within one process takes microseconds; a machine under load may take its time.
pub(crate) const DELIVERY_WAIT: Duration = Duration::from_secs(5);

impl Check for Mesh {
    fn title(&self) -> &'static str {
        "Trigger mesh"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let mesh = match cx.mesh.get() {
            Some(mesh) => mesh,
            None => {
                let started = TriggerMesh::start()
                    .map_err(|error| CheckError::new(format!("cannot start the mesh: {error}")))?;
                cx.mesh.get_or_init(|| started)
            }
        };
        let received = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&received);
        mesh.subscribe(
            "boot",
            "boot.*",
            Box::new(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                true
            }),
        );
        let event = MeshEvent {
            topic: "boot.core_services".to_owned(),
            payload: String::new(),
        };
        let outcome = mesh.publish(event, DELIVERY_WAIT);
        match outcome {
            Ok(_) if received.load(Ordering::SeqCst) == 1 => {
                Ok(Findings::healthy("an event was published and received"))
            }
            Ok(_) => Ok(Findings::problem(broken(
                "the event was acknowledged and not received",
            ))),
            Err(error) => Ok(Findings::problem(broken(&error.to_string()))),
        }
    }
}

fn broken(reason: &str) -> Finding {
    Finding::new(
        "mesh_broken",
        format!("the trigger mesh does not deliver: {reason}"),
    )
}
