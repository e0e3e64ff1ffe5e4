//! One client's connection: reads a request, has it admitted and answered, and only then reads the next.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Shared;
use super::answer::{Answer, Answering};
use super::arriving::{Arriving, Body, send_parts};
use super::local::{Local, read_once};
use crate::http::error::{ApiError, Kind};
use crate::http::gate::{Admitted, Caller, Outcome};
use crate::http::head::{FORWARDED_HEADERS, Framing, HEAD_BYTES_MAX, Head};
use crate::http::metrics::{HttpMetrics, Refusal};
use crate::http::response::Response;
use crate::memory::SMALL_BYTES;

/// A head is complete this long after its first byte, or after the connection was opened.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// A connection may be idle between requests for so long.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// A client takes some of its answer in this time, or is gone.
const WRITE_TIME_MAX: Duration = Duration::from_secs(20);
/// A client that takes nothing of its answer, or sends next to nothing of a large body, for this long may have to make
/// room for another.
const STALL: Duration = Duration::from_millis(250);
/// After a refusal, unread input is swallowed so that the client reads the answer and not a reset; so much, so long.
const DRAIN_BYTES_MAX: usize = 1 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// One read; holds a common report with its head.
pub(super) const READ_BYTES: usize = 4 << 10;
/// Buffers larger than this are given back after the request: there may be as many as connections.
const KEPT_BYTES: usize = 4 << 10;

/// States of a connection, in the low bits beside the time since it is so.
const STATE_BITS: u32 = 3;
/// Nothing of a request is here.
const IDLE: u64 = 0;
/// Some of a request is here.
const READING: u64 = 1;
/// A request is being answered.
pub(super) const BUSY: u64 = 2;
/// The client is being sent its answer.
pub(super) const WRITING: u64 = 3;
const EVICTED: u64 = 4;
/// A large body is arriving; since when the last [`SMALL_BYTES`] of it have.
pub(super) const RECEIVING: u64 = 5;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What others may know of a connection, and do to it.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) socket: TcpStream,
    peer: IpAddr,
    state: AtomicU64,
}

/// What a connection holds of its requests and answers.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) input: Vec<u8>,
    outgoing: Vec<u8>,
    answer: Vec<u8>,
}

/// Keeps what a common request needs.
fn give_back<const N: usize>(buffers: [&mut Vec<u8>; N]) {
    for buffer in buffers {
        if buffer.capacity() > KEPT_BYTES {
            buffer.shrink_to(KEPT_BYTES);
        }
    }
}

impl Connection {
    pub(super) fn new(id: u64, socket: TcpStream, peer: IpAddr) -> Self {
        let connection = Self { id, socket, peer, state: AtomicU64::new(0) };
        connection.set_state(IDLE);
        connection
    }

    /// Since when (milliseconds) this connection could be closed without breaking off a request in progress.
    pub(super) fn evictable_since(&self) -> Option<u64> {
        let (since, state) = self.state();
        (matches!(state, IDLE | READING | RECEIVING) || self.is_stalled(WRITING)).then_some(since)
    }

    /// Whether the connection has been in this state for a while without moving on.
    pub(super) fn is_stalled(&self, in_state: u64) -> bool {
        let (since, state) = self.state();
        state == in_state && now_millis().saturating_sub(since) > STALL.as_millis() as u64
    }

