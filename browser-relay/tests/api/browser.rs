//! What pages send, and what of it reaches the back ends.

use serde_json::json;

use super::backend::Act;
use super::{DSN, error, start, start_with};

#[test]
fn an_error_reaches_error_tracker_and_its_answer_the_page() {
    let relay = start();
    relay.errors.next([Act::Answer(200, "", r#"{"status":"incremented","id":7}"#), Act::Answer(201, "", "")]);
    let mut body = error("user");
    body["url"] = "https://e.com/p?q=1#f".into();
    body["context"] = json!({"password": "x", "a": 1});
    let answer = relay.page().post_json("/api/browser/errors", &body);
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "incremented", "id": 7})));
    let received = &relay.errors.received()[0];
    assert_eq!(received.line, "POST /api/errors HTTP/1.1");
    assert_eq!(received.headers["x-api-key"], "key-of-errors");
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(received.headers["idempotency-key"].len(), 32);
    assert_eq!(
        received.json(),
        json!({
            "project": "web", "exception_type": "TypeError", "message": "no user",
            "traceback": "TypeError: no user\n    at f (app.js:1:2)", "request_method": "BROWSER",
            "request_url": "https://e.com/p?q=1#f", "extra": {"context": {"password": "[scrubbed]", "a": 1}}
        })
    );
    // The short path of the original's README, the key in the query, and an empty answer.
    let answer = relay.stranger().post_json(&format!("/api/errors?key={}", super::DSN), &error("x"));
    assert_eq!((answer.status, answer.json()), (201, json!({"status": "accepted"})));
}

