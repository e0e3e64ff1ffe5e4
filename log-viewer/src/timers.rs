//! What log-viewer repeats: the oldest entries go when there are too many, and the file gives back the space.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use common::service::Core;
use common::timers;
use common::writer::WriteError;

use crate::store::{self, Limits};

/// By so much the ring can be over its limit while lines come in as fast as they can: a second of them.
const EVERY: Duration = Duration::from_secs(1);
/// Entries looked at in one job: at least as many as a batch adds, so that trimming keeps up, and some milliseconds.
const SLICE: usize = 4000;
/// Pages given back in one job.
const PAGES: u32 = 200;

/// Starts the thread `retention`.
pub(crate) fn start(core: Arc<Core>, limits: Limits) -> io::Result<JoinHandle<()>> {
    let (clock, stop) = (core.clock.clone(), core.stop.clone());
    timers::repeat("retention", EVERY, clock, stop, move |_| clean_up(&core, limits))
}

/// Without pauses, unlike in other services: it must keep up with lines that come in as fast as they can.
fn clean_up(core: &Core, limits: Limits) -> Result<(), WriteError> {
    let Core { writer, stop, .. } = core;
    let now = core.clock.now();
    let mut deleted = 0;
    while !stop.is_stopped() {
        let trimmed = writer.call(move |tx| store::trim(tx, &limits, now, SLICE))?;
        deleted += trimmed.deleted;
        if !trimmed.has_more {
            break;
        }
    }
    if deleted > 0 {
        log::debug!("retention: {deleted} entries deleted");
    }
    while !stop.is_stopped() && writer.call(move |tx| store::give_back(tx, &limits, PAGES))? {}
    Ok(())
}