    /// Closes the connection, whatever it does: its thread notices and leaves.
    pub(super) fn hang_up(&self) {
        self.set_state(EVICTED);
        // Fails only when the peer has closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Ends reading where no request has begun; what is here already is still read.
    pub(super) fn hang_up_if_idle(&self) {
        if self.state().1 == IDLE {
            // Fails only when the peer has closed already.
            let _ = self.socket.shutdown(Shutdown::Read);
        }
    }

    /// Answers without waiting, for want of a slot. What the client sends must be swallowed for a while.
    pub(super) fn turn_away(&self, error: &ApiError) {
        // One small answer fits the socket's buffer; a client that is gone already needs none.
        let _ = self.socket.set_nonblocking(true);
        let _ = (&self.socket).write(&error.response().to_http(false, true));
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Swallows what is here of one that was turned away; whether more may come.
    pub(super) fn swallow(&self) -> bool {
        let mut input = [0; READ_BYTES];
        for _ in 0..DRAIN_BYTES_MAX / READ_BYTES {
            match (&self.socket).read(&mut input) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        false
    }

    pub(super) fn set_state(&self, state: u64) {
        self.state.store(now_millis() << STATE_BITS | state, Ordering::Relaxed);
    }

    /// Since when, and what.
    fn state(&self) -> (u64, u64) {
        let packed = self.state.load(Ordering::Relaxed);
        (packed >> STATE_BITS, packed & ((1 << STATE_BITS) - 1))
    }
}

fn now_millis() -> u64 {
    EPOCH.elapsed().as_millis() as u64
}

/// Why a connection ends.
pub(super) enum End {
    /// The client is done or gone; nothing is left to say.
    Closed,
    /// The gate has said all there is to say.
    Answered(Response),
    /// It is told why.
    Refused(ApiError, Refusal),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        // Whatever breaks the socket, nobody is left to be told.
        Self::Closed
    }
}

pub(super) fn refused(kind: Kind, detail: impl Into<String>, refusal: Refusal) -> End {
    End::Refused(ApiError::new(kind, detail), refusal)
}

/// Serves a client until it leaves, breaks the rules, or the service stops.
pub(super) fn serve(shared: &Shared, connection: &Connection) {
    let mut client = Client {
        shared,
        connection,
        buffers: Buffers::default(),
        timeout: Duration::ZERO,
        is_new: true,
        answer_headers: String::new(),
    };
    if client.prepare().is_err() {
        return;
    }
    let end = loop {
        match client.serve_one() {
            Ok(true) if !shared.stopping.load(Ordering::Relaxed) => {}
            Ok(_) => break End::Closed,
            Err(end) => break end,
        }
    };
    // A request that was broken off holds its memory no longer.
    client.buffers = Buffers::default();
    if let Some(response) = last_words(end, &shared.metrics) {
        client.answer_and_leave(response);
    }
}

/// What is still to be said at an end, counted.
fn last_words(end: End, metrics: &HttpMetrics) -> Option<Response> {
    match end {
        End::Closed => None,
        End::Answered(response) => {
            metrics.answered_at_gate(response.status);
            Some(response)
        }
        End::Refused(error, refusal) => {
            metrics.refused(refusal);
            Some(error.response())
        }
    }
}

pub(super) struct Client<'c> {
    pub(super) shared: &'c Shared,
    pub(super) connection: &'c Connection,
    pub(super) buffers: Buffers,
    /// The socket's read timeout as last set; zero: not set yet.
    timeout: Duration,
    is_new: bool,
    /// What the gate wants every answer to the current request to have.
    answer_headers: String,
}

/// What is left of a head once the buffer it borrowed from moves on.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Incoming {
    pub(super) head_bytes: usize,
    pub(super) framing: Framing,
    keep_alive: bool,
    expects_continue: bool,
    is_head: bool,
    is_http10: bool,
    pub(super) body_bytes_max: usize,
}

impl<'c> Client<'c> {
    fn prepare(&mut self) -> io::Result<()> {
        self.connection.socket.set_nodelay(true)?;
        self.connection.socket.set_write_timeout(Some(WRITE_TIME_MAX))
    }

    /// One request and its answer; whether the connection stays open.
    fn serve_one(&mut self) -> Result<bool, End> {
        self.connection.set_state(if self.buffers.input.is_empty() { IDLE } else { READING });
        self.answer_headers.clear();
        let head_bytes = self.read_head()?;
        self.is_new = false;
        let incoming = match self.take_head(head_bytes)? {
            Ok(incoming) => incoming,
            Err(stays_open) => return Ok(stays_open),
        };
        let mut arriving = Arriving::new(&incoming, self.buffers.input.len())?;
        let outcome = self.serve_admitted(&incoming, &mut arriving);
        if outcome.is_err() {
            self.buffers = Buffers::default();
        }
        // The memory has gone before the share of it.
        drop(arriving);
        outcome
    }

    /// Reads the body of a request that was let in, and answers it.
    fn serve_admitted(&mut self, incoming: &Incoming, arriving: &mut Arriving<'c>) -> Result<bool, End> {
        self.send_continue(incoming)?;
        let body = match incoming.framing {
            Framing::Length(_) => self.read_sized_body(incoming, arriving)?,
            Framing::Chunked => self.read_chunked_body(incoming, arriving)?,
        };
        self.connection.set_state(BUSY);
        self.exchange(incoming, body)
    }

