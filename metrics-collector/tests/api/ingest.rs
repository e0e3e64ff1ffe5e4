//! What is taken and what is refused.

use common::clock::{Clock, Timestamp};
use common::testing::TempDir;
use serde_json::{Value, json};

use super::{Collector, start, start_with};

fn item(name: &str) -> Value {
    json!({"name": name, "type": "counter", "value": 1})
}

#[track_caller]
fn refused(collector: &Collector, body: &str, detail: &str) {
    let answer = collector.client().post("/api/metrics", body);
    let start: String = body.chars().take(200).collect();
    assert_eq!((answer.status, answer.detail().as_str()), (400, detail), "{start}");
}

#[test]
fn both_forms_of_a_batch_are_taken() {
    let collector = start();
    for body in [json!([item("a"), item("b")]), json!({"metrics": [item("a"), item("c")]})] {
        let answer = collector.client().post_json("/api/metrics", &body);
        assert_eq!((answer.status, answer.json()), (202, json!({"status": "accepted", "count": 2})));
    }
    let names = collector.get("/api/metrics/names");
    let name = |name: &str| json!({"name": name, "type": "counter"});
    assert_eq!(names, json!({"metrics": [name("a"), name("b"), name("c")]}));
    assert_eq!(collector.get("/health")["metrics_received_24h"], 4);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let collector = start();
    let good = json!([item("a")]);
    for (body, detail) in [
        (String::new(), "Invalid JSON"),
        ("{".into(), "Invalid JSON"),
        (format!("{}{}", "[".repeat(500), "]".repeat(500)), "Invalid JSON"),
        ("7".into(), "Request body must be a JSON array"),
        ("{}".into(), "Request body must be a JSON array"),
        ("[]".into(), "Metrics array must not be empty"),
        (json!(vec![item("a"); 1001]).to_string(), "Metrics batch exceeds maximum of 1000 items"),
        (json!([item("a"), 1]).to_string(), "Each metric must be a JSON object (item 1)"),
        (json!([item("a"), item("")]).to_string(), "Field 'name' must be 1-200 characters (item 1)"),
        (json!([item(&"x".repeat(10_000))]).to_string(), "Field 'name' must be 1-200 characters (item 0)"),
        (r#"[{"name":"a","type":"gauge","value":1e999}]"#.into(), "Missing required field: value (item 0)"),
        (r#"[{"name":"a","type":"gauge","value":NaN}]"#.into(), "Invalid JSON"),
        (r#"[{"name":"a","type":"gauge","value":Infinity}]"#.into(), "Invalid JSON"),
        (r#"[{"name":"a","name":"b","type":"gauge","value":1}]"#.into(), "Invalid JSON"),
    ] {
        refused(&collector, &body, detail);
    }
    let labels: serde_json::Map<String, Value> = (0..100).map(|number| (format!("l{number}"), 1.into())).collect();
    let many = json!([item("a"), {"name": "b", "type": "gauge", "value": 1, "labels": labels}]);
    refused(&collector, &many.to_string(), "Field 'labels' must have at most 32 members (item 1)");
    let answer = collector.client().post("/api/metrics", vec![b' '; 600_000]);
    assert_eq!((answer.status, answer.detail().as_str()), (413, "Request body exceeds maximum size"));
    assert_eq!(collector.get("/api/metrics/names"), json!({"metrics": []}));
    assert_eq!(collector.client().post_json("/api/metrics", &good).status, 202);
}

#[test]
fn a_batch_of_any_size_up_to_the_limit_is_taken() {
    let collector = start();
    let long = "x".repeat(450);
    let items: Vec<Value> =
        (0..1000).map(|_| json!({"name": "a", "type": "gauge", "value": 1, "labels": {"l": long}})).collect();
    let body = json!(items).to_string();
    assert!((490_000..524_288).contains(&body.len()), "{}", body.len());
    assert_eq!(collector.client().post("/api/metrics", &body).json(), json!({"status": "accepted", "count": 1000}));
}

#[test]
fn times_have_limits_and_many_forms() {
    let collector = start();
    let now = Clock::System.now();
    let at = |timestamp: Value| {
        let answer = collector
            .client()
            .post_json("/api/metrics", &json!([{"name": "t", "type": "gauge", "value": 1, "timestamp": timestamp}]));
        (answer.status, if answer.status == 202 { String::new() } else { answer.detail() })
    };
    let text = |seconds: i64| Timestamp::from_millis(now.millis() + seconds * 1000).to_string();
    for good in [
        json!(null),
        json!(text(0)),
        json!(text(-3500)),
        json!(text(590)),
        json!(now.millis()),
        json!(now.millis() / 1000),
        json!(text(0).replace('Z', "+00:00")),
    ] {
        assert_eq!(at(good.clone()).0, 202, "{good}");
    }
    for bad in [json!("garbage"), json!(text(-7200)), json!(text(3600)), json!(0), json!(true), json!("2026-13-01")] {
        let (status, detail) = at(bad.clone());
        assert!(status == 400 && detail.starts_with("Field 'timestamp' must be"), "{bad}: {status} {detail}");
    }
}

#[test]
fn the_number_of_series_has_a_limit_that_is_told() {
    let collector = start_with(&[("MAX_SERIES", "3")]);
    assert_eq!(collector.client().post_json("/api/metrics", &json!([item("a"), item("b")])).status, 202);
    let full = json!([item("a"), item("c"), item("d")]).to_string();
    refused(&collector, &full, "There are 3 series already, the most there can be (MAX_SERIES) (item 2)");
    // Nothing of it is there, so one more fits.
    assert_eq!(collector.client().post_json("/api/metrics", &json!([item("c"), item("a")])).status, 202);
    refused(
        &collector,
        &json!([item("d")]).to_string(),
        "There are 3 series already, the most there can be (MAX_SERIES) (item 0)",
    );
    let page = collector.client().get("/metrics").text();
    assert!(page.contains("monlight_series_refused_total 2\n") && page.contains("monlight_series 3\n"), "{page}");
    // A label that rollups drop makes no series.
    for session in 0..10 {
        let body = json!([{"name": "a", "type": "counter", "value": 1, "labels": {"session_id": session}}]);
        assert_eq!(collector.client().post_json("/api/metrics", &body).status, 202);
    }
}

#[test]
fn a_repeat_with_the_same_idempotency_key_counts_once() {
    let collector = start();
    let client = collector.client().with_header("idempotency-key", "k-1");
    for _ in 0..3 {
        let answer = client.post_json("/api/metrics", &json!([item("a"), item("a")]));
        assert_eq!((answer.status, answer.json()), (202, json!({"status": "accepted", "count": 2})));
    }
    let answer = client.post_json("/api/metrics", &json!([item("b")]));
    assert_eq!((answer.status, answer.detail().as_str()), (422, "Idempotency-Key was used with another body"));
    assert_eq!(collector.get("/api/dashboard?period=1h")["summary"]["total_datapoints"], 2);
    let long = collector.client().with_header("idempotency-key", &"k".repeat(201));
    assert_eq!(long.post_json("/api/metrics", &json!([item("a")])).status, 400);
}

/// Batches at once, of which each has series that are new: none is stored twice, and none of the points is lost.
#[test]
fn new_series_of_many_clients_at_once_are_one_each() {
    const CLIENTS: usize = 16;
    let collector = start();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let items: Vec<Value> = (0..50).map(|number| item(&format!("m{number}"))).collect();
                assert_eq!(collector.client().post_json("/api/metrics", &json!(items)).status, 202);
            });
        }
    });
    assert_eq!(collector.get("/api/metrics/names")["metrics"].as_array().unwrap().len(), 50);
    assert_eq!(
        collector.get("/api/dashboard")["summary"],
        json!({"total_datapoints": 50 * CLIENTS, "distinct_metrics": 50})
    );
}

#[test]
fn acknowledged_points_survive_kill_9() {
    let mut home = TempDir::new();
    let mut acknowledged = 0;
    for _ in 0..5 {
        let collector = super::start_here(home, &[]);
        let client = collector.client();
        for _ in 0..40 {
            if client.post_json("/api/metrics", &json!(vec![item("a"); 25])).status == 202 {
                acknowledged += 25;
            }
        }
        home = collector.kill();
    }
    let collector = super::start_here(home, &[]);
    assert_eq!(collector.get("/api/dashboard")["top_metrics"][0]["count"], acknowledged);
}

#[test]
fn keys_and_methods_are_checked_first() {
    let collector = start();
    let stranger = common::testing::Client::new(collector.address());
    assert_eq!(stranger.post_json("/api/metrics", &json!([item("a")])).detail(), "Invalid API key");
    let answer = collector.client().send("DELETE", "/api/metrics", b"").unwrap();
    assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD, POST"));
    assert_eq!(collector.client().get("/api/metrics/").status, 404);
    assert_eq!(stranger.get("/health").status, 200);
    assert_eq!(stranger.get("/").status, 200);
}
