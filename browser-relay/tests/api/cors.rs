//! What browsers are told about origins.

use std::thread;

use common::testing::{Answer, Connection};
use serde_json::json;

use super::backend::Act;
use super::{Relay, error, start, start_with};

fn post(relay: &Relay, origin: &str) -> Answer {
    relay.page().with_header("origin", origin).post_json("/api/browser/errors", &error("x"))
}

fn preflight(relay: &Relay, origin: &str) -> Answer {
    relay.stranger().with_header("origin", origin).send("OPTIONS", "/api/browser/metrics", b"").unwrap()
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.headers.get("access-control-allow-origin").map(String::as_str)
}

#[test]
fn a_preflight_tells_what_is_allowed() {
    let relay = start_with(&[("CORS_ORIGINS", "https://app.example, https://*.shop.example")]);
    for origin in ["https://app.example", "https://a.b.shop.example"] {
        let answer = preflight(&relay, origin);
        assert_eq!((answer.status, allowed(&answer)), (204, Some(origin)));
        assert_eq!(answer.headers["access-control-allow-methods"], "POST, OPTIONS");
        assert!(answer.headers["access-control-allow-headers"].starts_with("X-Monlight-Key, Content-Type"));
        assert_eq!(answer.headers["access-control-allow-credentials"], "true");
        assert_eq!(answer.headers["access-control-max-age"], "86400");
        assert_eq!(answer.headers["vary"], "Origin");
    }
    for origin in ["https://evil.example", "https://app.example.evil", "null"] {
        let answer = preflight(&relay, origin);
        assert_eq!((answer.status, allowed(&answer)), (401, None), "{origin}");
    }
    assert_eq!(relay.stranger().send("OPTIONS", "/api/browser/errors", b"").unwrap().status, 401);
}

#[test]
fn every_answer_to_an_allowed_origin_can_be_read() {
    let relay = start_with(&[("CORS_ORIGINS", "https://app.example")]);
    let origin = "https://app.example";
    let page = || relay.page().with_header("origin", origin);
    let stranger = relay.stranger().with_header("origin", origin);
    for (answer, status) in [
        (page().post_json("/api/browser/errors", &error("x")), 201),
        (page().post("/api/browser/errors", "{"), 400),
        (stranger.post_json("/api/browser/errors", &error("x")), 401),
        (page().get("/api/browser/nothing"), 404),
        (page().get("/api/browser/errors"), 405),
        (page().post("/api/browser/errors", vec![b' '; 300_000]), 413),
    ] {
        assert_eq!((answer.status, allowed(&answer)), (status, Some(origin)));
        assert_eq!(answer.headers["vary"], "Origin");
    }
    // Another origin's request is taken, but its page reads nothing.
    let answer = post(&relay, "https://evil.example");
    assert_eq!((answer.status, allowed(&answer)), (201, None));
    // Nothing of this on the operators' paths.
    let answer = relay.admin().with_header("origin", origin).get("/api/dsn-keys");
    assert_eq!((answer.status, allowed(&answer)), (200, None));
}

/// The browser asks before each of these; without its 204 the page reads no more than that something went wrong.
#[test]
fn what_is_not_there_or_malformed_can_be_read_too() {
    let relay = start_with(&[("CORS_ORIGINS", "https://app.example")]);
    let origin = "https://app.example";
    for (path, status) in [
        ("/api/browser/nothing", 404),
        ("/api/browser/errors/7", 404),
        ("/api/browser/errors?release=%zz", 400),
        ("/api/metrics?key=%", 400),
        ("/api/browser/%ff", 400),
    ] {
        let before = relay.stranger().with_header("origin", origin).send("OPTIONS", path, b"").unwrap();
        assert_eq!((before.status, allowed(&before)), (204, Some(origin)), "{path}");
        let answer = relay.page().with_header("origin", origin).post_json(path, &error("x"));
        assert_eq!((answer.status, allowed(&answer)), (status, Some(origin)), "{path}");
        assert_eq!(answer.headers["vary"], "Origin", "{path}");
    }
    // Nothing of this for the pages of others, and on the operators' paths.
    let strange = relay.page().with_header("origin", "https://evil.example");
    assert_eq!(allowed(&strange.post("/api/browser/errors?release=%zz", "{}")), None);
    for path in ["/api/dsn-keys?after=%zz", "/nothing"] {
        for method in ["GET", "OPTIONS"] {
            let answer = relay.admin().with_header("origin", origin).send(method, path, b"").unwrap();
            assert!(answer.status >= 400 && allowed(&answer).is_none(), "{method} {path}: {}", answer.status);
        }
    }
}

