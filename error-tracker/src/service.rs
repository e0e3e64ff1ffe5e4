//! Wires the parts of error-tracker together.

use std::sync::{Arc, Mutex};

use common::cli::{Failure, Program};
use common::clock::Clock;
use common::env::Env;
use common::http::gate::Gate;
use common::service::{Core, Service};

use crate::alerter::Alerter;
use crate::config::{Alerts, Config, DEFAULTS, HELP};
use crate::context::{AlertSwitch, Shared};
use crate::routes::ROUTES;
use crate::{store, timers};

/// What `main` runs.
pub const PROGRAM: Program = Program {
    name: "error-tracker",
    version: env!("CARGO_PKG_VERSION"),
    help: HELP,
    defaults: DEFAULTS,
    interface: Some(&ui::ERROR_TRACKER),
    run,
};

fn run(env: Env) -> Result<(), Failure> {
    let config = Config::read(env)?;
    let gate = Gate::new(ROUTES, config.api_key, config.settings.rate_limit, Clock::System);
    let service =
        Service::open(&PROGRAM, config.settings, store::MIGRATIONS, ROUTES)?.with_functions(store::register_functions);
    let (alerts, alerter) = start_alerter(config.alerts, config.base_url, &service.core)?;
    let retention = timers::start(Arc::clone(&service.core), config.retention)?;
    let shared = Arc::new(Shared { alerts, large_answer: Mutex::new(()) });
    service.serve(ROUTES, gate, &shared, || {})?;
    if let Some(alerter) = alerter {
        alerter.stop();
    }
    service.close([retention])
}

fn start_alerter(alerts: Alerts, base_url: String, core: &Core) -> Result<(AlertSwitch, Option<Alerter>), Failure> {
    let (mailer, retry_after) = match alerts {
        Alerts::On { mailer, retry_after } => (*mailer, retry_after),
        Alerts::Off { missing } => {
            log::info!("alerts are off: {missing}");
            return Ok((AlertSwitch::Off { missing }, None));
        }
    };
    let (reader, writer) = (core.database.reader()?, core.writer.clone());
    let (clock, stop) = (core.clock.clone(), core.stop.clone());
    let alerter = Alerter::spawn(mailer, retry_after, base_url, reader, writer, clock, stop)?;
    Ok((AlertSwitch::On(alerter.handle()), Some(alerter)))
}
