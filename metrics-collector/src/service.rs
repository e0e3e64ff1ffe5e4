//! Wires the parts of metrics-collector together.

use std::sync::Arc;

use common::cli::{Failure, Program};
use common::clock::Clock;
use common::env::Env;
use common::http::gate::Gate;
use common::service::Service;

use crate::config::{Config, DEFAULTS, HELP};
use crate::context::Shared;
use crate::routes::ROUTES;
use crate::store::points::Ingest;
use crate::totals::TotalsCache;
use crate::{store, timers};

/// What `main` runs.
pub const PROGRAM: Program = Program {
    name: "metrics-collector",
    version: env!("CARGO_PKG_VERSION"),
    help: HELP,
    defaults: DEFAULTS,
    interface: Some(&ui::METRICS_COLLECTOR),
    run,
};

fn run(env: Env) -> Result<(), Failure> {
    let config = Config::read(env)?;
    let gate = Gate::new(ROUTES, config.api_key, config.settings.rate_limit, Clock::System);
    let service = Service::open(&PROGRAM, config.settings, store::MIGRATIONS, ROUTES)?;
    let core = &service.core;
    let shared = Arc::new(Shared {
        ingest: Ingest::new(config.series_max, core.clock.now().millis() as u64),
        retention: config.retention,
        dropped_labels: config.dropped_labels,
        figures: Arc::default(),
        totals: TotalsCache::default(),
    });
    let rollup = timers::start_rollup(core, &shared, config.aggregation_interval)?;
    let retention = timers::start_retention(Arc::clone(core), Arc::clone(&shared))?;
    service.serve(ROUTES, gate, &shared, || {})?;
    service.close([rollup, retention])
}