#[test]
fn a_preflight_waits_for_no_worker() {
    let relay = start_with(&[("CORS_ORIGINS", "https://app.example"), ("WORKERS", "1")]);
    relay.errors.always(Act::Hang);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| relay.page().post_json("/api/browser/errors", &error("x")));
        relay.errors.wait_for(1);
        assert_eq!(preflight(&relay, "https://app.example").status, 204);
        assert!(!relay.log().iter().any(|line| line.contains("they wait")), "the worker should still wait");
        assert_eq!(waiting.join().unwrap().status, 202);
    });
}

#[test]
fn a_preflight_is_asked_before_a_request_on_the_same_connection() {
    let relay = start_with(&[("CORS_ORIGINS", "https://app.example")]);
    let mut connection = Connection::open(relay.address()).unwrap();
    for body in ["", "{}"] {
        let length = body.len();
        let head =
            format!("OPTIONS /api/errors HTTP/1.1\r\norigin: https://app.example\r\ncontent-length: {length}\r\n\r\n");
        connection.write((head + body).as_bytes()).unwrap();
        assert_eq!(connection.read_answer(false).unwrap().status, 204);
    }
    connection.write(b"GET /health HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(connection.read_answer(false).unwrap().status, 200);
    // A body that is not here yet is not waited for.
    let head = "OPTIONS /api/errors HTTP/1.1\r\norigin: https://app.example\r\ncontent-length: 2\r\n\r\n";
    connection.write(head.as_bytes()).unwrap();
    assert_eq!(connection.read_answer(false).unwrap().status, 204);
    assert!(connection.is_closed());
}

#[test]
fn a_key_may_have_origins_of_its_own() {
    let relay = start_with(&[("CORS_ORIGINS", "https://app.example")]);
    let body = json!({"project": "shop", "origins": ["https://shop.example"]});
    let key = relay.admin().post_json("/api/dsn-keys", &body).json()["public_key"].as_str().unwrap().to_owned();
    let page = |origin: &str| relay.stranger().with_header("x-monlight-key", &key).with_header("origin", origin);
    assert_eq!(preflight(&relay, "https://shop.example").status, 204);
    let answer = page("https://shop.example").post_json("/api/browser/errors", &error("x"));
    assert_eq!((answer.status, allowed(&answer)), (201, Some("https://shop.example")));
    let answer = page("https://app.example").post_json("/api/browser/errors", &error("x"));
    assert_eq!((answer.status, allowed(&answer)), (403, None));
    // A key without its own has those of the configuration.
    assert_eq!(allowed(&post(&relay, "https://shop.example")), None);
    assert_eq!(relay.errors.received().len(), 2);
}

#[test]
fn an_origin_of_a_key_is_one_origin() {
    let relay = start();
    let body = json!({"project": "shop", "origins": ["https://shop.example,*"]});
    let answer = relay.admin().post_json("/api/dsn-keys", &body);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.json()["detail"].as_str().unwrap().contains("one origin per entry"), "{}", answer.text());
}

#[test]
fn without_a_list_no_page_of_another_origin_reads_anything() {
    let relay = start();
    assert_eq!(preflight(&relay, "https://app.example").status, 401);
    let answer = post(&relay, "https://app.example");
    assert_eq!((answer.status, allowed(&answer)), (201, None));
    let relay = start_with(&[("CORS_ORIGINS", "*")]);
    assert_eq!(allowed(&post(&relay, "https://app.example:8443")), Some("https://app.example:8443"));
}
