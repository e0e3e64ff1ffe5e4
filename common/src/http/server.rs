//! The worker pool on tiny_http; the only file that names it. It serves the private Unix socket behind the
//! [screen](crate::http::screen), so every request it sees is complete, well-formed and admitted.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http::error::{ApiError, Kind};
use crate::http::gate::Admit;
use crate::http::metrics::HttpMetrics;
use crate::http::queue::Queue;
use crate::http::reply::{Answer, Reply};
use crate::http::request::{Method, Request, Target};
use crate::http::response::Response;
use crate::http::router::{self, Access, Found, Route};
use crate::http::screen::{GREETING_TARGET, Screen, ScreenConfig};
use crate::http::stream::{Outlet, STREAM_MARK, Stream};
use crate::shutdown::Stop;
use crate::writer::Writer;

/// A handler parses, asks SQLite and renders; none recurses with its input.
const STACK_BYTES: usize = 512 << 10;
/// A socket's address has 108 bytes, the last of them NUL (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// How long requests in progress may take after the signal to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// What has waited this long for a worker is refused. With a query's and a write's longest time it stays below what the
/// screen waits for an answer.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Where a server listens, how many may connect, and how many are answered at a time.
pub struct ServerConfig {
    /// The public address.
    pub address: SocketAddr,
    /// Connections at a time.
    pub connections_max: usize,
    /// Whether `X-Forwarded-For` counts.
    pub trust_proxy: bool,
    /// The private socket; removed and made anew.
    pub socket: PathBuf,
    /// Requests that may take long, at a time. One worker more answers what is public.
    pub workers: usize,
    /// Told when nothing can be answered any more.
    pub stop: Stop,
}

/// A running server.
pub struct Server {
    screen: Screen,
    inner: Arc<tiny_http::Server>,
    workers: Vec<JoinHandle<()>>,
    giving_up: Arc<AtomicBool>,
    socket: PathBuf,
    /// What a shortened name of the socket goes through.
    _folder: Option<File>,
}

struct Shared<C: 'static> {
    routes: &'static [Route<C>],
    writer: Writer,
    metrics: Arc<HttpMetrics>,
    queue: Queue<Asked<C>>,
    stop: Stop,
    /// The service stops, and has waited long enough for the requests that are here.
    giving_up: Arc<AtomicBool>,
}

/// A request whose body is still to be read.
struct Asked<C: 'static> {
    raw: tiny_http::Request,
    began: Instant,
    request: Request,
    found: Found<'static, C>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "this is the file that knows tiny_http")]
    /// Opens the port, with a context for each worker.
    pub fn start<C: Send + 'static>(
        config: ServerConfig,
        routes: &'static [Route<C>],
        context: impl Fn() -> C,
        admit: Arc<dyn Admit>,
        writer: Writer,
        metrics: Arc<HttpMetrics>,
    ) -> io::Result<Self> {
        let ServerConfig { address, connections_max, trust_proxy, socket, workers, stop } = config;
        let (socket, folder) = short_name(socket)?;
        let listener = listen_privately(&socket)?;
        let inner = Arc::new(tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?);
        let giving_up = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            routes,
            writer,
            metrics: Arc::clone(&metrics),
            queue: Queue::new(workers),
            stop: stop.clone(),
            giving_up: Arc::clone(&giving_up),
        });
        let workers = (0..=workers)
            .map(|number| {
                let (inner, shared, context) = (Arc::clone(&inner), Arc::clone(&shared), context());
                thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || work(&inner, &shared, &context))
            })
            .collect::<Result<_, _>>()?;
        let local = socket.clone();
        let screen = Screen::open(ScreenConfig { address, connections_max, trust_proxy, local, stop }, admit, metrics)?;
        Ok(Self { screen, inner, workers, giving_up, socket, _folder: folder })
    }

    /// The public address; tells the port when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.screen.address()
    }

    /// Answers what is in progress and ends all threads. The writer must still run. Some time is allowed for that; then all
    /// clients are gone and `give_up` breaks off what the workers still do.
    pub fn stop(self, give_up: impl FnOnce()) {
        self.screen.close(STOP_PATIENCE);
        self.giving_up.store(true, Ordering::Relaxed);
        give_up();
        for _ in &self.workers {
            self.inner.unblock();
        }
        for worker in self.workers {
            // A panic outside a handler was printed when it happened.
            let _ = worker.join();
        }
        // tiny_http wakes its accept thread over the socket, so the file goes last.
        drop(self.inner);
        let _ = fs::remove_file(&self.socket);
    }
}

/// A name that fits into a socket's address, and the open folder that it goes through unless the path itself fits.
fn short_name(path: PathBuf) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
    let name = format!("/proc/self/fd/{}", folder.as_raw_fd());
    Ok((Path::new(&name).join(path.file_name().unwrap_or_default()), Some(folder)))
}

/// A socket only this user can open. What an earlier process left is removed.
fn listen_privately(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)
        .map_err(|error| io::Error::new(error.kind(), format!("socket {}: {error}", path.display())))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn work<C>(server: &tiny_http::Server, shared: &Shared<C>, context: &C) {
    loop {
        let raw = match server.recv() {
            Ok(raw) => raw,
            // The word to stop, unless nobody gave it.
            Err(error) => return shared.stop.fail(format!("tiny_http accepts no more: {error}")),
        };
        if raw.url() == GREETING_TARGET {
            send(raw, &Response::no_content());
            continue;
        }
        match look_at(&raw, shared.routes) {
            Ok((request, found)) => {
                let asked = Asked { raw, began: Instant::now(), request, found };
                answer_in_turn(asked, shared, context);
            }
            Err(error) => send(raw, &error.response()),
        }
    }
}

