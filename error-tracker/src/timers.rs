//! What error-tracker repeats: old resolved groups and remembered idempotency keys go, and the file gives back the space.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use common::db;
use common::process;
use common::shutdown::Stop;
use common::timers;
use common::writer::WriteError;

use crate::context::Shared;
use crate::store;

/// Once an hour, and at start: a slice is cheap, and a restart must not put retention off.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows deleted in one job: a few milliseconds, so that reports never wait long behind it.
const SLICE: usize = 200;
/// Pages given back in one job, for the same reason.
const PAGES: u32 = 200;
/// Between two slices others get their turn.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts the thread `retention`.
pub(crate) fn start(shared: Arc<Shared>, retention: Option<Duration>, stop: Stop) -> io::Result<JoinHandle<()>> {
    let clock = shared.clock.clone();
    timers::repeat("retention", EVERY, clock, stop, move |stop| clean_up(&shared, retention, stop))
}

fn clean_up(shared: &Shared, retention: Option<Duration>, stop: &Stop) -> Result<(), WriteError> {
    let now = shared.clock.now();
    if let Some(retention) = retention {
        let cutoff = now.saturating_sub(retention);
        let deleted =
            in_slices(stop, || shared.writer.call(move |tx| store::delete_resolved_before(tx, cutoff, SLICE)))?;
        if deleted > 0 {
            log::info!("retention: {deleted} resolved errors deleted");
        }
    }
    let forgotten = now.saturating_sub(store::IDEMPOTENCY_KEPT);
    in_slices(stop, || shared.writer.call(move |tx| store::forget_idempotency_keys(tx, forgotten, SLICE)))?;
    in_slices(stop, || shared.writer.call(|tx| store::trim_alerts(tx, store::ALERTS_KEPT, SLICE)))?;
    while !stop.wait_timeout(PAUSE) && shared.writer.call(|tx| db::give_back_pages(tx, PAGES))? > 0 {}
    process::give_memory_back();
    Ok(())
}

/// Repeats a job that deletes up to [`SLICE`] rows until it finds no more; how many went.
fn in_slices(stop: &Stop, mut job: impl FnMut() -> Result<usize, WriteError>) -> Result<usize, WriteError> {
    let mut total = 0;
    loop {
        let count = job()?;
        total += count;
        if count == 0 || stop.wait_timeout(PAUSE) {
            return Ok(total);
        }
    }
}
