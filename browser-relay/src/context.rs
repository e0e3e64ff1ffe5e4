//! What the handlers of browser-relay share.

use std::sync::Arc;

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
}