    /// Waits for a head and reads it to its empty line; its length.
    fn read_head(&mut self) -> Result<usize, End> {
        let mut deadline = Instant::now() + if self.is_new { HEAD_TIME_MAX } else { IDLE_TIME_MAX };
        let mut searched = 0;
        loop {
            self.skip_empty_lines();
            let input = &self.buffers.input;
            let end = find_empty_line(input, searched);
            if let Some(end) = end.filter(|end| *end <= HEAD_BYTES_MAX) {
                return Ok(end);
            }
            if end.is_some() || input.len() >= HEAD_BYTES_MAX {
                let detail = format!("Request head exceeds {HEAD_BYTES_MAX} bytes");
                return Err(refused(Kind::HeadTooLarge, detail, Refusal::HeadTooLarge));
            }
            if has_bare_line_end(&input[searched..]) {
                return Err(refused(Kind::Invalid, "Malformed request head: a bare CR or LF", Refusal::Malformed));
            }
            let was_empty = input.is_empty();
            searched = input.len().saturating_sub(3);
            // Up to the end of a block, so that the buffer of a slow client is not doubled for a few bytes more.
            let block = READ_BYTES - input.len() % READ_BYTES;
            match self.fill(block, deadline) {
                Ok(0) => return Err(End::Closed),
                Ok(_) if was_empty => {
                    self.connection.set_state(READING);
                    // The clock of a head starts with its first byte.
                    if !self.is_new {
                        deadline = Instant::now() + HEAD_TIME_MAX;
                    }
                }
                Ok(_) => {}
                Err(error) if is_timeout(&error) && !self.buffers.input.is_empty() => {
                    return Err(refused(Kind::TooSlow, "The request head did not arrive in time", Refusal::TooSlow));
                }
                Err(_) => return Err(End::Closed),
            }
        }
    }

    /// Parses and admits a head and prepares what tiny_http will read. The inner error is a request that was answered
    /// already: whether the connection can stay open after it.
    fn take_head(&mut self, head_bytes: usize) -> Result<Result<Incoming, bool>, End> {
        let Buffers { input, outgoing, .. } = &mut self.buffers;
        let head = Head::parse(&input[..head_bytes]).map_err(|error| {
            let refusal = if error.status() == 431 { Refusal::HeadTooLarge } else { Refusal::Malformed };
            End::Refused(error, refusal)
        })?;
        let peer = self.connection.peer;
        let client = client_address(&head, peer, self.shared.config.trust_proxy);
        let is_head = head.method == "HEAD";
        let verdict = self.shared.admit.admit(&head, Caller { peer, client });
        self.answer_headers = verdict.answer_headers;
        let end = match verdict.outcome {
            Outcome::Admitted(Admitted { body_bytes_max, notes }) => {
                forward_head(&head, &notes, outgoing);
                let Head { framing, keep_alive, expects_continue, is_http10, .. } = head;
                return Ok(Ok(Incoming {
                    head_bytes,
                    framing,
                    keep_alive,
                    expects_continue,
                    is_head,
                    is_http10,
                    body_bytes_max,
                }));
            }
            Outcome::Answered(response) => End::Answered(response),
            Outcome::Refused(error, refusal) => End::Refused(error, refusal),
        };
        // Without a body, or with one that is here already, the next request can follow the answer.
        let body_bytes = match head.framing {
            Framing::Length(length) => usize::try_from(length).ok().filter(|n| *n <= input.len() - head_bytes),
            Framing::Chunked => None,
        };
        let Some(body_bytes) = body_bytes.filter(|_| head.keep_alive && !head.is_http10) else { return Err(end) };
        input.drain(..head_bytes + body_bytes);
        self.connection.set_state(WRITING);
        if let Some(response) = last_words(end, &self.shared.metrics) {
            let response = response.with_lines(&self.answer_headers);
            (&self.connection.socket).write_all(&response.to_http(is_head, false))?;
        }
        Ok(Err(true))
    }

