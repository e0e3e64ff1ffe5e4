//! The commands in the documentation do what it says.

use common::testing::docs::run_commands;

use super::{KEY, binary, start};

#[test]
fn every_command_of_the_page_runs() {
    let viewer = start();
    viewer.docker().container("web").stdout("slow query: orders/4");
    viewer.wait_for_message("slow query: orders/4");
    let (url, database) = (format!("http://{}", viewer.address()), viewer.home.database());
    let backup = database.with_extension("backup");
    let variables = [
        ("URL", url.as_str()),
        ("KEY", KEY),
        ("DATABASE_PATH", database.to_str().unwrap()),
        ("BACKUP", backup.to_str().unwrap()),
    ];
    run_commands("log-viewer.md", &binary(), &variables);
}
