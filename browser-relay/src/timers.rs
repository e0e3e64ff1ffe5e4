//! What browser-relay repeats: old source maps go, and those of an original's file are read.

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
use crate::sourcemap::parse::SourceMap;
use crate::store;

const EVERY: Duration = Duration::from_secs(60 * 60);
/// Maps deleted in one job: each may have some hundred rows.
const SLICE: usize = 5;
/// Pages given back in one job.
const PAGES: u32 = 200;

/// Starts the thread `retention`.
pub(crate) fn start(shared: Arc<Shared>, age_max: Duration, stop: Stop) -> io::Result<JoinHandle<()>> {
    let clock = shared.clock.clone();
    timers::repeat("retention", EVERY, clock, stop, move |stop| {
        read_originals(&shared, stop)?;
        clean_up(&shared, age_max, stop)
    })
}

/// The original stored maps as they came; each is read once, and what is none is kept and named.
fn read_originals(shared: &Shared, stop: &Stop) -> Result<(), WriteError> {
    while !stop.is_stopped() {
        let Some(mut unread) = shared.writer.call(store::maps::next_unread)? else { break };
        let (id, text) = (unread.id, std::mem::take(&mut unread.text));
        match SourceMap::parse(text) {
            Ok(map) => shared.writer.call(move |tx| store::maps::store_read(tx, &unread, &map))?,
            Err(invalid) => {
                let problem = invalid.reason.unwrap_or(invalid.detail);
                log::warn!("source map {id} cannot be used: {problem}");
                shared.writer.call(move |tx| store::maps::store_problem(tx, id, &problem))?;
            }
        }
        process::give_memory_back();
    }
    Ok(())
}

fn clean_up(shared: &Shared, age_max: Duration, stop: &Stop) -> Result<(), WriteError> {
    let cutoff = shared.clock.now().saturating_sub(age_max);
    let mut deleted = 0;
    while !stop.is_stopped() {
        let maps = shared.writer.call(move |tx| store::maps::delete_uploaded_before(tx, cutoff, SLICE))?;
        deleted += maps;
        if maps == 0 {
            break;
        }
    }
    if deleted > 0 {
        log::info!("retention: {deleted} source maps deleted");
    }
    while !stop.is_stopped() && shared.writer.call(|tx| db::give_back_pages(tx, PAGES))? > 0 {}
    Ok(())
}
