//! What the handlers of metrics-collector share.

use std::sync::Arc;

use crate::config::Retention;
use crate::figures::Figures;
use crate::store::points::Ingest;
use crate::totals::TotalsCache;

/// A worker's context.
pub(crate) type Context = common::service::Context<Shared>;

/// What all workers share, besides what every service has.
pub(crate) struct Shared {
    pub(crate) ingest: Ingest,
    pub(crate) retention: Retention,
    /// Labels that are kept with single values only, sorted.
    pub(crate) dropped_labels: Vec<String>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) totals: TotalsCache,
}
