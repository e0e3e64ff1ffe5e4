//! What log-viewer repeats: the oldest entries go when there are too many, and the file gives back the space.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use common::shutdown::Stop;
use common::timers;
use common::writer::WriteError;

use crate::context::Shared;
use crate::store::{self, Limits};

/// By so much the ring can be over its limit while lines come in as fast as they can: a second of them.
const EVERY: Duration = Duration::from_secs(1);
/// Entries looked at in one job: at least as many as a batch adds, so that trimming keeps up, and some milliseconds.
const SLICE: usize = 4000;
/// Pages given back in one job.
const PAGES: u32 = 200;
/// Starts the thread `retention`.
pub(crate) fn start(shared: Arc<Shared>, limits: Limits, stop: Stop) -> io::Result<JoinHandle<()>> {
    let clock = shared.clock.clone();
    timers::repeat("retention", EVERY, clock, stop, move |stop| clean_up(&shared, limits, stop))
}

fn clean_up(shared: &Shared, limits: Limits, stop: &Stop) -> Result<(), WriteError> {
    let now = shared.clock.now();
    let mut deleted = 0;
    while !stop.is_stopped() {
        let trimmed = shared.writer.call(move |tx| store::trim(tx, &limits, now, SLICE))?;
        deleted += trimmed.deleted;
        if !trimmed.has_more {
            break;
        }
    }
    if deleted > 0 {
        log::debug!("retention: {deleted} entries deleted");
    }
    while !stop.is_stopped() && shared.writer.call(move |tx| store::give_back(tx, &limits, PAGES))? {}
    Ok(())
}