#[test]
fn metrics_reach_metrics_collector_with_labels() {
    let relay = start();
    relay.metrics.always(Act::Answer(202, "", r#"{"status":"accepted","count":1}"#));
    let body = json!({"session_id": "sid", "url": "https://e.com/dash", "metrics": [
        {"name": "web_vitals_lcp", "type": "histogram", "value": 1250.5, "timestamp": "2026-01-01T00:00:00.000Z"}]});
    for path in ["/api/browser/metrics", "/api/metrics"] {
        let answer = relay.page().post_json(path, &body);
        assert_eq!((answer.status, answer.json()), (202, json!({"status": "accepted", "count": 1})));
    }
    let received = &relay.metrics.received()[0];
    assert_eq!(
        (received.line.as_str(), received.headers["x-api-key"].as_str()),
        ("POST /api/metrics HTTP/1.1", "key-of-metrics")
    );
    assert_eq!(
        received.json(),
        json!([{"name": "web_vitals_lcp", "type": "histogram", "value": 1250.5, "timestamp": "2026-01-01T00:00:00.000Z",
            "labels": {"project": "web", "source": "browser", "session_id": "sid", "page": "/dash"}, "project": "web"}])
    );
}

#[test]
fn metrics_of_a_clock_that_is_ahead_are_passed_on_as_new() {
    let relay = start();
    relay.metrics.always(Act::Answer(202, "", r#"{"status":"accepted","count":1}"#));
    let body = json!({"metrics": [{"name": "a", "type": "gauge", "value": 1, "timestamp": "2999-01-01T00:00:00Z"}]});
    assert_eq!(relay.page().post_json("/api/browser/metrics", &body).status, 202);
    let received = relay.metrics.received()[0].json();
    assert_eq!((&received[0]["name"], received[0].get("timestamp")), (&json!("a"), None));
}

#[test]
fn what_is_wrong_is_named_and_not_forwarded() {
    let relay = start();
    for (path, body, detail) in [
        ("/api/browser/errors", "", "Empty request body"),
        ("/api/browser/errors", "{", "Invalid JSON"),
        ("/api/browser/errors", "[]", "Request body must be a JSON object"),
        ("/api/browser/errors", "{}", "Missing required field: type"),
        (
            "/api/browser/errors",
            &json!({"type": "T".repeat(201), "message": "", "stack": ""}).to_string(),
            "Field 'type' exceeds maximum length of 200 characters",
        ),
        ("/api/browser/metrics", "", "Empty request body"),
        ("/api/browser/metrics", "{}", "Missing required field: metrics"),
        ("/api/browser/metrics", r#"{"metrics":[{"name":"a"}]}"#, "Missing required field: type (item 0)"),
    ] {
        let answer = relay.page().post(path, body);
        assert_eq!((answer.status, answer.detail().as_str()), (400, detail), "{path} {body}");
    }
    let deep =
        format!(r#"{{"type":"T","message":"m","stack":"s","context":{}{}}}"#, r#"{"a":"#.repeat(200), "}".repeat(200));
    assert_eq!(relay.page().post("/api/browser/errors", deep).status, 400);
    let answer = relay.page().get("/api/browser/errors");
    assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "POST"));
    assert_eq!(relay.page().get("/api/browser/nothing").status, 404);
    assert!(relay.errors.received().is_empty() && relay.metrics.received().is_empty());
}

#[test]
fn a_body_has_the_limit_of_the_configuration() {
    let relay = start_with(&[("MAX_BODY_SIZE", "2000")]);
    let mut body = error("x");
    body["stack"] = "s".repeat(1800).into();
    assert_eq!(relay.page().post_json("/api/browser/errors", &body).status, 201);
    body["stack"] = "s".repeat(2000).into();
    let answer = relay.page().post_json("/api/browser/errors", &body);
    assert_eq!((answer.status, answer.detail().as_str()), (413, "Request body exceeds maximum size"));
}

/// A report is larger than the error of the page: error-tracker would refuse what exceeds its own limit.
#[test]
fn an_error_that_does_not_fit_into_a_report_is_named() {
    const REPORT_BYTES_MAX: usize = 256 << 10;
    let relay = start_with(&[("MAX_BODY_SIZE", "262144")]);
    let mut body = error("x");
    for (stack_bytes, status) in [(REPORT_BYTES_MAX - 300, 201), (REPORT_BYTES_MAX - 60, 413)] {
        body["stack"] = "s".repeat(stack_bytes).into();
        let answer = relay.page().post_json("/api/browser/errors", &body);
        assert_eq!(answer.status, status, "{stack_bytes}: {}", answer.text());
    }
    let received = relay.errors.received();
    assert!(received.len() == 1 && received[0].body.len() <= REPORT_BYTES_MAX);
}

#[test]
fn what_a_back_end_refuses_for_good_is_502() {
    let relay = start();
    for act in [Act::Answer(400, "", "{}"), Act::Answer(401, "", "{}"), Act::Answer(404, "", "{}")] {
        relay.errors.next([act.clone()]);
        let answer = relay.page().post_json("/api/browser/errors", &error("x"));
        assert_eq!((answer.status, answer.detail().as_str()), (502, "Upstream error"), "{act:?}");
    }
    assert_eq!(relay.errors.received().len(), 3);
}

#[test]
fn a_page_s_own_idempotency_key_is_passed_on_for_its_project() {
    let relay = start();
    let page = relay.page().with_header("idempotency-key", "abc");
    for _ in 0..2 {
        assert_eq!(page.post_json("/api/browser/errors", &error("x")).status, 201);
    }
    let keys: Vec<String> =
        relay.errors.received().iter().map(|received| received.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys, ["1:abc", "1:abc"]);
    let page = relay.page().with_header("idempotency-key", &"x".repeat(101));
    assert_eq!(page.post_json("/api/browser/errors", &error("x")).status, 400);
}

#[test]
fn a_beacon_s_idempotency_key_is_in_its_query() {
    let relay = start();
    let beacon = relay.stranger();
    let send =
        |key: &str| beacon.post_json(&format!("/api/browser/errors?key={DSN}&idempotency_key={key}"), &error("x"));
    assert_eq!(send("abc").status, 201);
    assert_eq!(relay.errors.received()[0].headers["idempotency-key"], "1:abc");
    for unsendable in ["a%0d%0aX-Api-Key:%20b", "a%20b", "%C3%A9"] {
        let refused = send(unsendable);
        assert_eq!(
            (refused.status, refused.detail()),
            (400, "Idempotency-Key: expected printable ASCII without spaces".into())
        );
    }
    // The header goes first.
    let page = relay.page().with_header("idempotency-key", "def");
    assert_eq!(page.post_json("/api/browser/errors?idempotency_key=abc", &error("x")).status, 201);
    assert_eq!(relay.errors.received()[1].headers["idempotency-key"], "1:def");
}
