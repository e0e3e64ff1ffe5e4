//! The screen owns the port. tiny_http cannot face strangers (docs/decisions/0002-screen.md), so it listens on a private
//! Unix socket, and what reaches it has been read here: complete, well-formed, admitted, one request at a time.
//!
//! A thread per connection, taken from a bounded pool. [`accept`] lets clients in, [`connection`] serves one client and
//! [`arriving`] its bodies; [`local`] is the way to tiny_http,
//! [`answer`] the way back.

mod accept;
mod answer;
mod arriving;
mod connection;
mod local;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::http::gate::Admit;
use crate::http::metrics::{HttpMetrics, Refusal};
use crate::memory::{Memory, Share};
use crate::shutdown::Stop;

use connection::{Connection, RECEIVING, WRITING};
pub(crate) use local::GREETING_TARGET;
use local::{LOCAL_CONNECTIONS_MAX, LocalPool};

/// Connections that may wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;
/// A connection thread parses a head and copies bytes; 256 of them must cost little.
const STACK_BYTES: usize = 96 << 10;
/// A thread without a connection ends after this long, so that a burst leaves nothing behind.
const THREAD_IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a new connection waits for the place of an evicted one.
const EVICTION_WAIT: Duration = Duration::from_millis(500);

/// All bodies in flight that are not small, together.
const LARGE_BODIES_BYTES_MAX: usize = 4 << 20;
/// How long a large body waits for its turn.
const LARGE_BODY_WAIT: Duration = Duration::from_secs(2);
/// All answers on their way that are not small, together. Clients that read take theirs at once.
const LARGE_ANSWERS_BYTES_MAX: usize = 1 << 20;
/// How long a large answer waits for its turn; a worker waits with it.
const LARGE_ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked meanwhile whether a client has stalled.
const STALL_CHECK: Duration = Duration::from_millis(20);

/// File descriptors of the ways to the workers: tiny_http's end of each is open twice.
pub(crate) const LOCAL_DESCRIPTORS_MAX: usize = 3 * LOCAL_CONNECTIONS_MAX;

/// How the screen is set up.
pub struct ScreenConfig {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Connections at a time.
    pub connections_max: usize,
    /// Whether the client's address is the last one in `X-Forwarded-For`.
    pub trust_proxy: bool,
    /// Where tiny_http listens.
    pub local: PathBuf,
    /// Told when tiny_http listens no more.
    pub stop: Stop,
}

/// The open port and its threads.
pub struct Screen {
    shared: Arc<Shared>,
    listener: Arc<TcpListener>,
    accepting: JoinHandle<()>,
    wake: Arc<OwnedFd>,
}

struct Shared {
    config: ScreenConfig,
    admit: Arc<dyn Admit>,
    metrics: Arc<HttpMetrics>,
    local: LocalPool,
    large_bodies: Memory,
    large_answers: Memory,
    stopping: AtomicBool,
    slots: Mutex<HashMap<u64, Arc<Connection>>>,
    slot_freed: Condvar,
    arrivals: Mutex<Arrivals>,
    arrived: Condvar,
}

/// Accepted connections that no thread serves yet, and how many threads wait for one.
#[derive(Default)]
struct Arrivals {
    waiting: VecDeque<Arc<Connection>>,
    idle_threads: usize,
}

impl Screen {
    /// Binds the port, exclusively, and starts to accept.
    pub fn open(config: ScreenConfig, admit: Arc<dyn Admit>, metrics: Arc<HttpMetrics>) -> io::Result<Self> {
        let listener = Arc::new(
            TcpListener::bind(config.address)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", config.address)))?,
        );
        rustix::net::listen(&listener, BACKLOG)?;
        let shared = Arc::new(Shared {
            local: LocalPool::new(config.local.clone()),
            large_bodies: Memory::new(LARGE_BODIES_BYTES_MAX),
            large_answers: Memory::new(LARGE_ANSWERS_BYTES_MAX),
            config,
            admit,
            metrics,
            stopping: AtomicBool::new(false),
            slots: Mutex::default(),
            slot_freed: Condvar::new(),
            arrivals: Mutex::default(),
            arrived: Condvar::new(),
        });
        listener.set_nonblocking(true)?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let accepting = {
            let (shared, listener, wake) = (Arc::clone(&shared), Arc::clone(&listener), Arc::clone(&wake));
            thread::Builder::new()
                .name("accept".into())
                .stack_size(STACK_BYTES)
                .spawn(move || accept::until_stopped(&shared, &listener, &wake))?
        };
        Ok(Self { shared, listener, accepting, wake })
    }

    /// The address in use; tells the port when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts no more, lets requests in progress be answered for up to `patience`, and closes everything.
    pub fn close(self, patience: Duration) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // An event counter that nobody else writes to takes one.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        let _ = self.accepting.join();
        drop(self.listener);
        let deadline = Instant::now() + patience;
        let mut slots = lock(&self.shared.slots);
        // A client whose request has begun to arrive still gets its answer.
        slots.values().for_each(|connection| connection.hang_up_if_idle());
        while !slots.is_empty() && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            slots = self.shared.slot_freed.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        slots.values().for_each(|connection| connection.hang_up());
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    /// Finds a place and a thread for a connection, or gives it back to be turned away.
    fn take_in(self: &Arc<Self>, connection: Arc<Connection>) -> Result<(), Arc<Connection>> {
        let id = connection.id;
        if !self.make_room() {
            self.metrics.refused(Refusal::ConnectionsFull);
            return Err(connection);
        }
        lock(&self.slots).insert(id, Arc::clone(&connection));
        self.metrics.connections.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.hand_over(connection) {
            log::warn!("no thread for a connection: {error}");
            self.metrics.refused(Refusal::ConnectionsFull);
            self.free_slot(id);
        }
        Ok(())
    }

