//! The published Python client, unmodified, against the real service.

use std::path::PathBuf;
use std::process::Command;

use common::testing::wait_for;

use super::{KEY, start};

/// The Python of the tests' packages, see `make setup-test`.
pub(super) fn python() -> PathBuf {
    let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv"));
    std::env::var_os("MONLIGHT_VENV").map_or(default, PathBuf::from).join("bin/python")
}

#[test]
fn the_published_client_reports() {
    let tracker = start();
    let output = Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/report.py"))
        .args([&format!("http://{}", tracker.address()), KEY])
        .output()
        .expect("the packages for the tests: make setup-test");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("Failed to report"), "{stderr}");

    let client = tracker.client();
    let errors = wait_for("three errors", || {
        let list = client.get("/api/errors?project=sdk").json();
        (list["total"] == 3).then(|| list["errors"].as_array().unwrap().clone())
    });
    let detail = |message: &str| {
        let error = errors.iter().find(|error| error["message"] == message).unwrap_or_else(|| panic!("{message}"));
        client.get(&format!("/api/errors/{}", error["id"])).json()
    };

    let sync = detail("sync went wrong");
    assert_eq!(sync["exception_type"], "ValueError");
    assert!(sync["traceback"].as_str().unwrap().starts_with("Traceback (most recent call last)"));
    assert_eq!(sync["occurrences"][0]["request_url"], "https://shop.example/pay");
    assert_eq!(sync["occurrences"][0]["user_id"], "7");

    assert_eq!(detail("async went wrong")["occurrences"][0]["extra"]["session_id"], "s-1");

    let crash = &detail("the application crashed")["occurrences"][0];
    assert_eq!(crash["request_method"], "GET");
    assert_eq!(crash["request_headers"]["x-shown"], "yes");
    assert_eq!(crash["request_headers"]["authorization"], serde_json::Value::Null);
}
