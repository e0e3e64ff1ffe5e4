//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{KEY, binary, database_in, start};

#[test]
fn every_command_of_the_page_runs() {
    let collector = start();
    let (url, database) = (format!("http://{}", collector.address()), database_in(&collector.folder));
    let backup = database.with_extension("backup");
    let variables = [
        ("URL", url.as_str()),
        ("KEY", KEY),
        ("DATABASE_PATH", database.to_str().unwrap()),
        ("BACKUP", backup.to_str().unwrap()),
    ];
    run_commands("metrics-collector.md", &binary(), &variables);
    assert_eq!(collector.get("/api/dashboard")["summary"]["total_datapoints"], 3);
}
