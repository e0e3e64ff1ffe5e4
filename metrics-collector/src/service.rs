//! Wires the parts together, runs them until the signal, and takes them down in order.

use std::sync::Arc;
use std::time::Instant;

use common::cli::{Failure, Program};
use common::clock::Clock;
use common::db::{self, Database};
use common::env::Env;
use common::http::gate::Gate;
use common::http::metrics::HttpMetrics;
use common::http::server::{Server, ServerConfig};
use common::process;
use common::shutdown::{self, Stop};
use common::writer::Writer;

use crate::aggregator::Aggregator;
use crate::config::{Config, DEFAULTS, HELP};
use crate::context::{Context, Shared};
use crate::routes::ROUTES;
use crate::store::points::Ingest;
use crate::totals::TotalsCache;
use crate::{store, timers};

/// What `main` runs.
pub const PROGRAM: Program =
    Program { name: "metrics-collector", version: env!("CARGO_PKG_VERSION"), help: HELP, defaults: DEFAULTS, run };

fn run(env: Env) -> Result<(), Failure> {
    let config = Config::read(env)?;
    common::log::init(config.settings.log_level);
    let stop = Stop::new();
    shutdown::on_signals(&stop)?;
    let clock = Clock::System;

    let (database, connection) = Database::open(&config.settings.database_path, PROGRAM.name, store::MIGRATIONS)?;
    let (writer, writer_threads) = Writer::start(connection)?;
    let http = Arc::new(HttpMetrics::new(ROUTES));
    let shared = Arc::new(Shared {
        clock: clock.clone(),
        writer: writer.clone(),
        database,
        http: Arc::clone(&http),
        ingest: Ingest::new(config.series_max, clock.now().millis() as u64),
        retention: config.retention,
        dropped_labels: config.dropped_labels,
        figures: Arc::default(),
        totals: TotalsCache::default(),
        started: Instant::now(),
    });
    let aggregator = Aggregator {
        reader: shared.database.reader()?,
        writer: writer.clone(),
        figures: Arc::clone(&shared.figures),
        stop: stop.clone(),
    };
    let rollup = timers::start_rollup(aggregator, clock.clone(), config.aggregation_interval)?;
    let retention = timers::start_retention(Arc::clone(&shared), config.retention, &stop)?;

    let gate = Gate::new(ROUTES, config.api_key, config.settings.rate_limit, clock);
    let server_config = ServerConfig {
        address: config.settings.address,
        connections_max: config.settings.connections_max,
        trust_proxy: config.settings.trust_proxy,
        socket: db::with_suffix(&config.settings.database_path, ".sock"),
        workers: config.settings.workers,
        stop: stop.clone(),
    };
    let context = || Context::new(Arc::clone(&shared));
    let server = Server::start(server_config, ROUTES, context, Arc::new(gate), writer, http)
        .map_err(|error| Failure::Other(format!("{}: {error}", config.settings.address)))?;
    log::info!("metrics-collector {} listens on {}", env!("CARGO_PKG_VERSION"), server.address()?);

    process::give_memory_back();
    stop.wait();
    log::info!("stopping");
    server.stop(|| shared.database.end_queries());
    // Both look at the signal themselves; a panic in one was printed when it happened.
    let _ = rollup.join();
    let _ = retention.join();
    writer_threads.stop();
    log::info!("stopped");
    stop.failure().map_or(Ok(()), |why| Err(Failure::Other(why.into())))
}
