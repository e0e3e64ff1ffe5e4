//! The documentation is true: its commands run, and the API is as described.

use common::testing::docs::run_commands;
use common::testing::openapi::check_description;

use super::{KEY, binary, start, start_with};

#[test]
fn every_command_of_the_page_runs() {
    let viewer = start();
    viewer.docker().container("web").stdout("slow query: orders/4");
    viewer.wait_for_message("slow query: orders/4");
    run_commands("log-viewer.md", &binary(), &viewer, &viewer.home.database(), &[("KEY", KEY)]);
}

#[test]
fn the_api_is_as_described() {
    let viewer = start_with(&[("RATE_LIMIT", "0")]);
    check_description("log-viewer.yaml", &viewer, &[&format!("X-API-Key: {KEY}")]);
}
