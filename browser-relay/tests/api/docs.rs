//! The documentation is true: its commands run, and the API is as described.

use common::testing::docs::run_commands;
use common::testing::openapi::check_description;

use super::{ADMIN, DSN, binary, start, start_with};

#[test]
fn every_command_of_the_page_runs() {
    let relay = start();
    run_commands(
        "browser-relay.md",
        &binary(),
        &relay,
        &relay.folder.path().join("relay.db"),
        &[("KEY", ADMIN), ("DSN", DSN)],
    );
    assert_eq!((relay.errors.received().len(), relay.metrics.received().len()), (1, 1));
}

#[test]
fn the_api_is_as_described() {
    let relay = start_with(&[("RATE_LIMIT", "0")]);
    check_description(
        "browser-relay.yaml",
        &relay,
        &[&format!("X-API-Key: {ADMIN}"), &format!("X-Monlight-Key: {DSN}")],
    );
}