    /// Gives the connection to an idle thread, or to a new one.
    fn hand_over(self: &Arc<Self>, connection: Arc<Connection>) -> io::Result<()> {
        let mut arrivals = lock(&self.arrivals);
        if arrivals.idle_threads > arrivals.waiting.len() {
            arrivals.waiting.push_back(connection);
            drop(arrivals);
            self.arrived.notify_one();
            return Ok(());
        }
        drop(arrivals);
        let shared = Arc::clone(self);
        thread::Builder::new()
            .name("connection".into())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.serve_connections(connection))
            .map(drop)
    }

    /// The life of a connection thread: serves one, then waits a while for another.
    fn serve_connections(self: Arc<Self>, first: Arc<Connection>) {
        let mut next = Some(first);
        while let Some(connection) = next {
            let slot = Slot { shared: &self, id: connection.id };
            connection::serve(&self, &connection);
            drop((slot, connection));
            next = self.next_arrival();
        }
        // The last thread to go after a burst finds what the burst has opened.
        self.local.close_unused();
    }

    fn next_arrival(&self) -> Option<Arc<Connection>> {
        let mut arrivals = lock(&self.arrivals);
        arrivals.idle_threads += 1;
        let (mut arrivals, _) = self
            .arrived
            .wait_timeout_while(arrivals, THREAD_IDLE_MAX, |arrivals| {
                arrivals.waiting.is_empty() && !self.stopping.load(Ordering::SeqCst)
            })
            .unwrap_or_else(PoisonError::into_inner);
        arrivals.idle_threads -= 1;
        arrivals.waiting.pop_front()
    }

    fn free_slot(&self, id: u64) {
        let removed = lock(&self.slots).remove(&id);
        if removed.is_some() {
            self.metrics.connections.fetch_sub(1, Ordering::Relaxed);
        }
        self.slot_freed.notify_all();
    }

    /// Waits for a free slot, if need be that of the client that has waited longest without a request in progress.
    fn make_room(&self) -> bool {
        let deadline = Instant::now() + EVICTION_WAIT;
        loop {
            let slots = lock(&self.slots);
            if slots.len() < self.config.connections_max {
                return true;
            }
            drop(slots);
            if !self.evict_oldest() || Instant::now() >= deadline {
                return false;
            }
            let slots = lock(&self.slots);
            let full = |slots: &mut HashMap<_, _>| slots.len() >= self.config.connections_max;
            drop(self.slot_freed.wait_timeout_while(slots, EVICTION_WAIT, full));
        }
    }

    fn evict_oldest(&self) -> bool {
        let slots = lock(&self.slots);
        let oldest = slots.values().filter_map(|c| c.evictable_since().map(|since| (since, c))).min_by_key(|(s, _)| *s);
        if let Some((_, connection)) = oldest {
            connection.hang_up();
            self.metrics.refused(Refusal::Evicted);
        }
        oldest.is_some()
    }

    /// Waits for room for a body, if need be that of clients that do not send theirs.
    fn room_for_body(&self, bytes: usize) -> Option<Share<'_>> {
        self.room(&self.large_bodies, bytes, LARGE_BODY_WAIT, RECEIVING)
    }

    /// Waits for room for an answer, if need be that of clients that do not read theirs.
    fn room_for_answer(&self, bytes: usize) -> Option<Share<'_>> {
        self.room(&self.large_answers, bytes, LARGE_ANSWER_WAIT, WRITING)
    }

    /// Waits for a share of a memory. Who holds one in this state and stalls is hung up.
    fn room<'m>(&self, memory: &'m Memory, bytes: usize, patience: Duration, state: u64) -> Option<Share<'m>> {
        let deadline = Instant::now() + patience;
        loop {
            let share = memory.take(bytes, STALL_CHECK);
            if share.is_some() || Instant::now() >= deadline {
                return share;
            }
            for connection in lock(&self.slots).values().filter(|connection| connection.is_stalled(state)) {
                connection.hang_up();
                self.metrics.refused(Refusal::Evicted);
            }
        }
    }
}

/// A connection's place. It is free again whatever becomes of its thread.
struct Slot<'s> {
    shared: &'s Shared,
    id: u64,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.shared.free_slot(self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;
    use crate::http::gate::{Caller, Verdict};
    use crate::http::head::Head;
    use crate::testing::{PATIENCE, wait_for};

    /// A mistake of ours.
    struct Panics;

    impl Admit for Panics {
        fn admit(&self, _: &Head<'_>, _: Caller) -> Verdict {
            panic!("a gate of a test panics")
        }
    }

    #[test]
    fn a_panic_keeps_no_place() {
        let metrics = Arc::new(HttpMetrics::new::<()>(&[]));
        let config = ScreenConfig {
            address: "127.0.0.1:0".parse().expect("an address"),
            connections_max: 2,
            trust_proxy: false,
            local: PathBuf::new(),
            stop: Stop::new(),
        };
        let screen = Screen::open(config, Arc::new(Panics), Arc::clone(&metrics)).expect("a port");
        for _ in 0..5 {
            let mut client = TcpStream::connect(screen.address().expect("an address")).expect("a connection");
            client.set_read_timeout(Some(PATIENCE)).expect("a setting");
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("a request");
            assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
        }
        wait_for("their places to be free", || (metrics.connections.load(Ordering::Relaxed) == 0).then_some(()));
        screen.close(Duration::ZERO);
    }
}
