//! The public port under abuse: good clients go on, and memory stays within its limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::testing::{Client, Connection};
use serde_json::json;

use super::{Relay, error, start, start_with};

/// What the service may take under every attack; debug builds take a little more than the release's.
const MEMORY_MAX: u64 = 22_000_000;
/// What a debug build takes more when most connections have a request: its stacks are deeper, and it has more code.
const DEBUG_MEMORY: u64 = 10_000_000;

#[track_caller]
fn check_serves(relay: &Relay) {
    assert_eq!(relay.page().post_json("/api/browser/errors", &error("good")).status, 201);
    assert_eq!(relay.stranger().get("/health").status, 200);
    assert!(relay.peak_memory() < MEMORY_MAX, "{} bytes", relay.peak_memory());
}

/// Of the largest size, from as many clients as may connect; those there is no room for are told to come back.
#[test]
fn large_events_from_many_at_once() {
    let relay = start();
    let stack = "    at f (https://shop.example/app.js:1:2)\n".repeat(1400);
    let error = json!({"type": "T", "message": "m", "stack": stack}).to_string();
    // A thousand items whose labels make half a megabyte of them.
    let page = format!("https://shop.example/{}", "x".repeat(195));
    let items = vec![json!({"name": "a", "type": "gauge", "value": 1}); 1000];
    let batch = json!({"metrics": items, "url": page, "session_id": "s".repeat(60)}).to_string();
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..240 {
            let (relay, taken, error, batch) = (&relay, &taken, &error, &batch);
            scope.spawn(move || {
                for round in 0..3 {
                    let (path, body) = if (number + round) % 4 == 0 { ("metrics", batch) } else { ("errors", error) };
                    let answer = relay.page().send("POST", &format!("/api/browser/{path}"), body.as_bytes());
                    // A client that sends too slowly makes room for another.
                    let Ok(answer) = answer else { continue };
                    match answer.status {
                        201 | 202 => drop(taken.fetch_add(1, Ordering::Relaxed)),
                        503 => assert!(answer.headers.contains_key("retry-after"), "{}", answer.text()),
                        status => panic!("{status}: {}", answer.text()),
                    }
                }
            });
        }
    });
    assert!(taken.into_inner() > 100);
    let more = if std::env::var_os("MONLIGHT_BIN_DIR").is_some() { 0 } else { DEBUG_MEMORY };
    assert!(relay.peak_memory() < MEMORY_MAX + more, "{} bytes", relay.peak_memory());
}

#[test]
fn unknown_keys_by_the_thousand() {
    let relay = start_with(&[("RATE_LIMIT", "1000000")]);
    thread::scope(|scope| {
        for client in 0..4 {
            let relay = &relay;
            scope.spawn(move || {
                for number in 0..500 {
                    let stranger =
                        Client::new(relay.address()).with_header("x-monlight-key", &format!("{client}-{number}"));
                    assert_eq!(stranger.post_json("/api/browser/errors", &error("bad")).status, 401);
                }
            });
        }
    });
    check_serves(&relay);
    assert_eq!(relay.errors.received().len(), 1);
}

#[test]
fn connections_that_say_nothing_or_never_end() {
    let relay = start();
    let mut open = Vec::new();
    for number in 0..1000 {
        let Ok(mut connection) = Connection::open(relay.address()) else { continue };
        let begin: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /health HTTP/1.1\r\nx: ",
            2 => b"POST /api/browser/errors HTTP/1.1\r\nx-monlight-key: 0123456789abcdef0123456789abcdef\r\ncontent-length: 60000\r\n\r\n{",
            _ => b"POST /api/browser/errors HTTP/1.1\r\ncontent-length: 60000\r\n\r\n",
        };
        // Those that were turned away are closed already.
        let _ = connection.write(begin);
        open.push(connection);
    }
    check_serves(&relay);
    drop(open);
    check_serves(&relay);
}

#[test]
fn events_of_the_worst_shape() {
    let relay = start();
    for body in [
        format!(
            r#"{{"type":"T","message":"m","stack":"s","release":"1","context":{{{}"x":1}}}}"#,
            r#""a":1,"#.repeat(9000)
        ),
        format!(r#"{{"type":"T","message":"m","stack":"{}","release":"1"}}"#, "at a (b:1:1)\\n".repeat(4000)),
        format!(r#"{{"type":"T","message":"m","stack":"{}","release":"1"}}"#, "@".repeat(60_000)),
        format!(r#"{{"type":"T","message":"m","stack":"{}","release":"1"}}"#, "(eval at ".repeat(7000)),
        format!(r#"{{"type":"{}","message":"m","stack":"s"}}"#, "\\u0000".repeat(10_000)),
    ] {
        let status = relay.page().post("/api/browser/errors", &body).status;
        assert!([201, 400].contains(&status), "{status}: {}", &body[..100]);
    }
    check_serves(&relay);
}
