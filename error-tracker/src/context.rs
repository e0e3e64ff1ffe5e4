//! What handlers work with: one [`Context`] per worker, with a database connection of its own.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::clock::Clock;
use common::db::{Database, Reader};
use common::http::metrics::HttpMetrics;
use common::writer::Writer;

use crate::alerter::AlerterHandle;
use crate::store;

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
    pub(crate) alerts: AlertSwitch,
    /// Held while an error with all its occurrences is read and rendered. They can be 1.5 MB, twice for a moment; one at
    /// a time is what the memory is planned for.
    pub(crate) large_answer: Mutex<()>,
    pub(crate) started: Instant,
}

/// Whether new errors alert somebody.
pub(crate) enum AlertSwitch {
    On(AlerterHandle),
    Off { missing: &'static str },
}

impl AlertSwitch {
    pub(crate) const fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }

    /// Tells the alerter that there is something to send.
    pub(crate) fn wake(&self) {
        if let Self::On(alerter) = self {
            alerter.wake();
        }
    }
}

impl Context {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { reader: OnceCell::new(), shared }
    }

    /// The worker's read-only connection, with a fresh time limit. It is opened when it is first needed: a service that only
    /// takes reports does not pay for it.
    pub(crate) fn reader(&self) -> rusqlite::Result<&Reader> {
        let reader = if let Some(reader) = self.reader.get() {
            reader
        } else {
            let reader = self.shared.database.reader()?;
            store::register_functions(&reader)?;
            self.reader.get_or_init(|| reader)
        };
        reader.restart_time_limit();
        Ok(reader)
    }
}
