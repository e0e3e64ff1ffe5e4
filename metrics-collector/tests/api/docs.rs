//! The documentation is true: its commands run, its table is what `--help` says, and the API is as described.

use common::testing::docs::{check_variables, run_commands};
use common::testing::openapi::check_description;

use super::{KEY, binary, database_in, start, start_with};

#[test]
fn its_commands_run() {
    let collector = start();
    run_commands("metrics-collector.md", &binary(), &collector, &database_in(&collector.folder), &[("KEY", KEY)]);
    assert_eq!(collector.get("/api/dashboard")["summary"]["total_datapoints"], 3);
}

#[test]
fn its_table_is_what_help_says() {
    check_variables("metrics-collector", &binary());
}

#[test]
fn the_api_is_as_described() {
    let collector = start_with(&[("RATE_LIMIT", "0")]);
    check_description("metrics-collector.yaml", &collector, &[&format!("X-API-Key: {KEY}")]);
}
