//! The documentation is true: its commands run, its table is what `--help` says, and the API is as described.

use common::testing::docs::{Block, blocks, check_variables, page, run_block, run_commands};
use common::testing::openapi::check_description;

use super::{ADMIN, DSN, Relay, binary, start, start_with};

/// What a build of a page leaves behind.
fn build(relay: &Relay) {
    let dist = relay.folder.path().join("dist");
    std::fs::create_dir(&dist).unwrap();
    std::fs::write(dist.join("app.min.js"), include_str!("../golden/app.min.js")).unwrap();
    std::fs::write(dist.join("app.min.js.map"), include_str!("../golden/app.min.js.map")).unwrap();
}

#[test]
fn its_commands_run() {
    let relay = start();
    build(&relay);
    run_commands(
        "browser-relay.md",
        &binary(),
        &relay,
        &relay.folder.path().join("relay.db"),
        &[("KEY", ADMIN), ("DSN", DSN)],
    );
    assert_eq!((relay.errors.received().len(), relay.metrics.received().len()), (1, 1));
}

#[test]
fn the_upload_of_the_browser_clients_page_runs() {
    let relay = start();
    build(&relay);
    let is_upload = |block: &Block| block.language == "sh" && block.text.starts_with("browser-relay --upload-maps ");
    let page = page("../clients/js/README.md");
    let mut uploads = blocks(&page).into_iter().filter(is_upload).collect::<Vec<_>>();
    assert_eq!(uploads.len(), 1);
    let text = uploads[0].text.replace("https://monitoring.example.com", "\"$URL\"");
    uploads[0].text = text;
    let database = relay.folder.path().join("relay.db");
    run_block(&uploads[0], &binary(), &relay, &database, &[("ADMIN_API_KEY", ADMIN)]);
    assert_eq!(relay.admin().get("/api/source-maps?project=shop").json()["total"], 1);
}

#[test]
fn its_table_is_what_help_says() {
    check_variables("browser-relay", &binary());
}

#[test]
fn the_api_is_as_described() {
    let relay = start_with(&[("CORS_ORIGINS", "https://*.example")]);
    check_description(
        "browser-relay.yaml",
        &relay,
        &[&format!("X-API-Key: {ADMIN}"), &format!("X-Monlight-Key: {DSN}")],
    );
}
