//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{KEY, binary, start};

#[test]
fn every_command_of_the_page_runs() {
    let tracker = start();
    run_commands("error-tracker.md", &binary(), &tracker, &tracker.database(), &[("KEY", KEY)]);
    assert_eq!(tracker.client().get("/api/errors?resolved=true").json()["total"], 1);
}
