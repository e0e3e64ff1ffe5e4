//! Database files of the original open, whatever version of it wrote them, and nothing in them is lost.

use std::path::Path;

use common::testing::{TempDir, database, wait_for};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::{Tracker, binary, database_in, report, start_in};

/// A file as the original at this schema version leaves it, from the statements of its migrations.
fn original(path: &Path, version: usize) -> Connection {
    let steps = [
        include_str!("../../migrations/0001_errors.sql"),
        include_str!("../../migrations/0002_error_occurrences.sql"),
        include_str!("../../migrations/0003_indexes.sql"),
        // Its own words: our step keeps aside what this one drops.
        "DROP INDEX idx_project_env; ALTER TABLE errors DROP COLUMN environment; CREATE INDEX idx_project ON errors (project);",
    ];
    database::original(path, &steps[..version])
}

fn insert_error(conn: &Connection, fingerprint: &str, message: &str, last_seen: &str, resolved_at: Option<&str>) {
    conn.execute(
        "INSERT INTO errors (fingerprint, project, exception_type, message, traceback, count, first_seen, last_seen, resolved, resolved_at)
         VALUES (?1, 'old', 'E', ?2, 'tb', 9, '2025-01-01T00:00:00Z', ?3, ?4, ?5)",
        params![fingerprint, message, last_seen, resolved_at.is_some(), resolved_at],
    )
    .unwrap();
}

fn one(conn: &Connection, sql: &str) -> String {
    conn.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).map(|value| format!("{value:?}")).unwrap()
}

#[test]
fn every_version_of_the_original_opens() {
    for version in 1..=4 {
        let folder = TempDir::new();
        let conn = original(&database_in(&folder), version);
        insert_error(&conn, "b9390a71c9cd5dfafefca8371ad592f0", "open", "2025-06-01T00:00:00Z", None);
        insert_error(
            &conn,
            "98d0dc875b2893b5c52c0d119aa11e45",
            "done",
            "2025-06-02T00:00:00Z",
            Some("2999-01-01T00:00:00Z"),
        );
        if version < 4 {
            conn.execute("UPDATE errors SET environment = 'staging' WHERE id = 1", []).unwrap();
        }
        if version > 1 {
            for number in 0..7 {
                conn.execute(
                    "INSERT INTO error_occurrences (error_id, timestamp, request_method, extra, traceback) VALUES (1, ?1, ?2, ?3, ?4)",
                    params![
                        format!("2025-05-0{}T00:00:00Z", number + 1),
                        (number == 0).then_some("BROWSER"),
                        r#"{"session_id":"s-1"}"#,
                        if number == 6 { "another" } else { "tb" },
                    ],
                )
                .unwrap();
            }
        }
        drop(conn);

        let tracker = start_in(folder, &[]);
        let client = tracker.client();
        let list = client.get("/api/errors?resolved=all").json();
        assert_eq!(list["total"], 2, "version {version}");
        let open = client.get("/api/errors/1").json();
        assert_eq!(
            (&open["fingerprint"], &open["message"], &open["count"], &open["first_seen"], &open["last_seen"]),
            (
                &json!("b9390a71c9cd5dfafefca8371ad592f0"),
                &json!("open"),
                &json!(9),
                &json!("2025-01-01T00:00:00Z"),
                &json!("2025-06-01T00:00:00Z")
            )
        );
        assert_eq!(open["traceback"], "tb");
        let environment = if version < 4 { "staging" } else { "prod" };
        assert_eq!(client.get(&format!("/api/errors?environment={environment}")).json()["errors"][0]["id"], 1);
        assert_eq!(client.get("/api/errors/2").json()["resolved_at"], "2999-01-01T00:00:00Z");
        if version > 1 {
            assert_eq!(open["occurrences"].as_array().unwrap().len(), 5);
            assert_eq!(open["occurrences"][0]["traceback"], "another");
            assert_eq!(open["occurrences"][0]["environment"], environment);
            assert_eq!(open["source"], "browser");
            assert_eq!(client.get("/api/errors?session_id=s-1").json()["total"], 1);
        }

        let now = database::read_only(&tracker.database());
        assert_eq!(
            one(&now, "SELECT count(*) FROM error_occurrences"),
            if version > 1 { "Integer(7)" } else { "Integer(0)" }
        );
        assert_eq!(
            one(&now, "SELECT fingerprint || resolved || resolved_at FROM errors WHERE id = 2"),
            "Text(\"98d0dc875b2893b5c52c0d119aa11e4512999-01-01T00:00:00Z\")"
        );
        assert_eq!(one(&now, "SELECT value FROM _meta WHERE key = 'schema_version'"), "Text(\"6\")");
        assert_eq!(one(&now, "PRAGMA auto_vacuum"), "Integer(2)");
        assert_eq!(one(&now, "PRAGMA integrity_check"), "Text(\"ok\")");
        let copy = database::read_only(&tracker.folder.path().join("errors.db.before-schema-6"));
        assert_eq!(one(&copy, "SELECT count(*) FROM errors"), "Integer(2)");
        assert_eq!(one(&copy, "SELECT value FROM _meta WHERE key = 'schema_version'"), format!("Text(\"{version}\")"));
    }
}

