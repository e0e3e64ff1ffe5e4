//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{KEY, binary, start};

#[test]
fn every_command_of_the_page_runs() {
    let tracker = start();
    let (url, database) = (format!("http://{}", tracker.address()), tracker.database());
    let backup = database.with_extension("backup");
    let variables = [
        ("URL", url.as_str()),
        ("KEY", KEY),
        ("DATABASE_PATH", database.to_str().unwrap()),
        ("BACKUP", backup.to_str().unwrap()),
    ];
    run_commands("error-tracker.md", &binary(), &variables);
    assert_eq!(tracker.client().get("/api/errors?resolved=true").json()["total"], 1);
}
