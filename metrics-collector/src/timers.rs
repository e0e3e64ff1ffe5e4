//! What metrics-collector repeats: closed minutes and hours are rolled up, and what is old goes.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::clock::{Clock, Timestamp};
use common::process;
use common::shutdown::Stop;
use common::timers;
use common::writer::WriteError;

use rusqlite::Connection;

use crate::aggregator::{Aggregator, Failure};
use crate::config::Retention;
use crate::context::Shared;
use crate::store::idempotency;
use crate::store::retention::{self, Cutoffs};

/// Deleted as they get old, not an hour's worth at once.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Points deleted in one job: some milliseconds.
const POINTS: usize = 8000;
/// Other rows: they are larger.
const SLICE: usize = 4000;
/// So long after it was stored a point is in an hour that is rolled up: ten minutes ahead, an hour, and a round an hour later.
const FORGET_AFTER: Duration = Duration::from_secs(3 * 60 * 60);
/// Series looked at in one job: each costs a look through all that writers know.
const SERIES_SLICE: usize = 20;
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
    let mut forget_from = Instant::now() + FORGET_AFTER;
    timers::repeat("retention", RETENTION_EVERY, clock, stop.clone(), move |stop| {
        let now = shared.clock.now();
        let cutoffs = Cutoffs::new(&retention, now);
        clean_up(&shared, cutoffs, now, stop)?;
        let is_rolled_up = shared.figures.health(now).lag.is_some_and(|lag| lag < FORGET_AFTER / 2);
        if is_rolled_up && Instant::now() > forget_from {
            forget_series(&shared, cutoffs, stop).inspect_err(|_| forget_from = Instant::now() + FORGET_AFTER)?;
        }
        Ok::<_, WriteError>(())
    })
}

fn clean_up(shared: &Shared, cutoffs: Cutoffs, now: Timestamp, stop: &Stop) -> Result<(), WriteError> {
    let count_points = |count| shared.figures.points_deleted(count as u64);
    let mut deleted = in_slices(shared, stop, count_points, move |tx| retention::delete_points(tx, &cutoffs, POINTS))?;
    deleted += in_slices(shared, stop, drop, move |tx| retention::delete_minutes(tx, &cutoffs, SLICE))?;
    deleted += in_slices(shared, stop, drop, move |tx| retention::delete_hours(tx, &cutoffs, SLICE))?;
    deleted += in_slices(shared, stop, drop, move |tx| idempotency::forget(tx, now, SLICE))?;
    in_slices(shared, stop, drop, |tx| retention::give_back(tx, PAGES).map(usize::from))?;
    if deleted > 0 {
        log::debug!("retention: {deleted} rows deleted");
        process::give_memory_back();
    }
    Ok(())
}

/// Repeats a job until it finds nothing more to do; how much it did. Between two of them, others have as much time as one took.
fn in_slices(
    shared: &Shared,
    stop: &Stop,
    note: impl Fn(usize),
    job: impl Fn(&Connection) -> rusqlite::Result<usize> + Send + Copy + 'static,
) -> Result<usize, WriteError> {
    let mut total = 0;
    loop {
        let began = Instant::now();
        let count = shared.writer.call(job)?;
        note(count);
        total += count;
        if count == 0 || stop.wait_timeout(began.elapsed()) {
            return Ok(total);
        }
    }
}

/// What writers know is taken from them before it is certain that the job is committed. So it remembers what that was, should
/// it run twice; and after a failure, as after a start, it is only done when all points stored by then are in hours that are
/// rolled up, which keeps their series from being forgotten.
fn forget_series(shared: &Arc<Shared>, cutoffs: Cutoffs, stop: &Stop) -> Result<(), WriteError> {
    while !stop.is_stopped() {
        let (job, mut taken_out) = (Arc::clone(shared), BTreeSet::new());
        let looked_at = shared.writer.call(move |tx| {
            retention::forget_series(tx, &cutoffs, SERIES_SLICE, &mut |series| {
                if job.ingest.catalog.take_out(series) {
                    taken_out.insert(series);
                }
                taken_out.contains(&series)
            })
        })?;
        if looked_at == 0 {
            break;
        }
    }
    Ok(())
}
