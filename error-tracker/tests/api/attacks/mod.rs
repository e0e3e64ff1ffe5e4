//! What strangers do to an open port, one by one and together. A client that behaves must go on getting answers, the
//! process must stay small, and every refusal must be counted.

mod crowds;
mod framing;

use std::io::{ErrorKind, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::testing::{Client, Connection, wait_for};

use crate::{KEY, Tracker, report, start};
use crowds::{SlowClients, SlowReaders, connect_and_leave, fill_with_large_messages, send_unread_floods};
use framing::{
    announce_forty_gigabytes, send_ambiguous_lengths, send_bodies_without_key, send_endless_chunks, send_endless_heads,
};

/// The most memory the process may ever have held. The container's limit is twice that.
const PEAK_BYTES_MAX: u64 = 15 << 20;
/// A request of a client that behaves takes at most this long under attack, even on a slow machine. No benchmark.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Between two rounds of the client that behaves, so that it does not itself become an attack.
const PACE: Duration = Duration::from_millis(5);
/// What a body may have, by the contract.
const BODY_BYTES_MAX: usize = 256 << 10;
/// No flood sends more than this, should nobody stop it.
const FLOOD_BYTES_MAX: usize = 32 << 20;
/// A client that cannot write for so long takes it that nobody reads.
const CLOGGED_AFTER: Duration = Duration::from_millis(300);

/// Uses the service as it is meant to be used, until it is told to stop.
struct GoodClient {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: JoinHandle<Duration>,
}

impl GoodClient {
    fn start(client: Client) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = {
            let (stop, rounds) = (Arc::clone(&stop), Arc::clone(&rounds));
            thread::spawn(move || {
                let mut slowest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let round = rounds.load(Ordering::Relaxed);
                    slowest = slowest.max(one_round(&client, round));
                    rounds.fetch_add(1, Ordering::Relaxed);
                    thread::park_timeout(PACE);
                }
                slowest
            })
        };
        Self { stop, rounds, thread }
    }

    /// Waits until it got all answers of three more rounds.
    fn gets_answers(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        wait_for("the good client to get answers", || {
            let done = self.thread.is_finished() || self.rounds.load(Ordering::Relaxed) >= before + 4;
            done.then_some(())
        });
    }

    /// Its slowest request. Fails when an answer was missing, wrong, or late.
    fn finish(self) -> Duration {
        self.gets_answers();
        self.stop.store(true, Ordering::Relaxed);
        let slowest = self.thread.join().expect("the good client got every answer");
        assert!(slowest < ANSWER_TIME_MAX, "the good client waited {slowest:?} for an answer");
        slowest
    }
}

/// A report, a list, a look at the health; the slowest of the three.
fn one_round(client: &Client, round: usize) -> Duration {
    let body = report(&format!("round-{round}")).to_string();
    let requests = [
        ("POST", "/api/errors", body.as_str(), 201),
        ("GET", "/api/errors?limit=2", "", 200),
        ("GET", "/health", "", 200),
    ];
    let timed = requests.map(|(method, path, body, expected)| {
        let began = Instant::now();
        let answer =
            client.send(method, path, body.as_bytes()).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text());
        began.elapsed()
    });
    timed.into_iter().max().unwrap()
}

/// Runs an attack beside a client that behaves, and looks at the process afterwards.
#[track_caller]
fn under_attack(attack: impl FnOnce(&Target, &GoodClient)) -> Tracker {
    let tracker = start();
    let good = GoodClient::start(tracker.client());
    attack(&Target::of(&tracker), &good);
    let slowest = good.finish();
    check_process(&tracker, slowest, PEAK_BYTES_MAX);
    tracker
}

fn check_process(tracker: &Tracker, slowest: Duration, peak_bytes_max: u64) {
    let peak = tracker.peak_memory();
    eprintln!("peak memory {} KiB, slowest good answer {} ms", peak >> 10, slowest.as_millis());
    // A debug binary is larger; users get the static release binary.
    if std::env::var_os("MONLIGHT_BIN_DIR").is_some() {
        assert!(peak < peak_bytes_max, "peak memory was {} KiB", peak >> 10);
    }
    let panics: Vec<_> = tracker.log().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
}

