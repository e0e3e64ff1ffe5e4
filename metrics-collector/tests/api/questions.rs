//! Metrics over time, as clients ask for them.

use common::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use super::{Collector, start, start_with};

/// The start of the minute so many minutes ago, in seconds.
fn minute(ago: i64) -> i64 {
    let second = Clock::System.now().millis() / 1000;
    second - second % 60 - ago * 60
}

fn time(second: i64) -> String {
    Timestamp::from_millis(second * 1000).to_string()
}

fn point(name: &str, kind: &str, value: f64, labels: &Value, second: i64) -> Value {
    json!({"name": name, "type": kind, "value": value, "labels": labels, "timestamp": time(second)})
}

#[track_caller]
fn send(collector: &Collector, points: &[Value]) {
    for batch in points.chunks(1000) {
        assert_eq!(collector.client().post_json("/api/metrics", &json!(batch)).status, 202);
    }
}

/// 1 to 100 three minutes ago, and a little of two other series.
fn with_latencies(variables: &[(&str, &str)]) -> (Collector, i64) {
    let collector = start_with(variables);
    let at = minute(3);
    let mut points: Vec<Value> = (1..=100)
        .map(|value| point("lat", "histogram", f64::from(value), &json!({"m": "GET", "e": "/a,b"}), at))
        .collect();
    points.push(point("lat", "histogram", 1000.0, &json!({"m": "PUT", "e": "/c"}), at));
    points.push(point("lat", "histogram", 7.0, &json!({"m": "GET", "e": "/a,b"}), at + 60));
    send(&collector, &points);
    (collector, at)
}

#[test]
fn a_metric_has_the_figures_of_the_contract() {
    // Rolled up or not, the answer is the same.
    for interval in ["1", "3600"] {
        let (collector, at) = with_latencies(&[("AGGREGATION_INTERVAL", interval)]);
        let answer = collector.get("/api/metrics?name=lat&period=1h&labels=m:GET");
        assert_eq!(
            (&answer["name"], &answer["resolution"], &answer["period"]),
            (&json!("lat"), &json!("minute"), &json!("1h"))
        );
        let labels = json!({"e": "/a,b", "m": "GET"});
        assert_eq!(
            answer["data"][0],
            json!({"bucket": time(at), "type": "histogram", "labels": labels, "count": 100, "sum": 5050.0, "min": 1.0,
                "max": 100.0, "avg": 50.5, "p50": 50.0, "p95": 95.0, "p99": 99.0})
        );
        assert_eq!((&answer["data"][1]["count"], &answer["data"][1]["p50"]), (&json!(1), &json!(7.0)));
        assert_eq!(answer["data"].as_array().unwrap().len(), 2);
        let all = collector.get("/api/metrics?name=lat");
        assert_eq!((all["period"].as_str(), all["data"].as_array().unwrap().len()), (Some("24h"), 3));
        let hour = collector.get("/api/metrics?name=lat&resolution=hour&group_by=m&period=1h");
        let count: u64 = hour["data"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum();
        assert_eq!((hour["resolution"].as_str(), count), (Some("hour"), 102));
    }
}

#[test]
fn labels_are_filtered_decoded_and_grouped() {
    let (collector, at) = with_latencies(&[]);
    let count = |query: &str| {
        collector.get(&format!("/api/metrics?name=lat&period=1h&{query}"))["data"].as_array().unwrap().len()
    };
    assert_eq!(count("labels=e:%2Fc"), 1);
    assert_eq!(count(r"labels=e:%2Fa%5C%2Cb"), 2);
    assert_eq!(count("labels=%7B%22e%22%3A%22%2Fa%2Cb%22%7D"), 2);
    assert_eq!(count("labels=m:GET,e:%2Fc"), 0);
    assert_eq!(count("labels=none:x"), 0);
    assert_eq!(count("project=other"), 0);
    assert_eq!(count("type=counter"), 0);
    let rows = collector.get("/api/metrics?name=lat&period=1h&agg=max&group_by=m");
    assert_eq!(rows["agg"], "max");
    let row = |second: i64, m: &str, value: f64| json!({"bucket": time(second), "type": "histogram", "labels": {"m": m}, "value": value});
    assert_eq!(rows["data"], json!([row(at, "GET", 100.0), row(at, "PUT", 1000.0), row(at + 60, "GET", 7.0)]));
    // One chart for all of them; within 1 % of the exact value, which is the 96th of 101.
    let p95 = collector.get("/api/metrics?name=lat&period=1h&agg=p95")["data"][0]["value"].as_f64().unwrap();
    assert!((p95 - 96.0).abs() <= 0.96, "{p95}");
    // Of one series it is exact, however it is asked for.
    for query in ["agg=p50&labels=m:GET", "agg=p50&labels=m:GET&group_by=e"] {
        let rows = collector.get(&format!("/api/metrics?name=lat&period=1h&{query}"));
        assert_eq!(rows["data"][0]["value"], 50.0, "{query}");
    }
}

#[test]
fn counters_have_a_rate() {
    let collector = start();
    let at = minute(4);
    send(
        &collector,
        &[
            point("req", "counter", 90.0, &json!({"s": 1}), at),
            point("req", "counter", 30.0, &json!({"s": 2}), at + 59),
        ],
    );
    let rows = collector.get("/api/metrics?name=req&period=10m&agg=rate");
    assert_eq!((&rows["data"][0]["value"], &rows["data"][0]["bucket"]), (&json!(2.0), &json!(time(at))));
    let rows = collector.get("/api/metrics?name=req&period=10m");
    assert_eq!(rows["data"][0]["p50"], Value::Null);
    for (query, detail) in [
        ("agg=p95", "parameter 'agg': only histograms have percentiles, and this metric is a counter"),
        ("agg=x", "parameter 'agg': expected one of rate, count, sum, avg, min, max, p50, p95, p99, got 'x'"),
        ("labels=s", "parameter 'labels': expected key:value,key:value, got 's'"),
        ("labels=a:b,c", "parameter 'labels': expected key:value,key:value, got 'a:b,c'"),
        ("group_by=,", "parameter 'group_by': expected up to 32 labels separated by commas, got ','"),
        ("period=1w", "parameter 'period': expected a number and s, m, h or d, got '1w'"),
        (
            // A period that ends now has a minute more than it is long, but where it ends with one.
            "from=2026-01-01T00:00:00Z&to=2026-01-31T00:00:00Z&resolution=minute",
            "expected an answer of at most 10080 rows, this has up to 86400",
        ),
        ("resolution=day", "parameter 'resolution': expected minute, hour or auto, got 'day'"),
        ("from=yesterday", "parameter 'from': expected an ISO 8601 time or seconds since 1970, got 'yesterday'"),
    ] {
        let answer = collector.client().get(&format!("/api/metrics?name=req&{query}"));
        assert_eq!((answer.status, answer.detail().as_str()), (400, detail), "{query}");
    }
    let answer = collector.client().get("/api/metrics");
    assert_eq!((answer.status, answer.detail().as_str()), (400, "Missing required parameter: name"));
}

#[test]
fn from_and_to_choose_a_stretch() {
    let (collector, at) = with_latencies(&[]);
    let rows = collector.get(&format!("/api/metrics?name=lat&from={}&to={}", time(at + 60), time(at + 120)));
    assert_eq!((rows["data"].as_array().unwrap().len(), &rows["data"][0]["bucket"]), (1, &json!(time(at + 60))));
    assert_eq!(
        (&rows["from"], &rows["to"], &rows["period"]),
        (&json!(time(at + 60)), &json!(time(at + 120)), &json!("60s"))
    );
}

#[test]
fn what_looks_like_sql_is_a_name_like_any_other() {
    let collector = start();
    let name = "x' UNION SELECT name, sql FROM sqlite_master --";
    send(
        &collector,
        &[
            json!({"name": name, "type": "gauge", "value": 1, "project": "p' OR '1'='1", "labels": {"l": "'); DROP TABLE points; --"}}),
        ],
    );
    let encode = |text: &str| text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02x}"));
    let rows = collector.get(&format!("/api/metrics?name={}&period=1h", encode(name)));
    assert_eq!(rows["data"][0]["labels"]["l"], "'); DROP TABLE points; --");
    assert_eq!(collector.get("/api/projects"), json!({"projects": ["p' OR '1'='1"]}));
    let injection = encode("' OR '1'='1");
    for path in ["/api/metrics?name=a&", "/api/metrics/names?", "/api/dashboard?"] {
        for parameter in ["project", "period", "labels", "group_by", "agg", "type", "from", "to", "resolution", "name"]
        {
            let answer = collector.client().get(&format!("{path}{parameter}={injection}"));
            assert!([200, 400].contains(&answer.status), "{path}{parameter}: {}", answer.text());
        }
    }
    assert_eq!(collector.get(&format!("/api/metrics/names?project={injection}")), json!({"metrics": []}));
    assert_eq!(
        collector.get(&format!("/api/metrics/names?project={}", encode("p' OR '1'='1")))["metrics"][0]["name"],
        name
    );
}

