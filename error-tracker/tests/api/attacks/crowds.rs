//! Many clients at a time: idle, slow, or asking and never reading.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::testing::wait_for;

use super::{
    BODY_BYTES_MAX, GoodClient, PACE, PEAK_BYTES_MAX, Target, check_process, flood, key_line, refused, report_head,
    under_attack,
};
use crate::{Tracker, report, start};

/// The most memory where clients with a key ask for the largest answers there can be, one for each worker at a time.
const PEAK_BYTES_MAX_LARGE: u64 = 24 << 20;
/// The screen's own limits (common/src/http/screen).
const CONNECTIONS_MAX: usize = 256;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

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
pub(super) struct SlowClients {
    pub(super) streams: Vec<TcpStream>,
}

impl SlowClients {
    pub(super) fn connect(target: Target, of_each: usize) -> Self {
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
pub(super) fn send_unread_floods(target: Target, count: usize) -> Vec<TcpStream> {
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

pub(super) fn connect_and_leave(target: Target, count: usize) {
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
pub(super) fn fill_with_large_messages(tracker: &Tracker) {
    let client = tracker.client();
    for number in 0..200 {
        let mut report = report(&format!("large-{number}"));
        report["message"] = "m".repeat(1000).into();
        assert_eq!(client.post_json("/api/errors", &report).status, 201);
    }
}

/// Clients that ask for a large list and take it byte by byte.
pub(super) struct SlowReaders {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl SlowReaders {
    pub(super) fn start(target: Target, count: usize) -> Self {
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

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
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
