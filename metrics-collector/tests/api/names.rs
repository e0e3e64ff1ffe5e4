//! Which metrics, labels and projects there are.

use serde_json::json;

use super::start;

#[test]
fn names_come_once_for_each_type_ascending() {
    let collector = start();
    assert_eq!(collector.get("/api/metrics/names"), json!({"metrics": []}));
    let point =
        |name: &str, kind: &str, project: &str| json!({"name": name, "type": kind, "value": 1, "project": project});
    let mut points =
        vec![point("b c&d", "gauge", "web"), point("a", "histogram", "web"), point("a", "counter", "größe")];
    points.push(json!({"name": "a", "type": "counter", "value": 1, "labels": {"x": 1}}));
    assert_eq!(collector.client().post_json("/api/metrics", &json!(points)).status, 202);
    let metric = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let (counter, histogram, gauge) = (metric("a", "counter"), metric("a", "histogram"), metric("b c&d", "gauge"));
    for (query, expected) in [
        ("", json!([counter, histogram, gauge])),
        ("?project=web", json!([histogram, gauge])),
        ("?project=gr%C3%B6%C3%9Fe", json!([counter])),
        // Without a project there is no name to ask for: an empty parameter counts as none.
        ("?project=", json!([counter, histogram, gauge])),
        ("?project=we", json!([])),
        ("?project=%25", json!([])),
    ] {
        assert_eq!(collector.get(&format!("/api/metrics/names{query}"))["metrics"], expected, "{query}");
    }
    assert_eq!(collector.get("/api/projects"), json!({"projects": ["größe", "web"]}));
    assert_eq!(collector.get("/api/metrics?name=b+c%26d")["data"][0]["count"], 1);
}

#[test]
fn labels_are_those_of_the_series_asked_for() {
    let collector = start();
    let point = |labels: serde_json::Value| json!({"name": "r", "type": "counter", "value": 1, "labels": labels});
    let mut points = vec![
        point(json!({"status": 200, "path": "/a,b:c"})),
        point(json!({"status": 500, "path": "/"})),
        point(json!({"zone": "<b>"})),
    ];
    points.push(json!({"name": "r", "type": "gauge", "value": 1, "project": "web", "labels": {"up": true}}));
    assert_eq!(collector.client().post_json("/api/metrics", &json!(points)).status, 202);
    let label = |name: &str, values: &[&str]| json!({"name": name, "values": values, "has_more": false});
    let (path, status) = (label("path", &["/", "/a,b:c"]), label("status", &["200", "500"]));
    let (up, zone) = (label("up", &["true"]), label("zone", &["<b>"]));
    for (query, series, labels) in [
        ("", 4, json!([path, status, up, zone])),
        ("&type=counter", 3, json!([path, status, zone])),
        ("&project=web", 1, json!([up])),
        ("&labels=status:500", 1, json!([label("path", &["/"]), label("status", &["500"])])),
        ("&project=none", 0, json!([])),
    ] {
        let expected = json!({"name": "r", "series": series, "labels": labels});
        assert_eq!(collector.get(&format!("/api/metrics/labels?name=r{query}")), expected, "{query}");
    }
    let answer = collector.client().get("/api/metrics/labels");
    assert_eq!((answer.status, answer.json()["detail"].as_str()), (400, Some("Missing required parameter: name")));
}

#[test]
fn lists_need_the_key_and_readable_escapes() {
    let collector = start();
    for path in
        ["/api/metrics/names", "/api/metrics/labels?name=a", "/api/projects", "/api/dashboard", "/api/metrics?name=a"]
    {
        assert_eq!(collector.service.client("wrong").get(path).status, 401, "{path}");
    }
    let answer = collector.client().get("/api/metrics/names?project=%zz");
    assert_eq!(answer.status, 400, "{}", answer.text());
}