#[test]
fn the_newest_points_are_there_at_once() {
    let collector = start();
    send(&collector, &[json!({"name": "now", "type": "gauge", "value": 5})]);
    let rows = collector.get("/api/metrics?name=now&period=30s");
    assert_eq!((&rows["data"][0]["max"], &rows["resolution"]), (&json!(5.0), &json!("minute")));
    let hour = collector.get("/api/metrics?name=now&period=7d");
    assert_eq!((&hour["data"][0]["count"], &hour["resolution"]), (&json!(1), &json!("hour")));
}

#[test]
fn a_period_longer_than_anything_is_answered_at_once() {
    let collector = start();
    let names = ["http_requests_total", "web_vitals_lcp"].into_iter().zip(["counter", "histogram"]);
    let points: Vec<Value> = names
        .map(|(name, kind)| json!({"name": name, "type": kind, "value": 1, "labels": {"source": "browser"}}))
        .collect();
    send(&collector, &points);
    // While nothing else has come in, no minute is closed: those of thirty years are not looked at one by one.
    let dashboard = collector.get("/api/dashboard?period=9999d&resolution=minute");
    assert_eq!(dashboard["web_vitals"]["timeseries"].as_array().unwrap().len(), 1);
    assert_eq!(dashboard["requests"]["timeseries"].as_array().unwrap().len(), 1);
    assert_eq!(collector.get("/api/metrics?name=none&period=9999d&resolution=minute")["data"], json!([]));
    let peak = collector.peak_memory();
    assert!(peak < 20_000_000, "{peak} bytes");
}

#[test]
fn numbers_of_any_size_come_back() {
    let collector = start();
    for (name, value) in [("large", 1e308), ("small", 1e-300), ("negative", -2.5), ("zero", 0.0)] {
        send(
            &collector,
            &[
                json!({"name": name, "type": "gauge", "value": value}),
                json!({"name": name, "type": "gauge", "value": value}),
            ],
        );
        let row = &collector.get(&format!("/api/metrics?name={name}&period=1m"))["data"][0];
        assert_eq!((row["max"].as_f64(), row["min"].as_f64()), (Some(value), Some(value)), "{name}");
        assert_eq!(row["avg"].as_f64(), Some(value), "{name}");
        assert!(row["sum"].as_f64().is_some_and(f64::is_finite), "{name}: {row}");
    }
}
