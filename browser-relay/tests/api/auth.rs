//! Who gets in, and how often.

use serde_json::json;

use super::{ADMIN, DSN, error, start, start_with};

#[test]
fn pages_need_a_key_and_operators_another() {
    let relay = start();
    for client in [relay.stranger(), relay.stranger().with_header("x-monlight-key", "wrong"), relay.admin()] {
        let answer = client.post_json("/api/browser/errors", &error("x"));
        assert_eq!((answer.status, answer.detail().as_str()), (401, "Invalid DSN key"));
    }
    // The header counts, even if it is wrong.
    let answer = relay
        .stranger()
        .with_header("x-monlight-key", "")
        .post_json(&format!("/api/browser/errors?key={DSN}"), &error("x"));
    assert_eq!(answer.status, 401);
    for client in [relay.stranger(), relay.page()] {
        let answer = client.get("/api/dsn-keys");
        assert_eq!((answer.status, answer.detail().as_str()), (401, "Invalid API key"));
    }
    let bearer = relay.stranger().with_header("authorization", &format!("Bearer {ADMIN}"));
    for answer in [
        relay.admin().get("/api/dsn-keys"),
        bearer.get("/api/dsn-keys"),
        relay.stranger().get(&format!("/api/dsn-keys?api_key={ADMIN}")),
    ] {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(relay.stranger().get("/health").json(), json!({"status": "ok"}));
    assert_eq!(relay.stranger().get("/").status, 401);
    assert_eq!(relay.admin().get("/").status, 404);
    assert!(relay.errors.received().is_empty());
}

#[test]
fn each_key_has_a_rate_per_address_and_strangers_theirs() {
    let relay = start_with(&[("RATE_LIMIT", "3"), ("CORS_ORIGINS", "https://a.example")]);
    let key = relay.admin().post_json("/api/dsn-keys", &json!({"project": "other"})).json()["public_key"].clone();
    let page = relay.page().with_header("origin", "https://a.example");
    for _ in 0..3 {
        assert_eq!(page.post_json("/api/browser/errors", &error("x")).status, 201);
        assert_eq!(relay.stranger().post_json("/api/browser/errors", &error("x")).status, 401);
    }
    let answer = page.post_json("/api/browser/errors", &error("x"));
    assert_eq!((answer.status, answer.detail().as_str()), (429, "Rate limit exceeded"));
    assert!(answer.headers["retry-after"].parse::<u64>().unwrap() <= 60);
    // The page may read why, and preflights are free.
    assert_eq!(answer.headers["access-control-allow-origin"], "https://a.example");
    assert_eq!(page.send("OPTIONS", "/api/browser/errors", b"").unwrap().status, 204);
    assert_eq!(relay.stranger().post_json("/api/browser/errors", &error("x")).status, 429);
    let other = relay.stranger().with_header("x-monlight-key", key.as_str().unwrap());
    assert_eq!(other.post_json("/api/browser/errors", &error("x")).status, 201);
    assert_eq!(relay.stranger().get("/health").status, 200);
}

#[test]
fn what_the_gate_tells_the_handlers_cannot_be_said_from_outside() {
    let relay = start();
    relay.admin().post_json("/api/dsn-keys", &json!({"project": "other"}));
    let page = relay.page().with_header("x-monlight-dsn", "2").with_header("x-monlight-client", "192.0.2.9");
    assert_eq!(page.post_json("/api/browser/errors", &error("x")).status, 201);
    let received = relay.errors.received();
    assert_eq!(received[0].json()["project"], "web");
    assert_eq!(received[0].headers["x-forwarded-for"], "127.0.0.1");
    let stranger = relay.stranger().with_header("x-monlight-dsn", "1");
    assert_eq!(stranger.post_json("/api/browser/errors", &error("x")).status, 401);
}