    fn send_continue(&mut self, incoming: &Incoming) -> Result<(), End> {
        if incoming.expects_continue && self.buffers.input.len() == incoming.head_bytes {
            (&self.connection.socket).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    /// Reads up to `most` bytes more, waiting until the deadline.
    pub(super) fn fill(&mut self, most: usize, deadline: Instant) -> io::Result<usize> {
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
        // Not doubled: as many of these as connections grow at a time.
        input.reserve_exact(most);
        input.resize(before + most, 0);
        let outcome = read_once(&mut &self.connection.socket, &mut input[before..]);
        input.truncate(before + outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Sends the request to tiny_http and its answer to the client.
    fn exchange(&mut self, incoming: &Incoming, body: Body) -> Result<bool, End> {
        let Buffers { input, outgoing, answer } = &mut self.buffers;
        // Writing to a Vec cannot fail.
        let _ = write!(outgoing, "content-length: {}\r\n\r\n", body.length(incoming.head_bytes));
        let keep_open = incoming.keep_alive && !self.shared.stopping.load(Ordering::Relaxed);
        let Incoming { is_head, is_http10, .. } = *incoming;
        let mut answering = Answering {
            connection: self.connection,
            answer,
            headers: &self.answer_headers,
            keep_open,
            is_head,
            is_http10,
        };
        // The local connection goes back, and the worker with it, before the client is sent anything: a client that does
        // not read holds only its own connection. Only a stream has no end to wait for.
        let outcome = self.shared.local.take().and_then(|mut local| {
            if body.parts.is_empty() {
                send(&mut local, outgoing, &input[incoming.head_bytes..body.end])?;
            } else {
                send_parts(&mut local, outgoing, body.parts)?;
            }
            // The worker has it now; nobody holds it twice while it is worked on.
            input.drain(..body.end);
            outgoing.clear();
            give_back([input, outgoing]);
            answering.take_over(&mut local, self.shared)
        });
        match outcome {
            Ok(Answer::Whole(share)) => {
                let written = answering.write();
                // The memory goes before the share of it.
                give_back([answer]);
                drop(share);
                written?;
                Ok(keep_open)
            }
            Ok(Answer::TooLarge) => {
                let busy = ApiError::unavailable(1, "Too many large answers at once, try again");
                Err(End::Refused(busy, Refusal::AnswerMemory))
            }
            Ok(Answer::Streamed { complete }) => Ok(complete && keep_open && !is_http10),
            Err(error) => {
                if error.kind() == ErrorKind::ConnectionRefused {
                    self.shared.config.stop.fail("the way to the workers is gone");
                }
                log::warn!("no worker answered: {error}");
                let busy = ApiError::unavailable(1, "The service is busy, try again");
                Err(End::Refused(busy, Refusal::WorkersBusy))
            }
        }
    }

    fn skip_empty_lines(&mut self) {
        // A client may send an empty line after a body (RFC 9112, section 2.2).
        let lines = self.buffers.input.chunks_exact(2).take_while(|pair| pair == b"\r\n").count();
        self.buffers.input.drain(..2 * lines);
    }

    fn answer_and_leave(&mut self, response: Response) {
        let socket = &self.connection.socket;
        self.connection.set_state(WRITING);
        // The client may be gone; then there is nobody to tell.
        let response = response.with_lines(&self.answer_headers);
        if (&*socket).write_all(&response.to_http(false, true)).is_err() {
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

/// The request line, the few headers that handlers may ask for, and what the gate tells them; the length follows.
fn forward_head(head: &Head<'_>, notes: &[(&'static str, String)], outgoing: &mut Vec<u8>) {
    outgoing.clear();
    // Writing to a Vec cannot fail.
    let _ = write!(outgoing, "{} {} HTTP/1.1\r\n", head.method, head.target);
    for name in FORWARDED_HEADERS {
        if let Some(value) = head.header(name) {
            let _ = write!(outgoing, "{name}: {value}\r\n");
        }
    }
    for (name, value) in notes {
        let _ = write!(outgoing, "{name}: {value}\r\n");
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
    if body.len() <= SMALL_BYTES {
        head.extend_from_slice(body);
        return stream.write_all(head);
    }
    stream.write_all(head)?;
    stream.write_all(body)
}

/// Where the head ends, its empty line included.
pub(super) fn find_empty_line(input: &[u8], from: usize) -> Option<usize> {
    input[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4)
}

fn has_bare_line_end(input: &[u8]) -> bool {
    input.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r')
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