/// How often the screen refused for this reason, as `/metrics` tells.
#[track_caller]
fn refused(tracker: &Tracker, reason: &str) -> usize {
    let page = tracker.client().get("/metrics").text();
    let start = format!("monlight_screen_refused_total{{reason=\"{reason}\"}} ");
    let value =
        page.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("no {start}in {page}"));
    value.parse().unwrap()
}

/// The service as an attacker sees it.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    address: SocketAddr,
}

impl Target {
    pub(crate) fn of(tracker: &Tracker) -> Self {
        Self { address: tracker.address() }
    }

    pub(crate) fn connect(self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// Sends bytes on a connection of their own and returns the connection.
    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Connection {
        let mut connection = Connection::open(self.address).unwrap();
        connection.write(bytes.as_ref()).unwrap();
        connection
    }

    /// Sends bytes that must be refused: with this status, and the connection closed behind it.
    #[track_caller]
    pub(crate) fn is_refused(self, bytes: impl AsRef<[u8]>, status: u16) {
        let bytes = bytes.as_ref();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let mut connection = self.send(bytes);
        let answer = connection.read_answer(false).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        assert_eq!(answer.status, status, "{shown:?}: {}", answer.text());
        assert!(!answer.detail().is_empty());
        assert_eq!(answer.headers["connection"], "close", "{shown:?}");
        assert!(connection.is_closed(), "{shown:?}");
    }

    /// Opens connections that have sent these bytes each and do nothing more.
    pub(crate) fn hold(self, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
        let open = |_| {
            let mut stream = self.connect();
            // The service may have closed it already, to make room.
            let _ = stream.write_all(bytes);
            stream
        };
        (0..count).map(open).collect()
    }
}

/// The head of a report, up to the headers that a test adds; `key` is a header line or empty.
pub(crate) fn report_head(key: &str, headers: &str) -> String {
    format!("POST /api/errors HTTP/1.1\r\nHost: x\r\n{key}{headers}\r\n")
}

pub(crate) fn key_line() -> String {
    format!("X-API-Key: {KEY}\r\n")
}

/// Writes `start`, then `more` again and again, until nobody takes it any longer; how many bytes went.
fn flood(stream: &mut TcpStream, start: &[u8], more: &[u8]) -> usize {
    stream.set_write_timeout(Some(CLOGGED_AFTER)).unwrap();
    let mut sent = 0;
    let mut piece = start;
    while sent < FLOOD_BYTES_MAX {
        match stream.write(piece) {
            Ok(count) => {
                sent += count;
                piece = if count < piece.len() { &piece[count..] } else { more };
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    sent
}

#[test]
fn everything_at_once() {
    let tracker = start();
    fill_with_large_messages(&tracker);
    let target = Target::of(&tracker);
    let good = GoodClient::start(tracker.client());
    let held = Mutex::new(Vec::new());
    let keep = |streams| held.lock().unwrap().extend::<Vec<TcpStream>>(streams);
    let readers = SlowReaders::start(target, 20);
    thread::scope(|scope| {
        scope.spawn(|| announce_forty_gigabytes(target));
        scope.spawn(|| send_ambiguous_lengths(target));
        scope.spawn(|| send_endless_heads(target, 2));
        scope.spawn(|| send_endless_chunks(target));
        scope.spawn(|| send_bodies_without_key(target, 40));
        scope.spawn(|| keep(send_unread_floods(target, 30)));
        scope.spawn(|| keep(SlowClients::connect(target, 30).streams));
        scope.spawn(|| connect_and_leave(target, 300));
        good.gets_answers();
    });
    keep(target.hold(300, b""));
    good.gets_answers();
    for stream in held.into_inner().unwrap() {
        // Closed already where it had to make room.
        let _ = stream.shutdown(Shutdown::Both);
    }
    readers.stop();
    check_process(&tracker, good.finish(), PEAK_BYTES_MAX);
    for reason in ["unauthorized", "body_too_large", "malformed", "head_too_large", "evicted"] {
        assert!(refused(&tracker, reason) > 0, "{reason} was not counted");
    }
}
