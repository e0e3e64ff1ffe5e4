//! Lists, one entry, exports, containers and stats, as clients see them.

use common::clock::Timestamp;
use serde_json::{Value, json};

use super::{Viewer, entries, message, start, start_with, target};

/// A service that has stored what two containers said.
fn with_two_containers() -> Viewer {
    let viewer = start();
    let mut web = viewer.docker().container("web-app");
    let mut db = viewer.docker().container("db");
    web.stdout("GET /api/users 200");
    web.stdout("level=warn slow query");
    viewer.wait_for_entries(2);
    db.stdout("LOG:  checkpoint");
    db.stderr("can't open 10.0.0.1: slow network");
    viewer.wait_for_entries(4);
    viewer
}

#[track_caller]
fn detail(viewer: &Viewer, path: &str, query: &[(&str, &str)], status: u16) -> String {
    let answer = viewer.client().get(&target(path, query));
    assert_eq!(answer.status, status, "{path} {query:?}");
    answer.detail()
}

#[test]
fn a_list_has_the_fields_of_the_contract() {
    let viewer = with_two_containers();
    let list = viewer.ask("/api/logs", &[("container", "web-app"), ("level", ">=WARNING")]);
    assert_eq!((&list["total"], &list["limit"], &list["offset"]), (&json!(1), &json!(100), &json!(0)));
    assert_eq!((&list["next"], list.get("search_mode"), list.get("total_is_exact")), (&Value::Null, None, None));
    let entry = &list["logs"][0];
    let time = entry["timestamp"].as_str().unwrap();
    assert_eq!(time.len(), "2026-01-20T10:00:00.123456789Z".len());
    assert!(Timestamp::parse(time).is_some());
    assert_eq!(
        *entry,
        json!({"id": 2, "timestamp": time, "container": "web-app", "stream": "stdout", "level": "WARNING",
            "message": "level=warn slow query"})
    );
    assert_eq!(viewer.ask("/api/logs/2", &[]), *entry);
    assert_eq!(detail(&viewer, "/api/logs/99", &[], 404), "Log entry not found");
}

#[test]
fn searches_say_how_they_were_understood() {
    let viewer = with_two_containers();
    for (search, mode, expected) in [
        ("slow", "fts", vec!["can't open 10.0.0.1: slow network", "level=warn slow query"]),
        ("slow AND net*", "fts", vec!["can't open 10.0.0.1: slow network"]),
        ("/api/users", "literal", vec!["GET /api/users 200"]),
        ("can't", "literal", vec!["can't open 10.0.0.1: slow network"]),
        ("***", "literal", vec![]),
    ] {
        let list = viewer.ask("/api/logs", &[("q", search)]);
        assert_eq!(entries(&list).iter().map(message).collect::<Vec<_>>(), expected, "{search}");
        assert_eq!((&list["search_mode"], &list["total"]), (&json!(mode), &json!(expected.len())), "{search}");
    }
    assert_eq!(viewer.messages(&[("contains", "HECKPOIN")]), ["LOG:  checkpoint"]);
}

#[test]
fn a_place_continues_a_list() {
    let viewer = with_two_containers();
    let mut seen = Vec::new();
    let mut before = String::new();
    loop {
        let list = viewer.ask("/api/logs", &[("limit", "1"), ("before", &before)]);
        assert_eq!(list["total"], 4);
        seen.extend(entries(&list));
        let Some(next) = list["next"].as_str() else { break };
        before = next.to_owned();
    }
    assert_eq!(seen, viewer.logs(&[]));
    assert_eq!(viewer.logs(&[("offset", "3")]), seen[3..]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let viewer = start();
    for (name, value) in [("level", "loud"), ("limit", "many"), ("since", "yesterday"), ("before", "x")] {
        let detail = detail(&viewer, "/api/logs", &[(name, value)], 400);
        assert!(detail.starts_with(&format!("parameter '{name}': expected")), "{detail}");
    }
    assert!(detail(&viewer, "/api/logs/export", &[("format", "xml")], 400).contains("ndjson, text"));
}

#[test]
fn containers_and_stats_under_both_names() {
    let viewer = start();
    let empty = json!({"total_logs": 0, "oldest_log": null, "newest_log": null, "by_level": {}, "by_container": {}});
    assert_eq!(viewer.ask("/api/stats", &[]), empty);
    assert_eq!(viewer.ask("/api/containers", &[]), json!({"containers": []}));
    drop(viewer);
    let viewer = with_two_containers();
    for path in ["/api/containers", "/api/logs/containers"] {
        let expected = json!({"containers": [{"name": "db", "log_count": 2}, {"name": "web-app", "log_count": 2}]});
        assert_eq!(viewer.ask(path, &[]), expected);
    }
    for path in ["/api/stats", "/api/logs/stats"] {
        let stats = viewer.ask(path, &[]);
        assert_eq!(stats["total_logs"], 4);
        assert_eq!(stats["by_level"], json!({"ERROR": 1, "INFO": 2, "WARNING": 1}));
        assert_eq!(stats["by_container"], json!({"db": 2, "web-app": 2}));
        let newest = &viewer.logs(&[("limit", "1")])[0]["timestamp"];
        assert_eq!(stats["newest_log"], *newest);
    }
}

#[test]
fn a_long_message_is_cut_in_a_list_only() {
    let viewer = start();
    let long = "x".repeat(60_000);
    viewer.docker().container("web").stdout(&long);
    viewer.wait_for_entries(1);
    let listed = &viewer.logs(&[("limit", "500")])[0];
    let shown = message(listed);
    assert!(long.starts_with(&shown) && shown.len() == (2 << 20) / 500);
    assert_eq!(listed["cut"], long.len() - shown.len());
    assert_eq!(message(&viewer.ask("/api/logs/1", &[])), long);
    assert_eq!(message(&viewer.logs(&[("limit", "5")])[0]), long);
}

#[test]
fn an_export_has_everything_in_the_order_of_arrival() {
    let viewer = start_with(&[("TAIL_BUFFER", "10000000")]);
    let mut web = viewer.docker().container("web");
    for number in 0..3000 {
        web.stdout(format!("line {number} is {}", if number % 3 == 0 { "fizz" } else { "plain" }));
    }
    viewer.wait_for_entries(3000);
    let export = |query: &[(&str, &str)]| viewer.client().get(&target("/api/logs/export", query));
    let all = export(&[]);
    assert_eq!((all.status, all.headers["content-type"].as_str()), (200, "application/x-ndjson"));
    let lines: Vec<Value> = all.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<i64> = lines.iter().map(|entry| entry["id"].as_i64().unwrap()).collect();
    assert!(ids.iter().copied().eq(1..=3000), "{} entries", ids.len());
    assert_eq!(lines[7], viewer.ask("/api/logs/8", &[]));

    let fizz = export(&[("format", "text"), ("q", "fizz"), ("limit", "1"), ("container", "web")]).text();
    assert_eq!(fizz.lines().count(), 1000);
    let first = fizz.lines().next().unwrap();
    assert!(first.ends_with("Z web INFO line 0 is fizz"), "{first}");
    assert_eq!(export(&[("container", "nobody")]).text(), "");
}
