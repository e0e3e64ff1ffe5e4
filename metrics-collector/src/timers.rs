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

use crate::aggregator::{Aggregator, Failure, start_of_hour};
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
    let mut forgotten_in = None;
    timers::repeat("retention", RETENTION_EVERY, clock, stop.clone(), move |stop| {
        let now = shared.clock.now();
        let cutoffs = Cutoffs::new(&retention, now);
        clean_up(&shared, cutoffs, stop)?;
        let hour = start_of_hour(now);
        if forgotten_in != Some(hour) {
            forget_series(&shared, cutoffs, stop)?;
            forgotten_in = Some(hour);
        }
        Ok::<_, WriteError>(())
    })
}

fn clean_up(shared: &Shared, cutoffs: Cutoffs, stop: &Stop) -> Result<(), WriteError> {
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
    let now = shared.clock.now();
    while !stop.is_stopped() && shared.writer.call(move |tx| idempotency::forget(tx, now, SLICE))? > 0 {}
    while !stop.is_stopped() && shared.writer.call(|tx| retention::give_back(tx, PAGES))? {}
    if deleted > 0 {
        log::debug!("retention: {deleted} rows deleted");
        process::give_memory_back();
    }
    Ok(())
}

/// Forgets series that are long out of use. Whoever writes to one that the catalog does not know says in the table that it is
/// in use. So this must be done every hour or so, even if nothing is forgotten: in between, nobody says so again.
fn forget_series(shared: &Arc<Shared>, cutoffs: Cutoffs, stop: &Stop) -> Result<(), WriteError> {
    while !stop.is_stopped() {
        let job = Arc::clone(shared);
        let rows = shared.writer.call(move |tx| {
            job.ingest.catalog.clear();
            retention::forget_series(tx, &cutoffs, SLICE)
        })?;
        if rows == 0 {
            break;
        }
        log::info!("retention: {rows} series forgotten");
    }
    Ok(())
}
