//! The documentation is true: its commands run, its table is what `--help` says, and the API is as described.

use common::testing::docs::{blocks, check_variables, page, run_commands};
use common::testing::openapi::check_description;
use serde_json::Value;

use super::{KEY, binary, start, start_with};

#[test]
fn its_commands_run() {
    let tracker = start();
    run_commands("error-tracker.md", &binary(), &tracker, &tracker.database(), &[("KEY", KEY)]);
    assert_eq!(tracker.client().get("/api/errors?resolved=true").json()["total"], 1);
}

/// What is said there once for all services holds for this one.
#[test]
fn the_commands_for_every_service_run() {
    let tracker = start();
    for page in ["api.md", "configuration.md"] {
        run_commands(page, &binary(), &tracker, &tracker.database(), &[("KEY", KEY)]);
    }
}

#[test]
fn the_refusals_of_the_api_page_are_real() {
    let page = page("api.md");
    let shown: Vec<Value> = blocks(&page)
        .iter()
        .filter(|block| block.language == "json")
        .map(|block| serde_json::from_str(&block.text).unwrap())
        .collect();
    let client = start_with(&[("RATE_LIMIT", "1")]);
    let mut wrong = client.client().get("/api/errors?limit=x").json();
    let mut limited = client.client().get("/api/errors").json();
    let seconds = limited["retry_after"].take();
    assert!((1..=60).contains(&seconds.as_u64().unwrap()), "{seconds}");
    limited["retry_after"] = shown[0]["retry_after"].clone();
    assert_eq!([limited, wrong.take()], *shown);
}

#[test]
fn its_table_is_what_help_says() {
    check_variables("error-tracker", &binary());
}

#[test]
fn the_api_is_as_described() {
    let tracker = start_with(&[
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", "1"),
        ("ALERT_EMAILS", "team@example.com"),
        ("RATE_LIMIT", "0"),
    ]);
    check_description("error-tracker.yaml", &tracker, &[&format!("X-API-Key: {KEY}")]);
}
