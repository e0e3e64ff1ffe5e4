//! The documentation is true: its commands run, and the API is as described.

use common::testing::docs::run_commands;
use common::testing::openapi::check_description;

use super::{KEY, binary, start, start_with};

#[test]
fn every_command_of_the_page_runs() {
    let tracker = start();
    run_commands("error-tracker.md", &binary(), &tracker, &tracker.database(), &[("KEY", KEY)]);
    assert_eq!(tracker.client().get("/api/errors?resolved=true").json()["total"], 1);
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
