//! What strangers do to an open port, one by one and together. A client that behaves must go on getting answers, the
//! process must stay small, and every refusal must be counted.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::testing::{Client, Connection, wait_for};

use crate::{KEY, Tracker, report, start};

/// The most memory the process may ever have held. The container's limit is twice that.
const PEAK_BYTES_MAX: u64 = 15 << 20;
/// The same where clients with a key ask for the largest answers there can be, one for each worker at a time.
const PEAK_BYTES_MAX_LARGE: u64 = 24 << 20;
/// A request of a client that behaves takes at most this long under attack, even on a slow machine. No benchmark.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Between two rounds of the client that behaves, so that it does not itself become an attack.
const PACE: Duration = Duration::from_millis(5);
/// The screen's own limits (common/src/http/screen), which the attacks are measured against.
const CONNECTIONS_MAX: usize = 256;
const HEAD_BYTES_MAX: usize = 8 << 10;
const BODY_BYTES_MAX: usize = 256 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
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
struct Target {
    address: SocketAddr,
}

impl Target {
    fn of(tracker: &Tracker) -> Self {
        Self { address: tracker.address() }
    }

    fn connect(self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// Sends bytes on a connection of their own and returns the connection.
    fn send(self, bytes: impl AsRef<[u8]>) -> Connection {
        let mut connection = Connection::open(self.address).unwrap();
        connection.write(bytes.as_ref()).unwrap();
        connection
    }

    /// Sends bytes that must be refused: with this status, and the connection closed behind it.
    #[track_caller]
    fn is_refused(self, bytes: impl AsRef<[u8]>, status: u16) {
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
    fn hold(self, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
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
fn report_head(key: &str, headers: &str) -> String {
    format!("POST /api/errors HTTP/1.1\r\nHost: x\r\n{key}{headers}\r\n")
}

fn key_line() -> String {
    format!("X-API-Key: {KEY}\r\n")
}

#[test]
fn forty_gigabytes_announced() {
    let tracker = under_attack(|target, _| announce_forty_gigabytes(*target));
    assert_eq!((refused(&tracker, "unauthorized"), refused(&tracker, "body_too_large")), (20, 20));
}

fn announce_forty_gigabytes(target: Target) {
    for _ in 0..20 {
        target.is_refused(report_head("", "Content-Length: 40000000000\r\n") + "{", 401);
        target.is_refused(report_head(&key_line(), "Content-Length: 40000000000\r\n") + "{", 413);
    }
}

#[test]
fn lengths_that_can_be_read_in_two_ways() {
    let tracker = under_attack(|target, _| send_ambiguous_lengths(*target));
    assert_eq!(refused(&tracker, "malformed"), AMBIGUOUS_LENGTHS.len());
}

const AMBIGUOUS_LENGTHS: [&str; 8] = [
    "Content-Length: -5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
];

fn send_ambiguous_lengths(target: Target) {
    for headers in AMBIGUOUS_LENGTHS {
        target.is_refused(report_head(&key_line(), headers) + "hello", 400);
    }
}

#[test]
fn line_ends_that_can_be_read_in_two_ways() {
    let tracker = under_attack(|target, _| {
        for head in [
            "GET /health HTTP/1.1\nHost: x\n\n",
            "GET /health HTTP/1.1\r\nHost: x\n\r\n",
            "\nGET /health HTTP/1.1\r\n\r\n",
        ] {
            target.is_refused(head, 400);
        }
        target.is_refused("GET /health HTTP/1.1\r\nA: b\rC: d\r\n\r\n", 400);
        target.is_refused("GET /health HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400);
    });
    assert_eq!(refused(&tracker, "malformed"), 5);
}

#[test]
fn heads_without_end() {
    let tracker = under_attack(|target, good| {
        send_endless_heads(*target, 8);
        good.gets_answers();
    });
    assert_eq!(refused(&tracker, "head_too_large"), 16);
}

/// As many endless headers, and as many endless request lines.
fn send_endless_heads(target: Target, count: usize) {
    thread::scope(|scope| {
        for start in [&b"GET /health HTTP/1.1\r\nA: "[..], b"GET /"] {
            for _ in 0..count {
                scope.spawn(move || {
                    let sent = flood(&mut target.connect(), start, &vec![b'a'; 64 << 10]);
                    assert!(sent < FLOOD_BYTES_MAX, "an endless head was taken in");
                });
            }
        }
    });
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
fn the_limit_of_a_head_is_exact() {
    let tracker = start();
    let target = Target::of(&tracker);
    let head = |bytes: usize| {
        let frame = "GET /health HTTP/1.1\r\nA: \r\n\r\n".len();
        format!("GET /health HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(bytes - frame))
    };
    let mut at_limit = target.send(head(HEAD_BYTES_MAX));
    assert_eq!(at_limit.read_answer(false).unwrap().status, 200);
    target.is_refused(head(HEAD_BYTES_MAX + 1), 431);
    // In pieces that end anywhere it is the same.
    let long = head(HEAD_BYTES_MAX + 1);
    let mut in_pieces = target.send(&long[..5000]);
    in_pieces.write(&long.as_bytes()[5000..]).unwrap();
    assert_eq!(in_pieces.read_answer(false).unwrap().status, 431);
    target.is_refused(format!("GET /health HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100)), 431);
    assert_eq!(refused(&tracker, "head_too_large"), 3);
}

#[test]
fn idle_connections() {
    const COUNT: usize = 500;
    let tracker = under_attack(|target, good| {
        let idle = target.hold(COUNT, b"");
        good.gets_answers();
        // The longest idle made room.
        assert_eq!((&idle[0]).read(&mut [0]).unwrap_or(0), 0);
    });
    assert!(refused(&tracker, "evicted") >= COUNT - CONNECTIONS_MAX);
    assert_eq!(refused(&tracker, "connections_full"), 0);
}

#[test]
fn connections_kept_after_a_request() {
    let tracker = under_attack(|target, good| {
        let kept = target.hold(400, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        good.gets_answers();
        drop(kept);
    });
    assert!(refused(&tracker, "evicted") >= 400 - CONNECTIONS_MAX);
}

#[test]
fn slow_heads_and_bodies() {
    let tracker = under_attack(|target, good| {
        let mut slow = SlowClients::connect(*target, 60);
        let began = Instant::now();
        while !slow.all_were_refused() {
            slow.send_a_byte_each();
            good.gets_answers();
            assert!(began.elapsed() < BODY_TIME_MAX * 2, "slow clients are still served");
        }
    });
    assert_eq!(refused(&tracker, "too_slow"), 120);
}

fn dont_block(streams: &[TcpStream]) {
    for stream in streams {
        stream.set_nonblocking(true).unwrap();
    }
}

/// Clients that send a byte now and then: of a head, of a body.
struct SlowClients {
    streams: Vec<TcpStream>,
}

impl SlowClients {
    fn connect(target: Target, of_each: usize) -> Self {
        let head = report_head(&key_line(), "Content-Length: 10000\r\n");
        let mut streams = target.hold(of_each, b"GET /health HTTP/1.1\r\nA: ");
        streams.extend(target.hold(of_each, head.as_bytes()));
        dont_block(&streams);
        Self { streams }
    }

    fn send_a_byte_each(&mut self) {
        for stream in &mut self.streams {
            // Whoever was refused cannot write any more.
            let _ = stream.write(b"a");
        }
    }

    /// Whether each has read `408`, and nothing else.
    fn all_were_refused(&mut self) -> bool {
        self.streams.retain_mut(|stream| {
            let mut status = [0; 12];
            match stream.read(&mut status) {
                Ok(count) => {
                    assert_eq!(String::from_utf8_lossy(&status[..count]), "HTTP/1.1 408");
                    false
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "a slow client reads no answer: {error}");
                    true
                }
            }
        });
        self.streams.is_empty()
    }
}

#[test]
fn floods_from_clients_that_do_not_read() {
    under_attack(|target, good| {
        let floods = send_unread_floods(*target, 100);
        good.gets_answers();
        drop(floods);
    });
}

/// Requests for everything that is public or large, one behind the other, from clients that never read.
fn send_unread_floods(target: Target, count: usize) -> Vec<TcpStream> {
    let list = format!("GET /api/errors?limit=200&resolved=all HTTP/1.1\r\nHost: x\r\n{}\r\n", key_line());
    let requests =
        ["GET / HTTP/1.1\r\n\r\n".repeat(500), list.repeat(100), "GET /nothing HTTP/1.1\r\n\r\n".repeat(500)];
    let open = |number: usize| {
        let request = requests[number % requests.len()].clone();
        thread::spawn(move || {
            let mut stream = target.connect();
            flood(&mut stream, request.as_bytes(), request.as_bytes());
            stream
        })
    };
    let threads: Vec<_> = (0..count).map(open).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn a_thousand_quick_connections() {
    let tracker = under_attack(|target, good| {
        connect_and_leave(*target, 1000);
        good.gets_answers();
    });
    wait_for("their places to be free", || {
        let page = tracker.client().get("/metrics").text();
        page.lines().any(|line| line == "monlight_connections 1").then_some(())
    });
}

fn connect_and_leave(target: Target, count: usize) {
    for number in 0..count {
        let mut stream = target.connect();
        if number % 2 == 0 {
            // It may have been closed to make room.
            let _ = stream.write_all(b"GET /he");
        }
    }
}

#[test]
fn what_a_refused_client_sent_is_not_the_next_ones() {
    let tracker = start();
    let target = Target::of(&tracker);
    let refused = [b"GARBAGE\r\n\r\n".as_slice(), &vec![b'a'; 2 << 20]].concat();
    for _ in 0..10 {
        // More than is swallowed after a refusal.
        let mut stream = target.connect();
        let _ = stream.write_all(&refused);
        drop(stream);
        // The thread that served it serves one of these.
        for _ in 0..3 {
            assert_eq!(tracker.client().get("/api/projects").status, 200);
        }
    }
}

#[test]
fn chunks_without_end() {
    let tracker = under_attack(|target, _| send_endless_chunks(*target));
    assert_eq!((refused(&tracker, "malformed"), refused(&tracker, "body_too_large")), (3, 2));
}

fn send_endless_chunks(target: Target) {
    let head = report_head(&key_line(), "Transfer-Encoding: chunked\r\n");
    let zeros = head.clone() + &"0".repeat(100_000);
    target.is_refused(&zeros, 400);
    target.is_refused(head.clone() + "5;" + &"x".repeat(100_000), 400);
    target.is_refused(head.clone() + "-5\r\nhello\r\n", 400);
    target.is_refused(head.clone() + "ffffffffffffffff\r\n", 413);
    // One byte each with a long extension: little body, much to read.
    target.is_refused(head + &format!("1;{}\r\na\r\n", "x".repeat(900)).repeat(200), 413);
}

#[test]
fn bodies_broken_off() {
    let tracker = under_attack(|target, good| {
        let body = report("broken-off").to_string();
        let whole = report_head(&key_line(), &format!("Content-Length: {}\r\n", body.len())) + &body;
        for missing in 1..50 {
            drop(target.send(&whole[..whole.len() - missing]));
        }
        good.gets_answers();
    });
    let found = tracker.client().get("/api/errors?search=broken-off").json();
    assert_eq!(found["total"], 0, "half a report was stored");
}

#[test]
fn clients_that_read_a_byte_at_a_time() {
    let tracker = start();
    fill_with_large_messages(&tracker);
    let good = GoodClient::start(tracker.client());
    let slow = SlowReaders::start(Target::of(&tracker), 80);
    good.gets_answers();
    let list = tracker.client().get("/api/errors?limit=200");
    assert_eq!((list.status, list.json()["errors"].as_array().unwrap().len()), (200, 200));
    good.gets_answers();
    slow.stop();
    check_process(&tracker, good.finish(), PEAK_BYTES_MAX);
}

/// Enough that a list of them does not fit into the buffers of a socket.
fn fill_with_large_messages(tracker: &Tracker) {
    let client = tracker.client();
    for number in 0..200 {
        let mut report = report(&format!("large-{number}"));
        report["message"] = "m".repeat(1000).into();
        assert_eq!(client.post_json("/api/errors", &report).status, 201);
    }
}

/// Clients that ask for a large list and take it byte by byte.
struct SlowReaders {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl SlowReaders {
    fn start(target: Target, count: usize) -> Self {
        let request = format!("GET /api/errors?limit=200 HTTP/1.1\r\nHost: x\r\n{}\r\n", key_line());
        let streams = target.hold(count, request.as_bytes());
        dont_block(&streams);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for stream in &streams {
                    // Nothing there yet, or the service has given it up.
                    let _ = (&mut &*stream).read(&mut [0]);
                }
                thread::park_timeout(PACE);
            }
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn bodies_of_strangers() {
    let tracker = under_attack(|target, _| send_bodies_without_key(*target, 100));
    assert_eq!(refused(&tracker, "unauthorized"), 100);
}

fn send_bodies_without_key(target: Target, count: usize) {
    let head = report_head("X-API-Key: a guess\r\n", &format!("Content-Length: {BODY_BYTES_MAX}\r\n"));
    let whole = [head.as_bytes(), &vec![b' '; BODY_BYTES_MAX]].concat();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..count / 4).for_each(|_| target.is_refused(&whole, 401)));
        }
    });
}

#[test]
fn large_bodies_at_once() {
    let tracker = under_attack(|target, good| {
        // Each promises the most that is allowed, sends half, and stalls.
        let head = report_head(&key_line(), &format!("Content-Length: {BODY_BYTES_MAX}\r\n"));
        let half = [head.as_bytes(), &vec![b' '; BODY_BYTES_MAX / 2]].concat();
        let stalled = target.hold(60, &half);
        good.gets_answers();
        drop(stalled);
    });
    let client = tracker.client();
    let mut largest = report("largest");
    let frame = largest.to_string().len() - largest["message"].as_str().unwrap().len();
    largest["message"] = "m".repeat(BODY_BYTES_MAX - frame).into();
    assert_eq!(client.post_json("/api/errors", &largest).status, 201, "exactly the limit is taken");
    assert_eq!(client.post("/api/errors", largest.to_string() + " ").status, 413);
}

#[test]
fn large_answers_at_once() {
    let tracker = start();
    let id = fill_with_large_occurrences(&tracker);
    let good = GoodClient::start(tracker.client());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for path in [format!("/api/errors/{id}"), "/api/errors?limit=200".into()] {
                    assert_eq!(tracker.client().get(&path).status, 200);
                }
            });
        }
    });
    check_process(&tracker, good.finish(), PEAK_BYTES_MAX_LARGE);
}

/// One group whose occurrences are all as large as a report can be, and a full page of others; the group's id.
fn fill_with_large_occurrences(tracker: &Tracker) -> i64 {
    fill_with_large_messages(tracker);
    let client = tracker.client();
    let mut answer = serde_json::Value::Null;
    for number in 0..6 {
        let mut report = report("huge");
        report["extra"] = serde_json::json!({"number": number, "dump": "d".repeat(BODY_BYTES_MAX - 1000)});
        answer = client.post_json("/api/errors", &report).json();
    }
    answer["id"].as_i64().unwrap()
}

#[test]
fn expectations() {
    let tracker = start();
    let target = Target::of(&tracker);
    let body = report("expected").to_string();
    let expect = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());

    let mut stream = target.connect();
    stream.write_all(report_head(&key_line(), &expect).as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_status(&mut stream).unwrap(), "HTTP/1.1 201");

    // Whoever is not let in, or sends too much, is told so instead of `100 Continue`.
    let too_much = "Expect: 100-continue\r\nContent-Length: 300000\r\n";
    let refusals = [
        (report_head("", &expect), "HTTP/1.1 401"),
        (report_head(&key_line(), too_much), "HTTP/1.1 413"),
        (report_head(&key_line(), "Expect: cake\r\nContent-Length: 5\r\n"), "HTTP/1.1 417"),
    ];
    for (head, expected) in refusals {
        let mut stream = target.connect();
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(read_status(&mut stream).unwrap(), expected);
    }
}

fn read_status(stream: &mut TcpStream) -> io::Result<String> {
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

#[test]
fn http_1_0_and_head() {
    let tracker = start();
    let target = Target::of(&tracker);

    let mut old = target.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(old.read_answer(false).unwrap().json()["status"], "ok");
    assert!(old.is_closed(), "HTTP/1.0 closes unless asked to keep");

    let mut kept = target.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    for _ in 0..2 {
        let answer = kept.read_answer(false).unwrap();
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "keep-alive"));
        kept.write(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
    }

    let mut head = target.send("HEAD /health HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\n");
    let (without_body, with_body) = (head.read_answer(true).unwrap(), head.read_answer(false).unwrap());
    assert_eq!(without_body.headers["content-length"], with_body.headers["content-length"]);
    assert_eq!((without_body.status, with_body.text().len()), (200, r#"{"status":"ok"}"#.len()));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let tracker = start();
    let body = report("first").to_string();
    let sized = report_head(&key_line(), &format!("Content-Length: {}\r\n", body.len())) + &body;
    let chunked = report_head(&key_line(), "Transfer-Encoding: chunked\r\n")
        + &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let list = format!("GET /api/errors HTTP/1.1\r\n{}\r\n", key_line());
    let stranger = report_head("", "Content-Length: 2\r\n") + "{}";
    let farewell = "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n";

    // An empty line behind a body is allowed, and a refusal does not end the connection when its body is there.
    let mut connection = Target::of(&tracker).send([&sized, "\r\n", &chunked, &list, &stranger, farewell].concat());
    let mut next = || connection.read_answer(false).unwrap();
    assert_eq!(next().json()["status"], "created");
    assert_eq!(next().json()["count"], 2);
    assert_eq!(next().json()["errors"][0]["count"], 2);
    assert_eq!(next().status, 401);
    assert_eq!(next().json()["status"], "ok");
    assert!(connection.is_closed());
}

#[test]
fn empty_lines_without_end() {
    under_attack(|target, good| {
        let lines = b"\r\n".repeat(32 << 10);
        let floods: Vec<_> = (0..4)
            .map(|_| {
                let (target, lines) = (*target, lines.clone());
                thread::spawn(move || flood(&mut target.connect(), &lines, &lines))
            })
            .collect();
        good.gets_answers();
        for flood in floods {
            flood.join().unwrap();
        }
    });
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
