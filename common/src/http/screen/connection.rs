//! One client's connection: reads a request, has it admitted and answered, and only then reads the next.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Shared;
use super::local::Local;
use super::memory::SMALL_BODY_BYTES;
use crate::http::body::{BadChunks, Chunks};
use crate::http::error::{ApiError, Kind};
use crate::http::head::{FORWARDED_HEADERS, Framing, HEAD_BYTES_MAX, Head};
use crate::http::metrics::Refusal;

/// A head is complete this long after its first byte, or after the connection was opened.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// A body is complete this long after its head.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// A connection may be idle between requests for so long.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// A client takes some of its answer in this time, or is gone.
const WRITE_TIME_MAX: Duration = Duration::from_secs(20);
/// A client that takes nothing of its answer for this long may have to make room.
const WRITE_STALL: Duration = Duration::from_secs(2);
/// After a refusal, unread input is swallowed so that the client reads the answer and not a reset; so much, so long.
const DRAIN_BYTES_MAX: usize = 1 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// One read; holds a common report with its head.
const READ_BYTES: usize = 4 << 10;
/// Buffers larger than this are given back after the request.
const KEPT_BYTES: usize = 16 << 10;
/// One piece of an answer on its way through.
const PIECE_BYTES: usize = 8 << 10;
/// Our own server's heads are far smaller.
const ANSWER_HEAD_BYTES_MAX: usize = 4 << 10;

/// States of a connection, in the low bits beside the time since it is so.
const WAITING: u64 = 0;
const BUSY: u64 = 1;
const WRITING: u64 = 2;
const EVICTED: u64 = 3;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What others may know of a connection, and do to it.
pub(super) struct Connection {
    pub(super) id: u64,
    socket: TcpStream,
    peer: IpAddr,
    state: AtomicU64,
}

/// A thread's buffers, used for one connection after the other.
#[derive(Default)]
pub(super) struct Buffers {
    input: Vec<u8>,
    outgoing: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(id: u64, socket: TcpStream, peer: IpAddr) -> Self {
        let connection = Self { id, socket, peer, state: AtomicU64::new(0) };
        connection.set_state(WAITING);
        connection
    }

    /// Since when (milliseconds) this connection could be closed without breaking off a request in progress.
    pub(super) fn evictable_since(&self) -> Option<u64> {
        let packed = self.state.load(Ordering::Relaxed);
        let (since, state) = (packed >> 2, packed & 3);
        let stalled = now_millis().saturating_sub(since) > WRITE_STALL.as_millis() as u64;
        (state == WAITING || (state == WRITING && stalled)).then_some(since)
    }

    /// Ends reading, or both directions: the connection's thread notices and leaves.
    pub(super) fn hang_up(&self, how: Shutdown) {
        let packed = self.state.load(Ordering::Relaxed);
        if packed & 3 == WAITING || how == Shutdown::Both {
            if how == Shutdown::Both {
                self.set_state(EVICTED);
            }
            // Fails only when the peer has closed already.
            let _ = self.socket.shutdown(how);
        }
    }

    /// Answers without reading, for want of a slot.
    pub(super) fn turn_away(&self, error: &ApiError) {
        // One small answer fits the socket's buffer; a client that is gone already needs none.
        let _ = self.socket.set_nonblocking(true);
        let _ = (&self.socket).write(&error.response().to_http(false, true));
    }

    fn set_state(&self, state: u64) {
        self.state.store(now_millis() << 2 | state, Ordering::Relaxed);
    }
}

fn now_millis() -> u64 {
    EPOCH.elapsed().as_millis() as u64
}

/// Why a connection ends.
enum End {
    /// The client is done or gone; nothing is left to say.
    Closed,
    /// It is told why.
    Refused(ApiError, Refusal),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        // Whatever breaks the socket, nobody is left to be told.
        Self::Closed
    }
}