/// Answers what is public at once. Another request may have to leave the worker to others; then one that ends takes it up.
fn answer_in_turn<C>(asked: Asked<C>, shared: &Shared<C>, context: &C) {
    if matches!(asked.found, Found::Route(Route { access: Access::Public, .. }, ..)) {
        return answer_one(asked, shared, context);
    }
    let mut next = shared.queue.enter(asked);
    while let Some(asked) = next {
        answer_one(asked, shared, context);
        next = shared.queue.next();
    }
}

fn answer_one<C>(asked: Asked<C>, shared: &Shared<C>, context: &C) {
    let Asked { mut raw, began, mut request, found } = asked;
    let place = if let Found::Route(_, place, _) = found { Some(place) } else { None };
    let reply = catch_unwind(AssertUnwindSafe(|| {
        refuse_if_late(began, shared)?;
        request.body = read_body(&mut raw)?;
        dispatch(&mut request, &found, shared.routes, context)
    }));
    let reply = reply.unwrap_or_else(|_| Err(ApiError::new(Kind::Internal, "Internal server error")));
    let metrics = Arc::clone(&shared.metrics);
    let count = move |status| metrics.answered(place, status, began.elapsed());
    match reply {
        Ok(Reply::Now(response)) => answer(raw, count)(response),
        Ok(Reply::AfterCommit(write)) => write.submit(&shared.writer, answer(raw, count)),
        Ok(Reply::Stream(stream)) => {
            count(stream.head.status);
            start_stream(raw, stream);
        }
        Err(error) => answer(raw, count)(error.response()),
    }
}

fn answer(raw: tiny_http::Request, count: impl FnOnce(u16) + Send + 'static) -> Answer {
    Box::new(move |response| {
        count(response.status);
        send(raw, &response);
    })
}

/// Gives a stream its own thread.
fn start_stream(raw: tiny_http::Request, stream: Stream) {
    let run = move || {
        let is_head = raw.method() == &tiny_http::Method::Head;
        let mut outlet = Outlet::new(raw.into_writer());
        let mut head = stream.head.open_head();
        head.extend_from_slice(STREAM_MARK);
        let outcome = outlet.head(&head).and_then(|()| {
            if is_head {
                return Ok(());
            }
            catch_unwind(AssertUnwindSafe(|| (stream.run)(&mut outlet)))
                .unwrap_or_else(|_| Err(io::Error::other("panic")))
        });
        // The client may be gone: that is how most streams end.
        let _ = outlet.finish(outcome.is_ok());
    };
    // Without a thread the request is dropped, which tiny_http answers with a 500.
    if let Err(error) = thread::Builder::new().name("stream".into()).stack_size(STACK_BYTES).spawn(run) {
        log::warn!("no thread for a stream: {error}");
    }
}

/// Nobody waits for what comes so late.
fn refuse_if_late<C>(began: Instant, shared: &Shared<C>) -> Result<(), ApiError> {
    if shared.giving_up.load(Ordering::Relaxed) {
        return Err(ApiError::unavailable(5, "The service is stopping, try again"));
    }
    if began.elapsed() > WAIT_MAX {
        return Err(ApiError::unavailable(1, "The service is busy, try again"));
    }
    Ok(())
}

fn dispatch<C>(
    request: &mut Request,
    found: &Found<'_, C>,
    routes: &[Route<C>],
    context: &C,
) -> Result<Reply, ApiError> {
    match found {
        Found::Route(route, ..) => (route.handle)(context, request),
        Found::WrongMethod => Err(router::wrong_method(routes, &request.target.segments)),
        Found::Nothing => Err(ApiError::not_found("Not found")),
    }
}

/// The head of a request, and its route.
fn look_at<'r, C>(raw: &tiny_http::Request, routes: &'r [Route<C>]) -> Result<(Request, Found<'r, C>), ApiError> {
    let method = Method::parse(raw.method().as_str());
    let target = Target::parse(raw.url())?;
    let headers = raw
        .headers()
        .iter()
        .map(|header| (header.field.as_str().as_str().to_owned(), header.value.as_str().to_owned()))
        .collect();
    let found = router::find(routes, method, &target.segments);
    let id = if let Found::Route(_, _, id) = found { id } else { 0 };
    Ok((Request { method, target, headers, body: Vec::new(), id }, found))
}

fn read_body(raw: &mut tiny_http::Request) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::with_capacity(raw.body_length().unwrap_or(0));
    io::Read::read_to_end(raw.as_reader(), &mut body)
        .map_err(|_| ApiError::new(Kind::Invalid, "Failed to read request body"))?;
    Ok(body)
}

/// Up to this size head and body go in one write; a larger body is not copied for that.
const ONE_WRITE_BYTES_MAX: usize = 16 << 10;

/// The whole answer. A failure means that the screen gave this request up; nobody waits for it.
fn send(raw: tiny_http::Request, response: &Response) {
    let head_only = raw.method() == &tiny_http::Method::Head;
    let mut writer = raw.into_writer();
    let written = if head_only || response.body.len() <= ONE_WRITE_BYTES_MAX {
        writer.write_all(&response.to_http(head_only, false))
    } else {
        writer.write_all(&response.head(false)).and_then(|()| writer.write_all(&response.body))
    };
    let _ = written.and_then(|()| writer.flush());
}
