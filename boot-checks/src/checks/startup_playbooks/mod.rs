//! Stage 4: the playbooks that belong to a start. Each step looks whether its playbook has something
//! to do; the engine runs it where it has.

mod apply_pending_migrations;
mod fix_unicode_logging;
mod registered;
mod verify_async_subscriptions;

pub use apply_pending_migrations::PendingMigrations;
pub use fix_unicode_logging::UnicodeLogging;
pub use registered::{Registered, definitions};
pub use verify_async_subscriptions::AsyncSubscriptions;
