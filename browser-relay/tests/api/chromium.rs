//! A real browser in front of the relay.

use std::path::Path;
use std::process::{Command, Stdio};

use common::testing::skip;
use serde_json::{Value, json};

use super::backend::Act;
use super::{ADMIN, DSN, start_with};

/// Runs a script of `tests/browser`; none where there is no browser.
fn run(script: &str, arguments: &[&str]) -> Option<Value> {
    if !["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .iter()
        .any(|path| Path::new(path).exists())
    {
        skip("no browser was tested: chromium is not installed");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let output =
        Command::new("node").current_dir(folder).arg(script).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", output.status);
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn pages_of_another_origin_can_send_and_read_why_not() {
    let relay = start_with(&[("CORS_ORIGINS", "http://127.0.0.1:*"), ("RATE_LIMIT", "30")]);
    relay.metrics.always(Act::Answer(202, "", r#"{"status":"accepted","count":1}"#));
    let Some(seen) = run("cors.js", &[&format!("http://{}", relay.address()), DSN]) else { return };
    assert_eq!(seen["taken"]["status"], 201);
    assert_eq!(seen["wrongKey"]["body"], r#"{"detail":"Invalid DSN key"}"#);
    assert_eq!((&seen["wrongBody"]["status"], &seen["tooLarge"]["status"]), (&json!(400), &json!(413)));
    assert_eq!((&seen["wrongPath"]["status"], &seen["wrongQuery"]["status"]), (&json!(404), &json!(400)));
    assert_eq!(seen["tooOften"]["status"], 429);
    assert!(seen["tooOften"]["retryAfter"].as_str().unwrap().parse::<u64>().unwrap() <= 60);
    // Its preflight is refused, so the browser sends nothing.
    assert_eq!(seen["strange"], json!({"error": "TypeError"}));
    assert_eq!(seen["beacon"], true);
    let beacon = &relay.metrics.wait_for(1)[0];
    assert_eq!(beacon.json()[0]["name"], "web_vitals_cls");
    assert!(relay.errors.received().iter().all(|received| received.json()["message"] == "from a browser"));
}

#[test]
fn stacks_of_minified_scripts_are_what_the_source_map_package_makes_of_them() {
    let relay = start_with(&[("CORS_ORIGINS", "http://127.0.0.1:*")]);
    let Some(seen) = run("crash.js", &[&format!("http://{}", relay.address()), DSN, ADMIN]) else { return };
    let received = relay.errors.received();
    assert_eq!(received.len(), 6);
    for (seen, received) in seen.as_array().unwrap().iter().zip(&received) {
        let report = received.json();
        let (expected, stack) = (seen["expected"].as_str().unwrap(), seen["stack"].as_str().unwrap());
        assert_eq!(report["message"], seen["name"]);
        assert_ne!(expected, stack, "{}", seen["name"]);
        assert_eq!(report["traceback"], expected, "{}\n{stack}", seen["name"]);
        assert!(expected.contains("crash.js:") && expected.contains("lodash-es/"), "{expected}");
        // And the code around the first frame of ours.
        let sources = report["extra"]["sources"].as_array().unwrap();
        let lines: Vec<&str> = sources
            .iter()
            .flat_map(|source| source["lines"].as_array().unwrap())
            .map(|line| line.as_str().unwrap())
            .collect();
        assert!(lines.iter().any(|line| line.contains("item.price.amount")), "{sources:?}");
    }
}
