//! Wires the parts together, runs them until the signal, and takes them down in order.

use std::sync::{Arc, Mutex};
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

use crate::alerter::{Alerter, AlerterHandle};
use crate::config::{Alerts, Config, DEFAULTS, HELP};
use crate::context::{AlertSwitch, Context, Shared};
use crate::routes::ROUTES;
use crate::{store, timers};

/// What `main` runs.
pub const PROGRAM: Program =
    Program { name: "error-tracker", version: env!("CARGO_PKG_VERSION"), help: HELP, defaults: DEFAULTS, run };

fn run(env: Env) -> Result<(), Failure> {
    let config = Config::read(env)?;
    common::log::init(config.settings.log_level);
    let stop = Stop::new();
    shutdown::on_signals(&stop)?;
    let clock = Clock::System;

    let (database, connection) = Database::open(&config.settings.database_path, PROGRAM.name, store::MIGRATIONS)?;
    store::register_functions(&connection)?;
    let (writer, writer_threads) = Writer::start(connection)?;
    let (alerts, alerter) = start_alerter(config.alerts, config.base_url, &database, &writer, &clock, &stop)?;
    let http = Arc::new(HttpMetrics::new(ROUTES));
    let shared = Arc::new(Shared {
        clock: clock.clone(),
        writer: writer.clone(),
        database,
        http: Arc::clone(&http),
        alerts,
        large_answer: Mutex::new(()),
        started: Instant::now(),
    });
    let retention = timers::start(Arc::clone(&shared), config.retention, stop.clone())?;

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
    log::info!("error-tracker {} listens on {}", env!("CARGO_PKG_VERSION"), server.address()?);

    process::give_memory_back();
    process::give_code_back();
    stop.wait();
    log::info!("stopping");
    server.stop(|| shared.database.end_queries());
    // These check the signal themselves; a panic in one was printed when it happened.
    let _ = retention.join();
    if let Some(alerter) = alerter {
        alerter.stop();
    }
    writer_threads.stop();
    log::info!("stopped");
    stop.failure().map_or(Ok(()), |why| Err(Failure::Other(why.into())))
}

fn start_alerter(
    alerts: Alerts,
    base_url: String,
    database: &Database,
    writer: &Writer,
    clock: &Clock,
    stop: &Stop,
) -> Result<(AlertSwitch, Option<Alerter>), Failure> {
    let (mailer, retry_after) = match alerts {
        Alerts::On { mailer, retry_after } => (*mailer, retry_after),
        Alerts::Off { missing } => {
            log::info!("alerts are off: {missing}");
            return Ok((AlertSwitch::Off { missing }, None));
        }
    };
    let reader = database.reader()?;
    let alerter = Alerter::spawn(mailer, retry_after, base_url, reader, writer.clone(), clock.clone(), stop.clone())?;
    let handle: AlerterHandle = alerter.handle();
    Ok((AlertSwitch::On(handle), Some(alerter)))
}