fn refused(kind: Kind, detail: impl Into<String>, refusal: Refusal) -> End {
    End::Refused(ApiError::new(kind, detail), refusal)
}

/// Serves a client until it leaves, breaks the rules, or the service stops.
pub(super) fn serve(shared: &Shared, connection: &Connection, buffers: &mut Buffers) {
    buffers.input.clear();
    let mut client = Client { shared, connection, buffers, timeout: Duration::ZERO, is_new: true };
    if client.prepare().is_err() {
        return;
    }
    loop {
        match client.serve_one() {
            Ok(true) if !shared.stopping.load(Ordering::Relaxed) => {}
            Ok(_) | Err(End::Closed) => return,
            Err(End::Refused(error, refusal)) => {
                shared.metrics.refused(refusal);
                client.refuse_and_leave(&error);
                return;
            }
        }
    }
}

struct Client<'c> {
    shared: &'c Shared,
    connection: &'c Connection,
    buffers: &'c mut Buffers,
    /// The socket's read timeout as last set; zero: not set yet.
    timeout: Duration,
    is_new: bool,
}

/// What is left of a head once the buffer it borrowed from moves on.
struct Incoming {
    head_bytes: usize,
    framing: Framing,
    keep_alive: bool,
    expects_continue: bool,
    is_head: bool,
    body_bytes_max: usize,
}

