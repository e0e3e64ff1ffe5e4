//! What metrics-collector repeats: closed minutes and hours are rolled up, and what is old goes.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::clock::Timestamp;
use common::service::Core;
use common::writer::WriteError;
use common::{cli, timers};

use crate::aggregator::{Aggregator, Failure};
use crate::context::Shared;
use crate::figures::Figures;
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
pub(crate) fn start_rollup(core: &Core, shared: &Shared, every: Duration) -> Result<JoinHandle<()>, cli::Failure> {
    let (clock, stop) = (core.clock.clone(), core.stop.clone());
    let aggregator = Aggregator {
        reader: core.database.reader()?,
        writer: core.writer.clone(),
        figures: Arc::clone(&shared.figures),
        stop: stop.clone(),
    };
    Ok(timers::repeat("rollup", every, clock.clone(), stop, move |_| match aggregator.round(clock.now()) {
        Err(Failure::Stopped) => Ok(()),
        outcome => outcome,
    })?)
}

/// Starts the thread `retention`.
pub(crate) fn start_retention(core: Arc<Core>, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let (clock, stop) = (core.clock.clone(), core.stop.clone());
    let mut forget_from = Instant::now() + FORGET_AFTER;
    timers::repeat("retention", RETENTION_EVERY, clock, stop, move |_| {
        let now = core.clock.now();
        let cutoffs = Cutoffs::new(&shared.retention, now);
        clean_up(&core, &shared.figures, cutoffs, now)?;
        let is_rolled_up = shared.figures.health(now).lag.is_some_and(|lag| lag < FORGET_AFTER / 2);
        if is_rolled_up && Instant::now() > forget_from {
            forget_series(&core, &shared, cutoffs).inspect_err(|_| forget_from = Instant::now() + FORGET_AFTER)?;
        }
        Ok::<_, WriteError>(())
    })
}

fn clean_up(core: &Core, figures: &Figures, cutoffs: Cutoffs, now: Timestamp) -> Result<(), WriteError> {
    let Core { writer, stop, .. } = core;
    let points = timers::in_slices(writer, stop, move |tx| retention::delete_points(tx, &cutoffs, POINTS))?;
    figures.points_deleted(points as u64);
    let minutes = timers::in_slices(writer, stop, move |tx| retention::delete_minutes(tx, &cutoffs, SLICE))?;
    let hours = timers::in_slices(writer, stop, move |tx| retention::delete_hours(tx, &cutoffs, SLICE))?;
    let keys = timers::in_slices(writer, stop, move |tx| idempotency::forget(tx, now, SLICE))?;
    timers::in_slices(writer, stop, |tx| retention::give_back(tx, PAGES).map(usize::from))?;
    let deleted = points + minutes + hours + keys;
    if deleted > 0 {
        log::debug!("retention: {deleted} rows deleted");
    }
    Ok(())
}

/// What writers know is taken from them before it is certain that the job is committed. So it remembers what that was, should
/// it run twice; and after a failure, as after a start, it is only done when all points stored by then are in hours that are
/// rolled up, which keeps their series from being forgotten.
fn forget_series(core: &Core, shared: &Arc<Shared>, cutoffs: Cutoffs) -> Result<(), WriteError> {
    while !core.stop.is_stopped() {
        let (job, mut taken_out) = (Arc::clone(shared), BTreeSet::new());
        let looked_at = core.writer.call(move |tx| {
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
