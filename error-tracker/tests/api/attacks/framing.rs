//! Requests that can be read in two ways, are too large, or have no end.

use std::thread;

use super::{BODY_BYTES_MAX, FLOOD_BYTES_MAX, Target, flood, key_line, refused, report_head, under_attack};
use crate::{report, start};

/// The screen's own limit (common/src/http/screen).
const HEAD_BYTES_MAX: usize = 8 << 10;

#[test]
fn forty_gigabytes_announced() {
    let tracker = under_attack(|target, _| announce_forty_gigabytes(*target));
    assert_eq!((refused(&tracker, "unauthorized"), refused(&tracker, "body_too_large")), (20, 20));
}

pub(super) fn announce_forty_gigabytes(target: Target) {
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

pub(super) fn send_ambiguous_lengths(target: Target) {
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
pub(super) fn send_endless_heads(target: Target, count: usize) {
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
fn chunks_without_end() {
    let tracker = under_attack(|target, _| send_endless_chunks(*target));
    assert_eq!((refused(&tracker, "malformed"), refused(&tracker, "body_too_large")), (3, 2));
}

pub(super) fn send_endless_chunks(target: Target) {
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
fn bodies_of_strangers() {
    let tracker = under_attack(|target, _| send_bodies_without_key(*target, 100));
    assert_eq!(refused(&tracker, "unauthorized"), 100);
}

pub(super) fn send_bodies_without_key(target: Target, count: usize) {
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
