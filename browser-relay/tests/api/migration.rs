//! Database files of the original open, whatever version of it wrote them, and nothing in them is lost.

use std::path::Path;
use std::process::Command;

use common::testing::{TempDir, database, wait_for};
use rusqlite::Connection;
use serde_json::json;

use super::backend::Backend;
use super::{error, start_in};

/// What the original's migrations did, from the facts of the contract (sections 1.2 and 5.8): each version one step more.
const STEPS: [&str; 3] = [
    "CREATE TABLE dsn_keys (
         id INTEGER PRIMARY KEY AUTOINCREMENT, public_key VARCHAR(64) NOT NULL UNIQUE, project VARCHAR(100) NOT NULL,
         created_at DATETIME NOT NULL DEFAULT (datetime('now')), active BOOLEAN NOT NULL DEFAULT 1);",
    "CREATE TABLE source_maps (
         id INTEGER PRIMARY KEY AUTOINCREMENT, project VARCHAR(100) NOT NULL, release VARCHAR(100) NOT NULL,
         file_url VARCHAR(500) NOT NULL, map_content TEXT NOT NULL, uploaded_at DATETIME NOT NULL DEFAULT (datetime('now')),
         UNIQUE (project, release, file_url));",
    "CREATE INDEX idx_dsn_public_key ON dsn_keys(public_key);
     CREATE INDEX idx_source_map_lookup ON source_maps(project, release, file_url);",
];

/// A file as the original at this version leaves it.
fn original(path: &Path, version: usize) -> Connection {
    database::original(path, &STEPS[..version])
}

#[test]
fn every_version_of_the_original_opens() {
    for version in 1..=3 {
        let home = TempDir::new();
        let conn = original(&home.path().join("relay.db"), version);
        conn.execute_batch(
            "INSERT INTO dsn_keys (public_key, project, created_at, active) VALUES
                 ('an old key', 'shop', '2025-06-01 10:00:00', 1), ('gone', 'shop', '2025-06-01 10:00:00', 0)",
        )
        .unwrap();
        if version >= 2 {
            conn.execute_batch(
                r#"INSERT INTO source_maps (project, release, file_url, map_content) VALUES
                   ('shop', '1', 'https://ex.com/app.js', '{"version":3,"sources":["a.ts"],"names":["f"],"mappings":"UASIA"}'),
                   ('shop', '1', '/bad.js', '{"version":3,"sources":[],"mappings":"!"}')"#,
            )
            .unwrap();
        }
        drop(conn);
        let relay = start_in(home, Backend::start(), Backend::start(), &[]);
        let keys = relay.admin().get("/api/dsn-keys").json()["keys"].clone();
        assert_eq!(
            keys[0],
            json!({"id": 1, "public_key": "an old key", "project": "shop", "active": true, "created_at": "2025-06-01T10:00:00Z"})
        );
        assert_eq!(keys[1]["active"], false);
        let page = relay.stranger().with_header("x-monlight-key", "an old key");
        let mut body = error("x");
        body["stack"] = "    at a (https://ex.com/app.js:1:11)".into();
        body["release"] = "1".into();
        if version >= 2 {
            // Maps are read after the start; what is none is kept and says so.
            let maps = wait_for("both maps to be read", || {
                let maps = relay.admin().get("/api/source-maps").json()["source_maps"].clone();
                let place = "/api/source-maps/resolve?project=shop&release=1&url=/app.js&line=1&column=11";
                let is_read = relay.admin().get(place).status == 200 && maps[1].get("problem").is_some();
                is_read.then_some(maps)
            });
            assert_eq!(
                (&maps[0]["id"], &maps[0]["file_url"], maps[0].get("problem")),
                (&json!(1), &json!("https://ex.com/app.js"), None)
            );
            assert_eq!(page.post_json("/api/browser/errors", &body).status, 201);
            assert_eq!(relay.errors.received()[0].json()["traceback"], "    at f (a.ts:10:5)");
        } else {
            assert_eq!(page.post_json("/api/browser/errors", &body).status, 201);
        }
        assert_eq!(relay.page().post_json("/api/browser/errors", &error("seeded")).status, 201);
    }
}

#[test]
fn a_newer_file_is_refused() {
    let home = TempDir::new();
    let database = home.path().join("relay.db");
    let conn = original(&database, 3);
    conn.execute("UPDATE _meta SET value = '99'", []).unwrap();
    drop(conn);
    let url = "http://127.0.0.1:9";
    let output = Command::new(super::binary())
        .env_clear()
        .envs([
            ("ADMIN_API_KEY", "a"),
            ("ERROR_TRACKER_URL", url),
            ("ERROR_TRACKER_API_KEY", "e"),
            ("METRICS_COLLECTOR_URL", url),
        ])
        .envs([("METRICS_COLLECTOR_API_KEY", "m"), ("PORT", "0"), ("DATABASE_PATH", database.to_str().unwrap())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("newer"));
}
