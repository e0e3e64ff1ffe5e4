//! The dashboard: the whole period, right percentiles, ratings.

use common::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use super::{start, start_with};

/// Now, which stays the same for a test: minutes must not change between two of its points.
fn now() -> i64 {
    Clock::System.now().millis()
}

fn before(now: i64, seconds: i64) -> String {
    Timestamp::from_millis(now - seconds * 1000).to_string()
}

#[test]
fn an_empty_database_has_a_dashboard_too() {
    let collector = start();
    let dashboard = collector.get("/api/dashboard");
    assert_eq!(dashboard["period"], "24h");
    assert_eq!(dashboard["summary"], json!({"total_datapoints": 0, "distinct_metrics": 0}));
    assert_eq!(
        (&dashboard["top_metrics"], dashboard.get("web_vitals"), dashboard.get("requests")),
        (&json!([]), None, None)
    );
    assert_eq!(collector.get("/api/projects"), json!({"projects": []}));
}

#[test]
fn requests_have_rate_errors_and_latency() {
    for interval in ["1", "3600"] {
        let collector = start_with(&[("AGGREGATION_INTERVAL", interval), ("RETENTION_RAW", "3")]);
        let (now, mut points) = (now(), Vec::new());
        for number in 1..=200 {
            let labels =
                json!({"method": "GET", "endpoint": "/x", "status": if number % 10 == 0 { "500" } else { "200" }});
            let at = before(now, 100 * 60 - number);
            points.push(json!({"name": "http_requests_total", "type": "counter", "value": 1, "labels": labels, "timestamp": at, "project": "shop"}));
            points.push(
                json!({"name": "http_request_duration_seconds", "type": "histogram", "value": number as f64 / 1000.0,
                "labels": labels, "timestamp": at, "project": "shop"}),
            );
        }
        assert_eq!(collector.client().post_json("/api/metrics", &json!(points)).status, 202);
        for (period, resolution) in [("6h", "minute"), ("7h", "hour")] {
            let dashboard = collector.get(&format!("/api/dashboard?period={period}"));
            assert_eq!(dashboard["requests"]["resolution"], resolution, "{period}");
        }
        let dashboard = collector.get("/api/dashboard?period=24h&project=shop");
        assert_eq!(dashboard["summary"], json!({"total_datapoints": 400, "distinct_metrics": 2}));
        assert_eq!(
            dashboard["top_metrics"][1],
            json!({"name": "http_requests_total", "type": "counter", "count": 200, "total": 200.0})
        );
        let requests = &dashboard["requests"];
        assert_eq!(
            (&requests["count"], &requests["errors"], &requests["error_rate"]),
            (&json!(200.0), &json!(20.0), &json!(0.1))
        );
        for (name, exact) in [("p50", 0.1), ("p95", 0.19), ("p99", 0.198)] {
            let value = requests[name].as_f64().unwrap();
            assert!((value - exact).abs() <= exact * 0.01, "{name}: {value}");
        }
        let counted: f64 =
            requests["timeseries"].as_array().unwrap().iter().map(|row| row["count"].as_f64().unwrap()).sum();
        assert!((counted - 200.0).abs() < 1e-9);
        assert_eq!(collector.get("/api/dashboard?project=other")["summary"]["total_datapoints"], 0);
    }
}

#[test]
fn web_vitals_are_rated_at_their_75th_percentile() {
    let collector = start();
    let now = now();
    let vital = |name: &str, value: f64, page: &str, source: &str, second: i64| {
        json!({"name": format!("web_vitals_{name}"), "type": "histogram", "value": value, "timestamp": before(now, second),
            "labels": {"source": source, "page": page, "session_id": format!("s{value}")}})
    };
    let points: Vec<Value> = [
        vital("lcp", 1000.0, "/a", "browser", 600),
        vital("lcp", 2000.0, "/a", "browser", 600),
        vital("lcp", 3000.0, "/a", "browser", 300),
        vital("lcp", 4500.0, "/b", "browser", 300),
        vital("cls", 0.25, "/a", "browser", 300),
        vital("lcp", 99_000.0, "/a", "server", 300),
    ]
    .into();
    assert_eq!(collector.client().post_json("/api/metrics", &json!(points)).status, 202);
    let vitals = collector.get("/api/dashboard?period=1h")["web_vitals"].clone();
    let lcp = &vitals["summary"]["lcp"];
    assert_eq!((&lcp["avg"], &lcp["count"], &lcp["rating"]), (&json!(2625.0), &json!(4), &json!("needs-improvement")));
    assert!((lcp["p75"].as_f64().unwrap() - 3000.0).abs() <= 30.0);
    assert_eq!(vitals["summary"]["cls"]["rating"], "poor");
    assert_eq!(vitals["summary"]["inp"], json!({"avg": null, "p75": null, "count": 0, "rating": "unknown"}));
    let pages = vitals["by_page"].as_array().unwrap();
    let seen: Vec<_> =
        pages.iter().map(|page| (page["page"].as_str().unwrap(), page["page_views"].as_u64().unwrap())).collect();
    assert_eq!(seen, [("/a", 3), ("/b", 1)]);
    assert_eq!(
        (&pages[0]["lcp"], &pages[1]["lcp_rating"], &pages[1]["cls"]),
        (&json!(2000.0), &json!("poor"), &Value::Null)
    );
    let counts: u64 = vitals["timeseries"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!((counts, vitals["timeseries"].as_array().unwrap().len()), (5, 2));
}

#[test]
fn what_cannot_be_read_is_named() {
    let collector = start();
    for query in ["period=1w", "period=0h", "from=x", "resolution=day"] {
        let answer = collector.client().get(&format!("/api/dashboard?{query}"));
        assert_eq!(answer.status, 400, "{query}");
    }
}