impl Client<'_> {
    fn prepare(&mut self) -> io::Result<()> {
        self.connection.socket.set_nodelay(true)?;
        self.connection.socket.set_write_timeout(Some(WRITE_TIME_MAX))
    }

    /// One request and its answer; whether the connection stays open.
    fn serve_one(&mut self) -> Result<bool, End> {
        self.connection.set_state(WAITING);
        let head_bytes = self.read_head()?;
        self.is_new = false;
        let incoming = match self.take_head(head_bytes)? {
            Ok(incoming) => incoming,
            Err(stays_open) => return Ok(stays_open),
        };
        let too_large = || refused(Kind::BodyTooLarge, "Request body exceeds maximum size", Refusal::BodyTooLarge);
        let declared = match incoming.framing {
            Framing::Length(length) if length > incoming.body_bytes_max as u64 => return Err(too_large()),
            Framing::Length(length) => length as usize,
            Framing::Chunked => incoming.body_bytes_max,
        };
        let Some(_share) = self.shared.large_bodies.take(declared) else {
            let busy = ApiError::unavailable(1, "Too many large requests at once, try again");
            return Err(End::Refused(busy, Refusal::BodyMemory));
        };
        self.send_continue(&incoming)?;
        let taken = match incoming.framing {
            Framing::Length(_) => self.read_sized_body(&incoming, declared)?,
            Framing::Chunked => self.read_chunked_body(&incoming, too_large)?,
        };
        self.connection.set_state(BUSY);
        let outcome = self.exchange(&incoming, taken.body());
        self.consume(&taken);
        outcome
    }

    /// Waits for a head and reads it to its empty line; its length.
    fn read_head(&mut self) -> Result<usize, End> {
        let mut deadline = Instant::now() + if self.is_new { HEAD_TIME_MAX } else { IDLE_TIME_MAX };
        let mut searched = 0;
        loop {
            self.skip_empty_lines();
            let input = &self.buffers.input;
            if let Some(end) = find_empty_line(input, searched) {
                return Ok(end);
            }
            if input.len() >= HEAD_BYTES_MAX {
                let detail = format!("Request head exceeds {HEAD_BYTES_MAX} bytes");
                return Err(refused(Kind::HeadTooLarge, detail, Refusal::HeadTooLarge));
            }
            if has_bare_line_end(&input[searched..]) {
                return Err(refused(Kind::Invalid, "Malformed request head: a bare LF", Refusal::Malformed));
            }
            let was_empty = input.is_empty();
            searched = input.len().saturating_sub(3);
            match self.fill(READ_BYTES, deadline) {
                Ok(0) => return Err(End::Closed),
                // The clock of a head starts with its first byte.
                Ok(_) if was_empty && !self.is_new => deadline = Instant::now() + HEAD_TIME_MAX,
                Ok(_) => {}
                Err(error) if is_timeout(&error) && !self.buffers.input.is_empty() => {
                    return Err(refused(Kind::TooSlow, "The request head did not arrive in time", Refusal::TooSlow));
                }
                Err(_) => return Err(End::Closed),
            }
        }
    }

    /// Parses and admits a head and prepares what tiny_http will read. The inner error is a refusal that was answered
    /// already: whether the connection can stay open after it.
    fn take_head(&mut self, head_bytes: usize) -> Result<Result<Incoming, bool>, End> {
        let Buffers { input, outgoing, .. } = &mut *self.buffers;
        let head = Head::parse(&input[..head_bytes]).map_err(|error| {
            let refusal = if error.status() == 431 { Refusal::HeadTooLarge } else { Refusal::Malformed };
            End::Refused(error, refusal)
        })?;
        let peer = client_address(&head, self.connection.peer, self.shared.config.trust_proxy);
        let is_head = head.method == "HEAD";
        match self.shared.admit.admit(&head, peer) {
            Ok(body_bytes_max) => {
                forward_head(&head, outgoing);
                let Head { framing, keep_alive, expects_continue, .. } = head;
                Ok(Ok(Incoming { head_bytes, framing, keep_alive, expects_continue, is_head, body_bytes_max }))
            }
            Err((error, refusal)) => {
                // Without a body, or with one that is here already, the next request can follow the refusal.
                let body_bytes = match head.framing {
                    Framing::Length(length) => usize::try_from(length).ok().filter(|n| *n <= input.len() - head_bytes),
                    Framing::Chunked => None,
                };
                let Some(body_bytes) = body_bytes.filter(|_| head.keep_alive) else {
                    return Err(End::Refused(error, refusal));
                };
                self.shared.metrics.refused(refusal);
                input.drain(..head_bytes + body_bytes);
                self.connection.set_state(WRITING);
                (&self.connection.socket).write_all(&error.response().to_http(is_head, false))?;
                Ok(Err(true))
            }
        }
    }

    fn send_continue(&mut self, incoming: &Incoming) -> Result<(), End> {
        if incoming.expects_continue && self.buffers.input.len() == incoming.head_bytes {
            (&self.connection.socket).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    fn read_sized_body(&mut self, incoming: &Incoming, length: usize) -> Result<Taken, End> {
        let end = incoming.head_bytes + length;
        let deadline = Instant::now() + BODY_TIME_MAX;
        while self.buffers.input.len() < end {
            // The buffer grows with what arrives, not with what was promised.
            let missing = end - self.buffers.input.len();
            self.fill_body(missing.min(64 << 10), deadline)?;
        }
        Ok(Taken::InPlace { start: incoming.head_bytes, end })
    }

    fn read_chunked_body(&mut self, incoming: &Incoming, too_large: impl Fn() -> End) -> Result<Taken, End> {
        let deadline = Instant::now() + BODY_TIME_MAX;
        let (mut chunks, mut body, mut at) = (Chunks::new(), Vec::new(), incoming.head_bytes);
        loop {
            let input = &mut self.buffers.input;
            at += chunks.decode(&input[at..], &mut body, incoming.body_bytes_max).map_err(|bad| match bad {
                BadChunks::TooLarge => too_large(),
                BadChunks::Malformed => refused(Kind::Invalid, "Malformed chunked body", Refusal::Malformed),
            })?;
            if chunks.is_done() {
                return Ok(Taken::Decoded { body, end: at });
            }
            input.drain(incoming.head_bytes..at);
            at = incoming.head_bytes;
            self.fill_body(READ_BYTES, deadline)?;
        }
    }

    fn fill_body(&mut self, most: usize, deadline: Instant) -> Result<(), End> {
        match self.fill(most, deadline) {
            Ok(0) => Err(End::Closed),
            Ok(_) => Ok(()),
            Err(error) if is_timeout(&error) => {
                Err(refused(Kind::TooSlow, "The request body did not arrive in time", Refusal::TooSlow))
            }
            Err(_) => Err(End::Closed),
        }
    }

    /// Reads up to `most` bytes more, waiting until the deadline.
    fn fill(&mut self, most: usize, deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        // A second more or less does not matter, a system call per request does.
        if left.abs_diff(self.timeout) > Duration::from_secs(1) || left < Duration::from_secs(1) {
            self.connection.socket.set_read_timeout(Some(left))?;
            self.timeout = left;
        }
        let input = &mut self.buffers.input;
        let before = input.len();
        input.resize(before + most, 0);
        let outcome = loop {
            match (&self.connection.socket).read(&mut input[before..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        input.truncate(before + outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Sends the request to tiny_http and its answer to the client.
    fn exchange(&mut self, incoming: &Incoming, body: Body<'_>) -> Result<bool, End> {
        let Buffers { input, outgoing, answer } = &mut *self.buffers;
        let body = match body {
            Body::Range(start, end) => &input[start..end],
            Body::Bytes(bytes) => bytes,
        };
        let _ = write!(outgoing, "content-length: {}\r\n\r\n", body.len());
        let keep_open = incoming.keep_alive && !self.shared.stopping.load(Ordering::Relaxed);
        let mut answering = Answering { connection: self.connection, answer, keep_open, is_head: incoming.is_head };
        let outcome = self.shared.local.take().and_then(|mut local| {
            send(&mut local, outgoing, body)?;
            answering.pass_on(&mut local)
        });
        match outcome {
            Ok(()) => Ok(keep_open),
            Err(_) if answering.has_begun() => Err(End::Closed),
            Err(error) => {
                log::warn!("no worker answered: {error}");
                let busy = ApiError::unavailable(1, "The service is busy, try again");
                Err(End::Refused(busy, Refusal::WorkersBusy))
            }
        }
    }

    fn consume(&mut self, taken: &Taken) {
        let end = match taken {
            Taken::InPlace { end, .. } | Taken::Decoded { end, .. } => *end,
        };
        let Buffers { input, outgoing, .. } = &mut *self.buffers;
        input.drain(..end);
        for buffer in [input, outgoing] {
            if buffer.capacity() > KEPT_BYTES {
                buffer.shrink_to(READ_BYTES);
            }
        }
    }

    fn skip_empty_lines(&mut self) {
        // A client may send an empty line after a body (RFC 9112, section 2.2).
        while self.buffers.input.starts_with(b"\r\n") {
            self.buffers.input.drain(..2);
        }
    }

    fn refuse_and_leave(&mut self, error: &ApiError) {
        let socket = &self.connection.socket;
        self.connection.set_state(WAITING);
        // The client may be gone; then there is nobody to tell.
        if (&*socket).write_all(&error.response().to_http(false, true)).is_err() {
            return;
        }
        let _ = socket.shutdown(Shutdown::Write);
        let deadline = Instant::now() + DRAIN_TIME_MAX;
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            self.buffers.input.clear();
            match self.fill(READ_BYTES, deadline) {
                Ok(0) | Err(_) => return,
                Ok(count) => drained += count,
            }
        }
    }
}

/// Where a body is.
enum Taken {
    InPlace { start: usize, end: usize },
    Decoded { body: Vec<u8>, end: usize },
}

#[derive(Clone, Copy)]
enum Body<'b> {
    Range(usize, usize),
    Bytes(&'b [u8]),
}

impl Taken {
    fn body(&self) -> Body<'_> {
        match self {
            Self::InPlace { start, end } => Body::Range(*start, *end),
            Self::Decoded { body, .. } => Body::Bytes(body),
        }
    }
}

/// The request line and the few headers that handlers may ask for; the length follows.
fn forward_head(head: &Head<'_>, outgoing: &mut Vec<u8>) {
    outgoing.clear();
    // Writing to a Vec cannot fail.
    let _ = write!(outgoing, "{} {} HTTP/1.1\r\n", head.method, head.target);
    for name in FORWARDED_HEADERS {
        if let Some(value) = head.header(name) {
            let _ = write!(outgoing, "{name}: {value}\r\n");
        }
    }
}

/// The client's address: the peer's, or what the trusted proxy in front says, which is the last entry it appended.
fn client_address(head: &Head<'_>, peer: IpAddr, trust_proxy: bool) -> IpAddr {
    if !trust_proxy {
        return peer;
    }
    let forwarded = head.last_header("x-forwarded-for").and_then(|list| list.rsplit(',').next());
    forwarded.and_then(|address| address.trim().parse().ok()).unwrap_or(peer)
}

fn send(local: &mut Local<'_>, head: &mut Vec<u8>, body: &[u8]) -> io::Result<()> {
    let stream = local.stream()?;
    if body.len() <= SMALL_BODY_BYTES {
        head.extend_from_slice(body);
        return stream.write_all(head);
    }
    stream.write_all(head)?;
    stream.write_all(body)
}

/// An answer on its way from tiny_http to the client.
struct Answering<'a> {
    connection: &'a Connection,
    answer: &'a mut Vec<u8>,
    keep_open: bool,
    is_head: bool,
}

impl Answering<'_> {
    fn has_begun(&self) -> bool {
        self.connection.state.load(Ordering::Relaxed) & 3 != BUSY
    }

    fn pass_on(&mut self, local: &mut Local<'_>) -> io::Result<()> {
        self.answer.clear();
        let head_bytes = self.read_head(local)?;
        let body_bytes = if self.is_head { 0 } else { body_length(&self.answer[..head_bytes])? };
        let mut missing = (head_bytes + body_bytes).saturating_sub(self.answer.len());
        if !self.keep_open {
            let before_empty_line = head_bytes - 2;
            self.answer.splice(before_empty_line..before_empty_line, *b"connection: close\r\n");
        }
        self.connection.set_state(WRITING);
        self.write()?;
        while missing > 0 {
            let count = self.read_piece(local, missing.min(PIECE_BYTES))?;
            missing -= count;
            self.write()?;
        }
        local.reusable();
        Ok(())
    }

    fn read_head(&mut self, local: &mut Local<'_>) -> io::Result<usize> {
        loop {
            if let Some(end) = find_empty_line(self.answer, 0) {
                return Ok(end);
            }
            if self.answer.len() > ANSWER_HEAD_BYTES_MAX {
                return Err(ErrorKind::InvalidData.into());
            }
            self.read_piece(local, PIECE_BYTES)?;
        }
    }

    fn read_piece(&mut self, local: &mut Local<'_>, most: usize) -> io::Result<usize> {
        let before = self.answer.len();
        self.answer.resize(before + most, 0);
        let outcome = local.stream()?.read(&mut self.answer[before..]);
        self.answer.truncate(before + outcome.as_ref().copied().unwrap_or(0));
        match outcome {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            outcome => outcome,
        }
    }

    fn write(&mut self) -> io::Result<()> {
        (&self.connection.socket).write_all(self.answer)?;
        self.connection.set_state(WRITING);
        self.answer.clear();
        Ok(())
    }
}

/// The length our server states; it states one for every answer that has a body.
fn body_length(head: &[u8]) -> io::Result<usize> {
    let mut storage = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut storage);
    response.parse(head).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let stated = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let digits = stated.and_then(|header| std::str::from_utf8(header.value).ok());
    Ok(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

/// Where the head ends, its empty line included.
fn find_empty_line(input: &[u8], from: usize) -> Option<usize> {
    input[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4)
}

fn has_bare_line_end(input: &[u8]) -> bool {
    input.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r')
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
