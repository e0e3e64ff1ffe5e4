//! What handlers work with: one [`Context`] per worker, with a database connection of its own.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Instant;

use common::clock::Clock;
use common::db::{Database, Reader};
use common::http::metrics::HttpMetrics;
use common::writer::Writer;

use crate::config::Retention;
use crate::figures::Figures;
use crate::store::points::Ingest;
use crate::totals::TotalsCache;

/// A worker's context.
pub(crate) struct Context {
    reader: OnceCell<Reader>,
    pub(crate) shared: Arc<Shared>,
}

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) writer: Writer,
    pub(crate) database: Database,
    pub(crate) http: Arc<HttpMetrics>,
    pub(crate) ingest: Ingest,
    pub(crate) retention: Retention,
    /// Labels that are kept with single values only, sorted.
    pub(crate) dropped_labels: Vec<String>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) totals: TotalsCache,
    pub(crate) started: Instant,
}

impl Context {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { reader: OnceCell::new(), shared }
    }

    /// The worker's read-only connection, with a fresh time limit, opened when it is first needed.
    pub(crate) fn reader(&self) -> rusqlite::Result<&Reader> {
        let reader = if let Some(reader) = self.reader.get() {
            reader
        } else {
            let reader = self.shared.database.reader()?;
            self.reader.get_or_init(|| reader)
        };
        reader.restart_time_limit();
        Ok(reader)
    }
}
