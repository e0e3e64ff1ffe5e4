//! Wires the parts of browser-relay together.

use std::sync::Arc;

use common::cli::{Failure, Program};
use common::clock::Clock;
use common::env::Env;
use common::memory::Memory;
use common::service::{Core, Service};

use crate::config::{Config, DEFAULTS, HELP, LARGE_EVENTS_BYTES_MAX};
use crate::context::Shared;
use crate::door::Door;
use crate::dsn::Keys;
use crate::outbox::Outbox;
use crate::routes::ROUTES;
use crate::upstream::Upstream;
use crate::{store, timers};

/// What `main` runs.
pub const PROGRAM: Program = Program {
    name: "browser-relay",
    version: env!("CARGO_PKG_VERSION"),
    help: HELP,
    defaults: DEFAULTS,
    interface: None,
    run,
};

fn run(env: Env) -> Result<(), Failure> {
    let config = Config::read(env)?;
    let per_minute = config.settings.rate_limit;
    let service = Service::open(&PROGRAM, config.settings, store::MIGRATIONS, ROUTES)?;
    let keys = Arc::new(Keys::default());
    seed_keys(&service.core, config.dsn_keys, &keys)?;
    let upstream = Arc::new(Upstream::new(config.error_tracker, config.metrics_collector));
    let (outbox, outbox_threads) = Outbox::start(&service.core, Arc::clone(&upstream))?;
    let retention = timers::start(Arc::clone(&service.core), config.map_age_max)?;
    let (origins, event_bytes_max) = (config.origins, config.event_bytes_max);
    let seen = Arc::clone(&keys);
    let door = Door::new(ROUTES, config.admin_key, seen, origins, event_bytes_max, per_minute, Clock::System);
    let shared = Arc::new(Shared { keys, upstream, outbox, large_events: Memory::new(LARGE_EVENTS_BYTES_MAX) });
    service.serve(ROUTES, door, &shared, || outbox_threads.stop())?;
    outbox_threads.join();
    service.close([retention])
}

/// Stores the keys of the configuration and gives all active ones to the gate.
fn seed_keys(core: &Core, seeds: Vec<(String, String)>, keys: &Keys) -> Result<(), Failure> {
    let now = core.clock.now();
    let active = core
        .writer
        .call(move |tx| {
            for (project, key) in &seeds {
                store::keys::seed(tx, now, key, project)?;
            }
            store::keys::active(tx)
        })
        .map_err(|error| Failure::Other(format!("DSN keys: {error}")))?;
    for (key, dsn) in active {
        keys.add(key, dsn);
    }
    Ok(())
}
