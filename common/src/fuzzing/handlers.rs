//! A service's handlers without its sockets: a request in, an answer out, a real database in between.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::value::RawValue;

use super::NOW;
use crate::clock::Clock;
use crate::db::{Database, Migration};
use crate::http::head::{FORWARDED_HEADERS, Head};
use crate::http::metrics::HttpMetrics;
use crate::http::reply::Reply;
use crate::http::request::{Method, Request, Target};
use crate::http::response::Response;
use crate::http::router::{self, Found, Route};
use crate::http::stream::Outlet;
use crate::service::{Context, Core};
use crate::shutdown::Stop;
use crate::testing::TempDir;
use crate::writer::{Writer, WriterThreads};

/// What was stored is thrown away after so many requests, or it would fill the disk.
const REQUESTS_MAX: usize = 20_000;
const COMMIT_TIME_MAX: Duration = Duration::from_secs(10);

/// How the handlers of a service are made ready.
pub struct Setup<S: 'static> {
    /// Its table.
    pub routes: &'static [Route<Context<S>>],
    /// Its schema.
    pub migrations: &'static [Migration],
    /// As for [`Service::with_functions`](crate::service::Service::with_functions).
    pub prepare_reader: fn(&Connection) -> rusqlite::Result<()>,
    /// What its parts share.
    pub shared: fn(&Core) -> S,
    /// What the gate would tell the handlers.
    pub notes: &'static [(&'static str, &'static str)],
}

/// Handlers and their database.
pub struct Handlers<S: 'static> {
    setup: Setup<S>,
    running: Option<Running<S>>,
    requests: usize,
}

struct Running<S> {
    context: Context<S>,
    threads: WriterThreads,
    _folder: TempDir,
}

impl<S> Handlers<S> {
    /// Not running yet.
    pub const fn new(setup: Setup<S>) -> Self {
        Self { setup, running: None, requests: 0 }
    }

    /// Answers the head of a request and, behind its empty line, the body. What is no request has no answer.
    pub fn answer(&mut self, bytes: &[u8]) -> Option<Response> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let (head, body) = bytes.split_at(end);
        let head = Head::parse(head).ok()?;
        let target = Target::parse(head.target).ok()?;
        let method = Method::parse(head.method);
        let routes = self.setup.routes;
        let Found::Route(route, _, id) = router::find(routes, method, &target.segments) else { return None };
        let forwarded = FORWARDED_HEADERS.iter().filter_map(|name| Some((*name, head.header(name)?)));
        let headers = forwarded.chain(self.setup.notes.iter().copied());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let body = body.get(..route.body_bytes_max).unwrap_or(body).to_vec();
        let mut request = Request { method, target, headers, body, id };
        let context = self.context();
        let response = match (route.handle)(context, &mut request) {
            Ok(reply) => settle(context, reply),
            Err(error) => error.response(),
        };
        check(&response);
        Some(response)
    }

    fn context(&mut self) -> &Context<S> {
        if self.requests % REQUESTS_MAX == 0
            && let Some(old) = self.running.take()
        {
            old.threads.stop();
        }
        self.requests += 1;
        &self.running.get_or_insert_with(|| start(&self.setup)).context
    }
}

fn start<S>(setup: &Setup<S>) -> Running<S> {
    let folder = TempDir::new();
    let (database, connection) =
        Database::open(&folder.path().join("fuzz.db"), "fuzz", setup.migrations).expect("a database");
    let (writer, threads) = Writer::start(connection).expect("a writer");
    let core = Core {
        clock: Clock::fixed(NOW),
        writer,
        database,
        stop: Stop::new(),
        interface: None,
        http: Arc::new(HttpMetrics::new(setup.routes)),
        started: Instant::now(),
    };
    let shared = Arc::new((setup.shared)(&core));
    let (reader, prepare_reader) = (OnceCell::new(), setup.prepare_reader);
    Running { context: Context { core: Arc::new(core), shared, reader, prepare_reader }, threads, _folder: folder }
}

/// Waits for a commit; takes what a stream sends, unless it has no end.
fn settle<S>(context: &Context<S>, reply: Reply) -> Response {
    match reply {
        Reply::Now(response) => response,
        Reply::AfterCommit(write) => {
            let (sender, receiver) = mpsc::sync_channel(1);
            write.submit(&context.core.writer, Box::new(move |response| sender.send(response).expect("it is awaited")));
            receiver.recv_timeout(COMMIT_TIME_MAX).expect("an answer after the commit")
        }
        Reply::Stream(stream) => {
            let is_endless = stream.head.headers.iter().any(|(_, value)| value == "text/event-stream");
            if !is_endless {
                (stream.run)(&mut Outlet::new(Box::new(Sink))).expect("nothing breaks");
            }
            stream.head
        }
    }
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer is never an error of ours, what says that it is JSON is, and a refusal says why.
fn check(response: &Response) {
    let body = String::from_utf8_lossy(&response.body);
    assert!(![500, 507].contains(&response.status), "{}: {body}", response.status);
    response.head(false);
    if response.headers.iter().any(|(_, value)| value == "application/json") {
        serde_json::from_str::<&RawValue>(&body).expect("JSON");
        assert!(response.status < 400 || body.contains(r#""detail":""#), "{body}");
    }
}
