//! What the handlers of log-viewer share.

use std::sync::Arc;

use crate::live::Live;
use crate::tailer::Status;

/// A worker's context.
pub(crate) type Context = common::service::Context<Shared>;

/// What all workers share, besides what every service has.
pub(crate) struct Shared {
    pub(crate) live: Arc<Live>,
    pub(crate) status: Arc<Status>,
}
