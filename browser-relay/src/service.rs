//! Wires the parts together, runs them until the signal, and takes them down in order.

use std::sync::Arc;
use std::time::Instant;

use common::cli::{Failure, Program};
use common::clock::Clock;
use common::db::{self, Database};
use common::env::Env;
use common::http::metrics::HttpMetrics;
use common::http::server::{Server, ServerConfig};
use common::process;
use common::shutdown::{self, Stop};
use common::writer::Writer;

use crate::config::{Config, DEFAULTS, HELP};
use crate::context::{Context, Shared};
use crate::door::Door;
use crate::dsn::Keys;
use crate::outbox::Outbox;
use crate::routes::ROUTES;
use crate::upstream::Upstream;
use crate::{store, timers};

/// What `main` runs.
pub const PROGRAM: Program =
    Program { name: "browser-relay", version: env!("CARGO_PKG_VERSION"), help: HELP, defaults: DEFAULTS, run };

fn run(env: Env) -> Result<(), Failure> {
    let config = Config::read(env)?;
    common::log::init(config.settings.log_level);
    let stop = Stop::new();
    shutdown::on_signals(&stop)?;
    let clock = Clock::System;

    let (database, connection) = Database::open(&config.settings.database_path, PROGRAM.name, store::MIGRATIONS)?;
    let (writer, writer_threads) = Writer::start(connection)?;
    let keys = Arc::new(Keys::default());
    seed_keys(&writer, &clock, config.dsn_keys, &keys)?;
    let upstream = Arc::new(Upstream::new(config.error_tracker, config.metrics_collector));
    let (outbox, outbox_threads) =
        Outbox::start(&database.reader()?, &database, writer.clone(), Arc::clone(&upstream))?;
    let http = Arc::new(HttpMetrics::new(ROUTES));
    let shared = Arc::new(Shared {
        clock: clock.clone(),
        writer: writer.clone(),
        database,
        http: Arc::clone(&http),
        keys: Arc::clone(&keys),
        upstream,
        outbox,
        started: Instant::now(),
    });

    let retention = timers::start(Arc::clone(&shared), config.map_age_max, stop.clone())?;

    let (origins, event_bytes_max, per_minute) = (config.origins, config.event_bytes_max, config.settings.rate_limit);
    let door = Door::new(ROUTES, config.admin_key, keys, origins, event_bytes_max, per_minute, clock);
    let server_config = ServerConfig {
        address: config.settings.address,
        connections_max: config.settings.connections_max,
        trust_proxy: config.settings.trust_proxy,
        socket: db::with_suffix(&config.settings.database_path, ".sock"),
        workers: config.settings.workers,
        stop: stop.clone(),
    };
    let context = || Context::new(Arc::clone(&shared));
    let server = Server::start(server_config, ROUTES, context, Arc::new(door), writer, http)
        .map_err(|error| Failure::Other(format!("{}: {error}", config.settings.address)))?;
    log::info!("browser-relay {} listens on {}", env!("CARGO_PKG_VERSION"), server.address()?);

    process::give_memory_back();
    process::give_code_back();
    stop.wait();
    log::info!("stopping");
    server.stop(|| shared.database.end_queries());
    outbox_threads.stop();
    // It checks the signal itself; a panic in it was printed when it happened.
    let _ = retention.join();
    writer_threads.stop();
    log::info!("stopped");
    stop.failure().map_or(Ok(()), |why| Err(Failure::Other(why.into())))
}

/// Stores the keys of the configuration and gives all active ones to the gate.
fn seed_keys(writer: &Writer, clock: &Clock, seeds: Vec<(String, String)>, keys: &Keys) -> Result<(), Failure> {
    let now = clock.now();
    let active = writer
        .call(move |tx| {
            for (project, key) in &seeds {
                store::keys::seed(tx, now, key, project)?;
            }
            store::keys::active(tx)
        })
        .map_err(|error| Failure::Other(format!("DSN keys: {error}")))?;
    keys.set(active);
    Ok(())
}
