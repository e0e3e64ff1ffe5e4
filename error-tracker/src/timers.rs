//! What error-tracker repeats: old resolved groups and remembered idempotency keys go, and the file gives back the space.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use common::service::Core;
use common::timers;
use common::writer::WriteError;

use crate::store;

/// Once an hour, and at start: a slice is cheap, and a restart must not put retention off.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows deleted in one job: a few milliseconds, so that reports never wait long behind it.
const SLICE: usize = 200;

/// Starts the thread `retention`.
pub(crate) fn start(core: Arc<Core>, retention: Option<Duration>) -> io::Result<JoinHandle<()>> {
    let (clock, stop) = (core.clock.clone(), core.stop.clone());
    timers::repeat("retention", EVERY, clock, stop, move |_| clean_up(&core, retention))
}

fn clean_up(core: &Core, retention: Option<Duration>) -> Result<(), WriteError> {
    let Core { writer, stop, .. } = core;
    let now = core.clock.now();
    if let Some(retention) = retention {
        let cutoff = now.saturating_sub(retention);
        let deleted = timers::in_slices(writer, stop, move |tx| store::delete_resolved_before(tx, cutoff, SLICE))?;
        if deleted > 0 {
            log::info!("retention: {deleted} resolved errors deleted");
        }
    }
    let forgotten = now.saturating_sub(store::IDEMPOTENCY_KEPT);
    timers::in_slices(writer, stop, move |tx| store::forget_idempotency_keys(tx, forgotten, SLICE))?;
    timers::in_slices(writer, stop, |tx| store::trim_alerts(tx, store::ALERTS_KEPT, SLICE))?;
    timers::give_space_back(writer, stop)
}
