//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{ADMIN, DSN, binary, start};

#[test]
fn every_command_of_the_page_runs() {
    let relay = start();
    let (url, database) = (format!("http://{}", relay.address()), relay.folder.path().join("relay.db"));
    let backup = database.with_extension("backup");
    let variables = [
        ("URL", url.as_str()),
        ("KEY", ADMIN),
        ("DSN", DSN),
        ("DATABASE_PATH", database.to_str().unwrap()),
        ("BACKUP", backup.to_str().unwrap()),
    ];
    run_commands("browser-relay.md", &binary(), &variables);
    assert_eq!((relay.errors.received().len(), relay.metrics.received().len()), (1, 1));
}
