//! What every service is made of, and the order in which it starts and stops. A service adds its own parts in between:
//!
//! 1. [`Service::open`]: signals, database, writer;
//! 2. its own threads, with the [`Core`];
//! 3. [`Service::serve`]: answers requests until it is told to stop;
//! 4. [`Service::close`]: its own threads end, then the writer.

use std::cell::OnceCell;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::cli::{Failure, Program};
use crate::clock::Clock;
use crate::db::{self, Database, Migration, Reader};
use crate::http::error::ApiError;
use crate::http::gate::Admit;
use crate::http::metrics::HttpMetrics;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::router::Route;
use crate::http::server::{Server, ServerConfig};
use crate::prometheus::Page;
use crate::settings::Settings;
use crate::shutdown::{self, Stop};
use crate::ui::Interface;
use crate::writer::{Writer, WriterThreads};
use crate::{process, timers};

/// How often free memory goes back to the system: a crowd that has left leaves several megabytes of it, in pieces, and
/// every further one more.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(30);

/// What all threads of a service share, whichever service it is.
pub struct Core {
    /// Tells the time.
    pub clock: Clock,
    /// Takes what is to be written.
    pub writer: Writer,
    /// Opens connections for reading.
    pub database: Database,
    /// Tells when it is time to stop.
    pub stop: Stop,
    pub(crate) interface: Option<&'static Interface>,
    pub(crate) http: Arc<HttpMetrics>,
    pub(crate) started: Instant,
}

/// A service that runs.
pub struct Service {
    /// What its threads share.
    pub core: Arc<Core>,
    program: &'static Program,
    settings: Settings,
    prepare_reader: PrepareReader,
    writer_threads: WriterThreads,
}

/// Makes a connection ready for a service's queries.
pub(crate) type PrepareReader = fn(&Connection) -> rusqlite::Result<()>;

impl Service {
    /// From now on signals are heard, and the database is open and up to date.
    pub fn open<C>(
        program: &'static Program,
        settings: Settings,
        migrations: &[Migration],
        routes: &[Route<C>],
    ) -> Result<Self, Failure> {
        crate::log::init(settings.log_level);
        let stop = Stop::new();
        shutdown::on_signals(&stop)?;
        let (database, connection) = Database::open(&settings.database_path, program.name, migrations)?;
        let (writer, writer_threads) = Writer::start(connection)?;
        let http = Arc::new(HttpMetrics::new(routes));
        let core = Core {
            clock: Clock::System,
            writer,
            database,
            stop,
            interface: program.interface,
            http,
            started: Instant::now(),
        };
        Ok(Self { core: Arc::new(core), program, settings, prepare_reader: |_| Ok(()), writer_threads })
    }

    /// The same with SQL functions of its own, which workers need to read.
    #[must_use]
    pub fn with_functions(self, prepare_reader: PrepareReader) -> Self {
        Self { prepare_reader, ..self }
    }

    /// Answers requests until it is time to stop; `at_stop` then ends what would keep clients waiting.
    pub fn serve<S: Send + Sync + 'static>(
        &self,
        routes: &'static [Route<Context<S>>],
        gate: impl Admit + 'static,
        shared: &Arc<S>,
        at_stop: impl FnOnce(),
    ) -> Result<(), Failure> {
        let (core, settings) = (&self.core, &self.settings);
        let config = ServerConfig {
            address: settings.address,
            connections_max: settings.connections_max,
            trust_proxy: settings.trust_proxy,
            socket: db::with_suffix(&settings.database_path, ".sock"),
            workers: settings.workers,
            stop: core.stop.clone(),
        };
        let context = || Context {
            core: Arc::clone(core),
            shared: Arc::clone(shared),
            reader: OnceCell::new(),
            prepare_reader: self.prepare_reader,
        };
        let server =
            Server::start(config, routes, context, Arc::new(gate), core.writer.clone(), Arc::clone(&core.http))?;
        log::info!("{} {} listens on {}", self.program.name, self.program.version, server.address()?);
        process::give_memory_back();
        process::give_code_back();
        while !core.stop.wait_timeout(GIVE_BACK_EVERY) {
            process::give_memory_back();
        }
        log::info!("stopping");
        at_stop();
        server.stop(|| core.database.end_queries());
        Ok(())
    }

    /// Waits for the service's own threads, which look at the signal themselves, and writes what is left.
    pub fn close(self, threads: impl IntoIterator<Item = JoinHandle<()>>) -> Result<(), Failure> {
        for thread in threads {
            // A panic in one was printed when it happened.
            let _ = thread.join();
        }
        // Closing the last connection would delete the `-shm` file, and on a disk that is full by the next start there is no
        // room for another. The process ends anyway.
        std::mem::forget(self.writer_threads.stop());
        log::info!("stopped");
        self.core.stop.failure().map_or(Ok(()), |why| Err(Failure::Other(why.into())))
    }
}

/// What a handler works with: one per worker, with a database connection of its own. `S` is what the service's own parts
/// share.
pub struct Context<S> {
    /// What is the same in every service.
    pub core: Arc<Core>,
    /// What the service's parts share.
    pub shared: Arc<S>,
    pub(crate) reader: OnceCell<Reader>,
    pub(crate) prepare_reader: PrepareReader,
}

impl<S> Context<S> {
    /// The worker's read-only connection, with a fresh time limit. It is opened when it is first needed: a service that only
    /// takes what is sent does not pay for it.
    pub fn reader(&self) -> rusqlite::Result<&Reader> {
        let reader = if let Some(reader) = self.reader.get() {
            reader
        } else {
            let reader = self.core.database.reader()?;
            (self.prepare_reader)(&reader)?;
            self.reader.get_or_init(|| reader)
        };
        reader.restart_time_limit();
        Ok(reader)
    }
}

impl Core {
    /// The answer to `GET /health`: what keeps the database from being written makes it a 503, else what `degraded` says is
    /// told with a 200. `more` are the service's own fields.
    pub fn health(&self, degraded: Option<String>, mut more: Value) -> Response {
        let trouble = self.writer.trouble().map(|trouble| format!("the database cannot be written: {trouble}"));
        let (status, word) = match (&trouble, &degraded) {
            (Some(_), _) => (503, "error"),
            (None, Some(_)) => (200, "degraded"),
            (None, None) => (200, "ok"),
        };
        more["status"] = word.into();
        if let Some(detail) = trouble.or(degraded) {
            more["detail"] = detail.into();
        }
        Response::json(status, &more)
    }

    /// The beginning of `GET /metrics`: the figures of what all services have.
    pub fn figures(&self) -> Page {
        let mut page = Page::default();
        self.http.render(&mut page);
        self.writer.render(&mut page);
        self.database.render(&mut page);
        timers::render(&mut page);
        process::render(&mut page, self.started.elapsed());
        page
    }
}

/// `GET /health` of a service that has nothing to add. Touches no disk.
pub fn health<S>(ctx: &Context<S>, _request: &mut Request) -> Result<Reply, ApiError> {
    Ok(ctx.core.health(None, json!({})).into())
}
