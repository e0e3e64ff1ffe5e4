//! More than can be served at once: whoever can be answered is, soon, and the rest is told so.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::database::read_write;
use common::testing::{Connection, wait_for};
use serde_json::Value;

use crate::{KEY, Tracker, report, start, start_with};

/// The most a report may have.
const BODY_BYTES_MAX: usize = 256 << 10;
/// An answer about the health is there so soon, whatever else is asked.
const HEALTH_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a service may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
/// More clients than bodies of that size fit into the memory for them.
const CLIENTS: usize = 20;

/// Connections that have sent these bytes each and wait.
fn hold(tracker: &Tracker, count: usize, bytes: &[u8]) -> Vec<Connection> {
    let open = |_| {
        let mut connection = Connection::open(tracker.address()).unwrap();
        connection.write(bytes).unwrap();
        connection
    };
    (0..count).map(open).collect()
}

/// A report that is not small.
fn large_report(name: &str) -> Value {
    let mut report = report(name);
    report["message"] = "m".repeat(20 << 10).into();
    report
}

#[track_caller]
fn takes_a_large_report(tracker: &Tracker) {
    let began = Instant::now();
    let answer = tracker.client().post_json("/api/errors", &large_report("large"));
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
}

fn promise(key: &str, framing: &str) -> String {
    format!("POST /api/errors HTTP/1.1\r\nX-API-Key: {key}\r\n{framing}\r\n")
}

#[test]
fn bodies_that_strangers_promise_keep_no_report_out() {
    let tracker = start();
    for framing in [format!("Content-Length: {BODY_BYTES_MAX}\r\n"), "Transfer-Encoding: chunked\r\n".into()] {
        let held = hold(&tracker, CLIENTS, format!("GET /health HTTP/1.1\r\n{framing}\r\n").as_bytes());
        takes_a_large_report(&tracker);
        drop(held);
    }
}

#[test]
fn bodies_that_are_only_promised_keep_no_report_out() {
    let tracker = start();
    for framing in [format!("Content-Length: {BODY_BYTES_MAX}\r\n"), "Transfer-Encoding: chunked\r\n".into()] {
        let held = hold(&tracker, CLIENTS, promise(KEY, &framing).as_bytes());
        takes_a_large_report(&tracker);
        drop(held);
    }
}

#[test]
fn bodies_that_stall_make_room() {
    let tracker = start();
    let mut half = promise(KEY, &format!("Content-Length: {BODY_BYTES_MAX}\r\n")).into_bytes();
    half.resize(half.len() + BODY_BYTES_MAX / 2, b' ');
    let held = hold(&tracker, CLIENTS, &half);
    takes_a_large_report(&tracker);
    drop(held);
}

#[test]
fn a_body_where_none_belongs_is_ignored_while_it_is_small() {
    let tracker = start();
    for (body_bytes, status) in [(0, 200), (1 << 10, 200), ((1 << 10) + 1, 413)] {
        let answer = tracker.client().send("GET", "/health", &vec![b' '; body_bytes]).unwrap();
        assert_eq!(answer.status, status, "{body_bytes} bytes: {}", answer.text());
    }
}

/// Enough text in letters that are slow to compare for a search to take a while.
fn fill_with_slow_messages(tracker: &Tracker) {
    let client = tracker.client();
    for number in 0..150 {
        let mut report = report(&format!("slow-{number}"));
        report["message"] = "É".repeat(120_000).into();
        assert_eq!(client.post_json("/api/errors", &report).status, 201);
    }
}

#[test]
fn many_slow_searches_keep_neither_health_nor_the_stop_waiting() {
    const SEARCHES: usize = 40;
    let tracker = start_with(&[("WORKERS", "2")]);
    fill_with_slow_messages(&tracker);
    let client = tracker.client();
    let ended = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..SEARCHES {
            let (client, ended) = (&client, &ended);
            scope.spawn(move || {
                // It may be broken off by the stop.
                let _ = client.send("GET", "/api/errors?search=x", b"");
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
        wait_for("the first of them to end", || (ended.load(Ordering::Relaxed) > 0).then_some(()));
        for _ in 0..5 {
            let asked = Instant::now();
            assert_eq!(tracker.client().get("/health").status, 200);
            assert!(asked.elapsed() < HEALTH_TIME_MAX, "health took {:?}", asked.elapsed());
        }
        assert!(ended.load(Ordering::Relaxed) < SEARCHES, "the searches were not slow enough to show anything");
        let asked = Instant::now();
        assert!(tracker.service.terminate().success());
        assert!(asked.elapsed() < STOP_TIME_MAX, "it took {:?} to stop", asked.elapsed());
    });
}

#[test]
fn a_burst_leaves_nothing_behind() {
    let tracker = start();
    assert_eq!(tracker.client().get("/api/errors").status, 200);
    let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", tracker.service.pid())).unwrap().count();
    let before = (count("fd"), count("task"));
    let request = tracker.client().request("POST", "/api/errors", report("burst").to_string().as_bytes());
    let mut most = 0;
    for _ in 0..10 {
        let mut burst = hold(&tracker, 100, &request);
        most = most.max(count("fd"));
        assert!(burst.iter_mut().all(|connection| connection.read_answer(false).unwrap().status < 300));
    }
    assert!(most > before.0 + 50, "{most} descriptors are no burst");
    // A worker may have opened its database connection meanwhile.
    let (descriptors_max, threads_max) = (before.0 + 12, before.1 + 4);
    wait_for("descriptors and threads to be given back", || {
        (count("fd") <= descriptors_max && count("task") <= threads_max).then_some(())
    });
}

#[test]
fn whoever_is_turned_away_reads_why() {
    let tracker = start_with(&[("MAX_CONNECTIONS", "2")]);
    let other = read_write(&tracker.database());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting =
        hold(&tracker, 2, &tracker.client().request("POST", "/api/errors", report("a").to_string().as_bytes()));
    let large = tracker.client().request("POST", "/api/errors", large_report("b").to_string().as_bytes());
    let mut turned_away = 0;
    wait_for("both places to be taken", || {
        for _ in 0..5 {
            let mut connection = Connection::open(tracker.address()).unwrap();
            for piece in large.chunks(1 << 10) {
                connection.write(piece).unwrap();
            }
            let answer = connection.read_answer(false).unwrap();
            assert_eq!(answer.status, 503);
            turned_away += usize::from(answer.detail().contains("Too many connections"));
        }
        (turned_away > 0).then_some(())
    });
    drop(waiting);
}
