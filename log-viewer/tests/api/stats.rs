//! `GET /api/stats`, `/api/containers`, their other spellings, and `/api/logs/histogram`.

use serde_json::json;

use crate::start;

#[test]
fn figures_of_an_empty_database() {
    let viewer = start();
    for path in ["/api/stats", "/api/logs/stats"] {
        let expected =
            json!({"total_logs": 0, "oldest_log": null, "newest_log": null, "by_level": {}, "by_container": {}});
        let found = viewer.ask(path, &[]);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&found[name], value, "{name} of {path}");
        }
    }
    assert_eq!(viewer.ask("/api/containers", &[])["containers"], json!([]));
}

#[test]
fn entries_are_counted_by_level_and_container() {
    let viewer = start();
    let (mut b, mut a) = (viewer.docker().container("b"), viewer.docker().container("a"));
    b.stdout("[ERROR] 1");
    b.stderr("2");
    b.stdout("3");
    a.stdout("[WARN] 4");
    viewer.wait_for_entries(4);
    for path in ["/api/stats", "/api/logs/stats"] {
        let stats = viewer.ask(path, &[]);
        assert_eq!(stats["by_level"], json!({"ERROR": 2, "INFO": 1, "WARNING": 1}));
        assert_eq!(stats["by_container"], json!({"a": 1, "b": 3}));
        let list = viewer.logs(&[]);
        let times: Vec<_> = list.iter().map(|entry| &entry["timestamp"]).collect();
        assert_eq!((&stats["newest_log"], &stats["oldest_log"]), (times[0], times[3]));
    }
    for path in ["/api/containers", "/api/logs/containers"] {
        let list = viewer.ask(path, &[]);
        let names: Vec<_> =
            list["containers"].as_array().unwrap().iter().map(|c| (&c["name"], &c["log_count"])).collect();
        assert_eq!(names, [(&json!("a"), &json!(1)), (&json!("b"), &json!(3))]);
    }
}

#[test]
fn metrics_tell_about_the_service_itself() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    web.stdout("x");
    viewer.wait_for_entries(1);
    let page = viewer.client().get("/metrics");
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].starts_with("text/plain"));
    let text = page.text();
    for line in [
        "monlight_log_lines_total 1",
        "monlight_log_entries_total 1",
        "monlight_log_gaps_total 0",
        "monlight_log_containers 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_histogram_has_every_entry_once() {
    let viewer = start();
    let empty = json!({"from": null, "to": null, "bucket_seconds": null, "buckets": []});
    assert_eq!(viewer.ask("/api/logs/histogram", &[]), empty);
    let mut web = viewer.docker().container("web");
    for line in ["[ERROR] 1", "2", "3"] {
        web.stdout(line);
    }
    viewer.docker().container("db").stdout("4");
    viewer.wait_for_entries(4);
    let counted = |parameters: &[(&str, &str)]| {
        let histogram = viewer.ask("/api/logs/histogram", parameters);
        let buckets = histogram["buckets"].as_array().unwrap().clone();
        let count = |level: &str| buckets.iter().filter_map(|bucket| bucket["counts"][level].as_i64()).sum::<i64>();
        (count("ERROR"), count("INFO"))
    };
    assert_eq!(counted(&[]), (1, 3));
    assert_eq!(counted(&[("container", "web")]), (1, 2));
    assert_eq!(counted(&[("since", "2020-01-01"), ("level", "error")]), (1, 0));
    assert_eq!(viewer.ask("/api/logs/histogram", &[("container", "nobody")]), empty);
}
