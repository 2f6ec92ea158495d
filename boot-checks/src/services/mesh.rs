//! The trigger mesh: events are published to topics and delivered to subscribers, on a thread of the
//! mesh's own, in the order of publication. Every delivery is acknowledged.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshEvent {
    /// Such as `boot.stage_started`.
    pub topic: String,
    /// Whatever the topic's subscribers expect.
    pub payload: String,
}

/// What a subscriber does with an event: true acknowledges it.
pub type Handler = Box<dyn Fn(&MeshEvent) -> bool + Send>;

/// Why an event did not arrive everywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshError {
    /// Nobody listens to the topic.
    #[error("nobody is subscribed to {0}")]
    NoSubscriber(String),
    /// These subscribers did not acknowledge it.
    #[error("not acknowledged by {}", .0.join(", "))]
    NotAcknowledged(Vec<String>),
    /// The mesh did not answer in time.
    #[error("the mesh did not deliver within {0:?}")]
    TimedOut(Duration),
    /// The mesh has ended.
    #[error("the mesh has stopped")]
    Stopped,
}

/// The topic to which every subscriber listens, so that each can be shown to be alive.
pub const PROBE_TOPIC: &str = "mesh.probe";

type Subscribers = Arc<Mutex<BTreeMap<String, (String, Handler)>>>;
type Answer = Sender<Vec<(String, bool)>>;

/// A running mesh. When it is dropped its thread delivers what was published and ends, and nobody waits
/// for that.
pub struct TriggerMesh {
    subscribers: Subscribers,
    queue: Sender<(MeshEvent, Answer)>,
}

impl TriggerMesh {
    /// Starts the mesh.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start() -> std::io::Result<TriggerMesh> {
        let subscribers = Subscribers::default();
        let (queue, incoming) = channel();
        let seen_by_worker = Arc::clone(&subscribers);
        std::thread::Builder::new()
            .name("trigger-mesh".to_owned())
            .spawn(move || deliver_all(&incoming, &seen_by_worker))?;
        Ok(TriggerMesh { subscribers, queue })
    }

    /// Adds a subscriber. `topic` is a whole topic or a prefix that ends with `*`.
    pub fn subscribe(&self, name: &str, topic: &str, handler: Handler) {
        lock(&self.subscribers).insert(name.to_owned(), (topic.to_owned(), handler));
    }

    /// Names of all subscribers.
    pub fn subscribers(&self) -> Vec<String> {
        lock(&self.subscribers).keys().cloned().collect()
    }

    /// Publishes an event and waits until every subscriber of its topic has it.
    ///
    /// # Errors
    ///
    /// When it did not arrive everywhere within `wait`.
    pub fn publish(&self, event: MeshEvent, wait: Duration) -> Result<usize, MeshError> {
        let topic = event.topic.clone();
        let (answer, answered) = channel();
        self.queue
            .send((event, answer))
            .map_err(|_| MeshError::Stopped)?;
        let deliveries = answered.recv_timeout(wait).map_err(|error| match error {
            RecvTimeoutError::Timeout => MeshError::TimedOut(wait),
            RecvTimeoutError::Disconnected => MeshError::Stopped,
        })?;
        if deliveries.is_empty() {
            return Err(MeshError::NoSubscriber(topic));
        }
        let missing: Vec<String> = deliveries
            .iter()
            .filter(|(_, ok)| !ok)
            .map(|(name, _)| name.clone())
            .collect();
        if !missing.is_empty() {
            return Err(MeshError::NotAcknowledged(missing));
        }
        Ok(deliveries.len())
    }
}

fn deliver_all(incoming: &Receiver<(MeshEvent, Answer)>, subscribers: &Subscribers) {
    while let Ok((event, answer)) = incoming.recv() {
        let deliveries = lock(subscribers)
            .iter()
            .filter(|(_, (topic, _))| listens(topic, &event.topic))
            .map(|(name, (_, handler))| (name.clone(), handler(&event)))
            .collect();
        // Nobody waits any more: the publisher's time ran out.
        let _ = answer.send(deliveries);
    }
}

fn listens(subscription: &str, topic: &str) -> bool {
    match subscription.strip_suffix('*') {
        _ if topic == PROBE_TOPIC => true,
        Some(prefix) => topic.starts_with(prefix),
        None => subscription == topic,
    }
}

/// A handler that panicked leaves the list as it was.
fn lock(subscribers: &Subscribers) -> MutexGuard<'_, BTreeMap<String, (String, Handler)>> {
    subscribers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn event(topic: &str) -> MeshEvent {
        MeshEvent {
            topic: topic.to_owned(),
            payload: String::new(),
        }
    }

    #[test]
    fn events_arrive_where_they_are_listened_to() {
        let mesh = TriggerMesh::start().unwrap();
        mesh.subscribe("all", "boot.*", Box::new(|_| true));
        mesh.subscribe("one", "boot.started", Box::new(|_| true));
        assert_eq!(mesh.publish(event("boot.started"), WAIT), Ok(2));
        assert_eq!(mesh.publish(event("boot.ended"), WAIT), Ok(1));
        let nobody = Err(MeshError::NoSubscriber("other".to_owned()));
        assert_eq!(mesh.publish(event("other"), WAIT), nobody);
    }

    #[test]
    fn a_subscriber_that_does_not_acknowledge_is_named() {
        let mesh = TriggerMesh::start().unwrap();
        mesh.subscribe("deaf", "boot.*", Box::new(|_| false));
        mesh.subscribe("well", "boot.*", Box::new(|_| true));
        let error = mesh.publish(event(PROBE_TOPIC), WAIT).unwrap_err();
        assert_eq!(error, MeshError::NotAcknowledged(vec!["deaf".to_owned()]));
    }

    #[test]
    fn a_handler_that_panics_is_an_error_and_not_a_hang() {
        let mesh = TriggerMesh::start().unwrap();
        mesh.subscribe("broken", "a", Box::new(|_| panic!("on purpose")));
        assert_eq!(mesh.publish(event("a"), WAIT), Err(MeshError::Stopped));
    }
}
