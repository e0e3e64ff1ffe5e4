//! What goes wrong around the service: a full disk.

use common::testing::{SmallDisk, wait_for};

use super::backend::Act;
use super::{error, start_with};

/// Events that a back end takes need no disk: neither a crash on a full one nor a stop, and the start after it, holds up any.
#[test]
fn a_start_on_a_full_disk_forwards() {
    let Some(disk) = SmallDisk::mount() else { return };
    let database = disk.folder().path().join("relay.db");
    let variables = [("DATABASE_PATH", database.to_str().unwrap())];
    let relay = start_with(&variables);
    assert_eq!(relay.page().post_json("/api/browser/errors", &error("before")).status, 201);
    disk.fill();
    relay.service.kill();
    let relay = start_with(&variables);
    assert!(relay.service.terminate().success());
    disk.fill();

    let relay = start_with(&variables);
    assert_eq!(relay.page().post_json("/api/browser/errors", &error("on a full disk")).status, 201);
    assert_eq!(relay.errors.received().len(), 1);
    assert_eq!(relay.admin().get("/api/dsn-keys").json()["keys"].as_array().unwrap().len(), 1);
    relay.errors.always(Act::HangUp);
    let answer = relay.page().post_json("/api/browser/errors", &error("with nobody to take it"));
    assert_eq!(answer.status, 507, "{}", answer.text());

    disk.empty();
    let queued = wait_for("room", || {
        let answer = relay.page().post_json("/api/browser/errors", &error("with room"));
        (answer.status != 507).then_some(answer)
    });
    assert_eq!(queued.status, 202, "{}", queued.text());
}
