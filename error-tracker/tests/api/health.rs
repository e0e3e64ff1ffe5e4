//! `/health`.

use common::testing::Client;
use serde_json::json;

use super::start_with;

#[test]
fn health_needs_no_key_and_counts_for_no_rate() {
    let tracker = start_with(&[("RATE_LIMIT", "1")]);
    let client = Client::new(tracker.address());
    for path in ["/health", "/health?x", "/health?api_key=wrong"] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})), "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert_eq!(client.send("HEAD", "/health", b"").unwrap().status, 200);
    // Only this address, and only to be read.
    assert_eq!(client.get("/healthy").status, 401);
}
