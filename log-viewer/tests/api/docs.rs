//! The documentation is true: its commands run, its table is what `--help` says, and the API is as described.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::testing::docs::{blocks, check_variables, page, run_commands};
use common::testing::openapi::check_description;

use super::{KEY, binary, start, start_with};

#[test]
fn its_commands_run() {
    let viewer = start();
    viewer.docker().container("web").stdout("slow query: orders/4");
    viewer.wait_for_message("slow query: orders/4");
    run_commands("log-viewer.md", &binary(), &viewer, &viewer.home.database(), &[("KEY", KEY)]);
}

#[test]
fn its_table_is_what_help_says() {
    check_variables("log-viewer", &binary());
}

/// In Node, with a published `EventSource`.
#[test]
fn its_live_tail_for_pages_prints_what_is_logged() {
    let page = page("log-viewer.md");
    let scripts: Vec<_> = blocks(&page).into_iter().filter(|block| block.language == "js").collect();
    assert_eq!(scripts.len(), 1);
    let viewer = start();
    let given = "const { EventSource } = require('eventsource'); const [url, key] = process.argv.slice(1);";
    let mut node = Command::new("node")
        .args(["-e", &format!("{given}\n{}", scripts[0].text)])
        .args([&format!("http://{}", viewer.address()), KEY])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sse"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut web = viewer.docker().container("web");
    // It is connected when it has told of one; what came before is not its business.
    let line = std::thread::spawn({
        let stdout = node.stdout.take().unwrap();
        move || BufReader::new(stdout).lines().next().unwrap().unwrap()
    });
    common::testing::wait_for("the first line", || {
        web.stdout("[INFO] not this");
        web.stdout("[WARNING] low on space");
        line.is_finished().then_some(())
    });
    node.kill().unwrap();
    node.wait().unwrap();
    assert_eq!(line.join().unwrap(), "[WARNING] low on space");
}

#[test]
fn the_api_is_as_described() {
    let viewer = start_with(&[("RATE_LIMIT", "0")]);
    check_description("log-viewer.yaml", &viewer, &[&format!("X-API-Key: {KEY}")]);
}
