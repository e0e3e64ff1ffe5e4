//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{KEY, binary, start};

#[test]
fn every_command_of_the_page_runs() {
    let viewer = start();
    viewer.docker().container("web").stdout("slow query: orders/4");
    viewer.wait_for_message("slow query: orders/4");
    run_commands("log-viewer.md", &binary(), &viewer, &viewer.home.database(), &[("KEY", KEY)]);
}
