//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{ADMIN, DSN, binary, start};

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
