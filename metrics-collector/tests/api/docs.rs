//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{KEY, binary, database_in, start};

#[test]
fn every_command_of_the_page_runs() {
    let collector = start();
    run_commands("metrics-collector.md", &binary(), &collector, &database_in(&collector.folder), &[("KEY", KEY)]);
    assert_eq!(collector.get("/api/dashboard")["summary"]["total_datapoints"], 3);
}
