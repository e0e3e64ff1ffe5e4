//! What the handlers of browser-relay share.

use std::sync::Arc;

use common::memory::Memory;

use crate::dsn::Keys;
use crate::outbox::Outbox;
use crate::upstream::Upstream;

/// A worker's context.
pub(crate) type Context = common::service::Context<Shared>;

/// What all workers share, besides what every service has.
pub(crate) struct Shared {
    pub(crate) keys: Arc<Keys>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) outbox: Arc<Outbox>,
    /// Events that are not small, while they are translated and forwarded: a batch of metrics may grow to half a megabyte, and
    /// each worker has one.
    pub(crate) large_events: Memory,
}
