//! Wires the parts of log-viewer together.

use std::sync::Arc;

use common::cli::{Failure, Program};
use common::clock::Clock;
use common::env::Env;
use common::http::gate::Gate;
use common::service::Service;

use crate::config::{Config, DEFAULTS, HELP};
use crate::context::Shared;
use crate::live::Live;
use crate::routes::ROUTES;
use crate::tailer::{self, TailerConfig};
use crate::{store, timers};

/// What `main` runs.
pub const PROGRAM: Program = Program {
    name: "log-viewer",
    version: env!("CARGO_PKG_VERSION"),
    help: HELP,
    defaults: DEFAULTS,
    interface: Some(&ui::LOG_VIEWER),
    run,
};

fn run(env: Env) -> Result<(), Failure> {
    let config = Config::read(env)?;
    let gate = Gate::new(ROUTES, config.api_key, config.settings.rate_limit, Clock::System);
    let service = Service::open(&PROGRAM, config.settings, store::MIGRATIONS, ROUTES)?;
    let live = Arc::new(Live::new(store::max_id(&*service.core.database.reader()?)?));
    let shared = Arc::new(Shared { live, status: Arc::default() });
    let tailer_config = TailerConfig {
        sources: config.sources,
        patterns: config.containers,
        poll_interval: config.poll_interval,
        tail_bytes: config.tail_bytes,
    };
    let tailer = tailer::start(tailer_config, &service.core, &shared)?;
    let retention = timers::start(Arc::clone(&service.core), config.limits)?;
    service.serve(ROUTES, gate, &shared, || shared.live.close())?;
    service.close([tailer, retention])
}
