//! What metrics-collector repeats: closed minutes and hours are rolled up, and what is old goes.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use common::clock::Clock;
use common::process;
use common::shutdown::Stop;
use common::timers;
use common::writer::WriteError;

use crate::aggregator::{Aggregator, Failure};
use crate::config::Retention;
use crate::context::Shared;
use crate::store::idempotency;
use crate::store::retention::{self, Cutoffs};

/// Deleted as they get old, not an hour's worth at once.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Rows deleted in one job: some milliseconds.
const SLICE: usize = 4000;
/// Pages given back in one job.
const PAGES: u32 = 200;

/// Starts the thread `rollup`.
pub(crate) fn start_rollup(aggregator: Aggregator, clock: Clock, every: Duration) -> io::Result<JoinHandle<()>> {
    let stop = aggregator.stop.clone();
    timers::repeat("rollup", every, clock.clone(), stop, move |_| match aggregator.round(clock.now()) {
        Err(Failure::Stopped) => Ok(()),
        outcome => outcome,
    })
}

/// Starts the thread `retention`.
pub(crate) fn start_retention(shared: Arc<Shared>, retention: Retention, stop: &Stop) -> io::Result<JoinHandle<()>> {
    let clock = shared.clock.clone();
    timers::repeat("retention", RETENTION_EVERY, clock, stop.clone(), move |stop| clean_up(&shared, &retention, stop))
}

fn clean_up(shared: &Arc<Shared>, retention: &Retention, stop: &Stop) -> Result<(), WriteError> {
    let cutoffs = Cutoffs::new(retention, shared.clock.now());
    let mut deleted = 0;
    while !stop.is_stopped() {
        let points = shared.writer.call(move |tx| retention::delete_points(tx, &cutoffs, SLICE))?;
        shared.figures.points_deleted(points as u64);
        deleted += points;
        if points == 0 {
            break;
        }
    }
    for job in [retention::delete_minutes, retention::delete_hours] {
        while !stop.is_stopped() {
            let rows = shared.writer.call(move |tx| job(tx, &cutoffs, SLICE))?;
            deleted += rows;
            if rows == 0 {
                break;
            }
        }
    }
    deleted += forget(shared, cutoffs, stop)?;
    while !stop.is_stopped() && shared.writer.call(|tx| retention::give_back(tx, PAGES))? {}
    if deleted > 0 {
        log::debug!("retention: {deleted} rows deleted");
        process::give_memory_back();
    }
    Ok(())
}

/// Forgets series that are long out of use, and keys of requests.
fn forget(shared: &Arc<Shared>, cutoffs: Cutoffs, stop: &Stop) -> Result<usize, WriteError> {
    let (mut forgotten, now) = (0, shared.clock.now());
    while !stop.is_stopped() {
        let job = Arc::clone(shared);
        let rows = shared.writer.call(move |tx| {
            // What it knows afterwards was in use since, so it is not among those that go.
            job.ingest.catalog.clear();
            Ok(retention::forget_series(tx, &cutoffs, SLICE)? + idempotency::forget(tx, now, SLICE)?)
        })?;
        forgotten += rows;
        if rows == 0 {
            break;
        }
    }
    Ok(forgotten)
}
