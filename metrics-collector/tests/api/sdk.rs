//! The published Python client and its `FastAPI` middleware, unmodified, against the real service.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::{KEY, start};

/// The Python of the tests' packages, see `make setup-test`.
fn python() -> PathBuf {
    let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv"));
    std::env::var_os("MONLIGHT_VENV").map_or(default, PathBuf::from).join("bin/python")
}

#[test]
fn the_published_client_measures() {
    let collector = start();
    let output = Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/measure.py"))
        .args([&format!("http://{}", collector.address()), KEY])
        .output()
        .expect("the packages for the tests: make setup-test");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("ailed"), "{stderr}");

    assert_eq!(collector.get("/api/projects"), json!({"projects": ["sdk", "web"]}));
    let work = &collector.get("/api/metrics?name=work_seconds&period=1h&resolution=hour&project=sdk&group_by=queue")["data"]
        [0];
    assert_eq!((&work["count"], &work["max"], &work["labels"]), (&json!(100), &json!(1.0), &json!({"queue": "mail"})));
    for (name, exact) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        let value = work[name].as_f64().unwrap();
        assert!((value - exact).abs() <= exact * 0.01, "{name}: {value}");
    }
    assert_eq!(
        collector.get("/api/metrics?name=jobs_total&period=1h&agg=sum&resolution=hour")["data"][0]["value"],
        5.0
    );

    let requests = collector.get("/api/dashboard?period=1h&project=web")["requests"].clone();
    assert_eq!(requests["count"], 21.0, "{requests}");
    assert_eq!(requests["errors"], 1.0, "{requests}");
    assert!(requests["p99"].as_f64().unwrap() > 0.0);
    let by_endpoint =
        collector.get("/api/metrics?name=http_requests_total&period=1h&resolution=hour&agg=count&group_by=endpoint");
    assert_eq!(by_endpoint["data"][1]["labels"]["endpoint"], "/orders/{number}", "{by_endpoint}");
}