#[test]
fn groups_live_on_and_ids_are_not_given_twice() {
    let folder = TempDir::new();
    let conn = original(&database_in(&folder), 4);
    // The fingerprint of project p, type E, no traceback (contract example 9); twice, as the original may leave it.
    let fingerprint = "98d0dc875b2893b5c52c0d119aa11e45";
    insert_error(&conn, fingerprint, "resolved later", "2025-06-02T00:00:00Z", Some("2999-01-01T00:00:00Z"));
    insert_error(&conn, fingerprint, "open", "2025-06-01T00:00:00Z", None);
    insert_error(&conn, "00", "deleted", "2025-06-01T00:00:00Z", None);
    conn.execute("DELETE FROM errors WHERE id = 3", []).unwrap();
    drop(conn);

    let tracker = start_in(folder, &[]);
    let same = json!({"project": "p", "exception_type": "E", "message": "again", "traceback": ""});
    let answer = tracker.client().post_json("/api/errors", &same).json();
    assert_eq!((&answer["status"], &answer["id"], &answer["count"]), (&json!("incremented"), &json!(2), &json!(10)));
    assert_eq!(tracker.client().post_json("/api/errors", &report("new")).json()["id"], 4);
}

#[test]
fn odd_rows_are_kept() {
    let folder = TempDir::new();
    let conn = original(&database_in(&folder), 4);
    insert_error(&conn, "NOT HEX", "odd", "when?", Some("whenever"));
    insert_error(&conn, "98D0DC875B2893B5C52C0D119AA11E45", "in capitals", "2025-06-01 00:00:00.5+02:00", None);
    insert_error(&conn, "", "", "", None);
    insert_error(&conn, "00", "resolved, but when?", "2020-01-01T00:00:00Z", Some(""));
    insert_error(&conn, "01", "resolved long ago", "2020-01-01T00:00:00Z", Some("2020-01-01T00:00:00Z"));
    conn.execute_batch(
        "INSERT INTO error_occurrences (error_id, timestamp, extra, request_headers, traceback) VALUES (1, 'x', '{broken', '', 'tb');
         UPDATE errors SET message = 'nul ' || char(0) || ' and more' WHERE id = 3;
         UPDATE errors SET resolved_at = NULL WHERE id = 4;",
    )
    .unwrap();
    drop(conn);

    let tracker = start_in(folder, &[]);
    let client = tracker.client();
    let error = client.get("/api/errors/1").json();
    assert_eq!((&error["message"], &error["resolved"]), (&json!("odd"), &json!(true)));
    assert_eq!(error["occurrences"][0]["extra"], "{broken");
    assert_eq!(error["last_seen"], "1970-01-01T00:00:00Z");
    assert_eq!(error["occurrences"][0]["user_id"], Value::Null);
    assert_eq!(client.get("/api/errors/3").json()["message"], "nul \0 and more");
    assert_eq!(client.get("/api/errors/2").json()["last_seen"], "2025-05-31T22:00:00Z");
    let same = json!({"project": "p", "exception_type": "E", "message": "m", "traceback": ""});
    assert_eq!(client.post_json("/api/errors", &same).json()["id"], 2, "capitals are the same fingerprint");
    // Retention takes what is old, not what was resolved nobody knows when.
    wait_for_deleted(&tracker, 1);
    assert_eq!(client.get("/api/errors?resolved=all").json()["total"], 4);
}

#[test]
fn retention_goes_on_where_the_original_stopped() {
    let folder = TempDir::new();
    let conn = original(&database_in(&folder), 4);
    for number in 0..300 {
        let fingerprint = format!("{number:032x}");
        insert_error(&conn, &fingerprint, "old", "2020-01-01T00:00:00Z", Some("2020-01-01T00:00:00Z"));
    }
    insert_error(&conn, "aa", "still open", "2020-01-01T00:00:00Z", None);
    insert_error(&conn, "bb", "just resolved", "2020-01-01T00:00:00Z", Some("2999-01-01T00:00:00Z"));
    drop(conn);
    let tracker = start_in(folder, &[("RETENTION_DAYS", "1")]);
    wait_for_deleted(&tracker, 300);
    let left = tracker.client().get("/api/errors?resolved=all").json();
    let messages: Vec<_> = left["errors"].as_array().unwrap().iter().map(|error| error["message"].clone()).collect();
    assert_eq!(messages, ["just resolved", "still open"]);
}

/// Waits until retention has run and says that it deleted so many.
#[track_caller]
fn wait_for_deleted(tracker: &Tracker, count: usize) {
    let words = format!("retention: {count} resolved errors deleted");
    wait_for(&words, || tracker.log().iter().any(|line| line.contains(&words)).then_some(()));
}

/// Starts on a file that must be refused; what it says.
fn refusal(folder: &TempDir) -> String {
    let database = database_in(folder);
    let before = std::fs::read(&database).unwrap();
    let output = std::process::Command::new(binary())
        .env_clear()
        .envs([("API_KEY", "k"), ("PORT", "0"), ("DATABASE_PATH", database.to_str().unwrap())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(std::fs::read(&database).unwrap() == before, "the file was changed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_newer_file_and_a_foreign_one_are_refused() {
    let folder = TempDir::new();
    let conn = original(&database_in(&folder), 4);
    conn.execute_batch("PRAGMA journal_mode = DELETE; UPDATE _meta SET value = '99'").unwrap();
    drop(conn);
    assert!(refusal(&folder).contains("newer"));

    let folder = TempDir::new();
    #[expect(clippy::disallowed_methods, reason = "makes a file as another program does")]
    let conn = Connection::open(database_in(&folder)).unwrap();
    conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(conn);
    assert!(refusal(&folder).contains("not a Monlight database"));
}
