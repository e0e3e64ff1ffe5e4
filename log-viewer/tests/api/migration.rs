//! Database files of the original open, whatever version of it wrote them, and nothing in them is lost.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use common::testing::{database, wait_for};
use rusqlite::Connection;
use serde_json::json;

use crate::{Home, KEY, binary, check_integrity, start_in};

/// What the original's migrations did, from the facts of the contract (sections 1.2 and 3.9): each version one step more.
const STEPS: [&str; 4] = [
    "CREATE TABLE log_entries (
         id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp DATETIME NOT NULL, container VARCHAR(200) NOT NULL,
         stream VARCHAR(10) NOT NULL DEFAULT 'stdout', level VARCHAR(10) NOT NULL DEFAULT 'INFO', message TEXT NOT NULL, raw TEXT);
     CREATE INDEX idx_timestamp ON log_entries(timestamp);
     CREATE INDEX idx_container ON log_entries(container);
     CREATE INDEX idx_level ON log_entries(level);
     CREATE INDEX idx_container_timestamp ON log_entries(container, timestamp);",
    "CREATE VIRTUAL TABLE log_entries_fts USING fts5(message, content='log_entries', content_rowid='id');
     CREATE TRIGGER log_entries_ai AFTER INSERT ON log_entries BEGIN
         INSERT INTO log_entries_fts(rowid, message) VALUES (new.id, new.message);
     END;
     CREATE TRIGGER log_entries_ad AFTER DELETE ON log_entries BEGIN
         INSERT INTO log_entries_fts(log_entries_fts, rowid, message) VALUES ('delete', old.id, old.message);
     END;",
    "CREATE TRIGGER log_entries_au AFTER UPDATE ON log_entries BEGIN
         INSERT INTO log_entries_fts(log_entries_fts, rowid, message) VALUES ('delete', old.id, old.message);
         INSERT INTO log_entries_fts(rowid, message) VALUES (new.id, new.message);
     END;",
    "CREATE TABLE cursors (
         id INTEGER PRIMARY KEY AUTOINCREMENT, container_id VARCHAR(200) NOT NULL UNIQUE, file_path TEXT NOT NULL,
         position INTEGER NOT NULL DEFAULT 0, inode INTEGER NOT NULL DEFAULT 0,
         updated_at DATETIME NOT NULL DEFAULT (datetime('now')));",
];

/// A file as the original at this version leaves it.
fn original(path: &Path, version: usize) -> Connection {
    database::original(path, &STEPS[..version])
}

fn insert(conn: &Connection, timestamp: &str, container: &str, stream: &str, level: &str, message: &str) {
    let sql = "INSERT INTO log_entries (timestamp, container, stream, level, message) VALUES (?1, ?2, ?3, ?4, ?5)";
    conn.execute(sql, [timestamp, container, stream, level, message]).unwrap();
}

fn one(conn: &Connection, sql: &str) -> String {
    conn.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).map(|value| format!("{value:?}")).unwrap()
}

#[test]
fn every_version_of_the_original_opens() {
    for version in 1..=4 {
        let home = Home::new();
        let conn = original(&home.database(), version);
        insert(&conn, "2026-01-20T10:00:00Z", "web-app", "stderr", "ERROR", "first \\\"quoted\\\" line");
        insert(&conn, "2026-01-20T10:00:01Z", "web-app", "stdout", "INFO", "second line");
        insert(&conn, "2026-01-20T10:00:01Z", "db", "stdout", "CRITICAL", "third line");
        conn.execute("DELETE FROM log_entries WHERE message = 'third line'", []).unwrap();
        insert(&conn, "2026-01-20T10:00:02Z", "db", "stdout", "CRITICAL", "fourth line");
        drop(conn);

        let viewer = start_in(home, &[]);
        wait_for("all entries", || (viewer.ask("/api/stats", &[])["total_logs"] == 3).then_some(()));
        let list = viewer.logs(&[]);
        assert_eq!(
            list[2],
            json!({"id": 1, "timestamp": "2026-01-20T10:00:00.000000000Z", "container": "web-app", "stream": "stderr",
                "level": "ERROR", "message": "first \\\"quoted\\\" line"})
        );
        assert_eq!((&list[0]["id"], &list[0]["container"]), (&json!(4), &json!("db")));
        assert_eq!(viewer.messages(&[("search", "second")]), ["second line"], "version {version}");
        let stats = viewer.ask("/api/stats", &[]);
        assert_eq!(stats["by_container"], json!({"db": 1, "web-app": 2}));
        assert_eq!((&stats["oldest_log"], &stats["newest_log"]), (&list[2]["timestamp"], &list[0]["timestamp"]));
        // Ids go on where they were, and are not given twice.
        let mut web = viewer.docker().container("web");
        web.stdout("new");
        assert_eq!(viewer.wait_for_message("new")["id"], 5);

        let home = viewer.stop();
        let now = database::read_only(&home.database());
        assert_eq!(one(&now, "SELECT count(*) FROM log_entries"), "Integer(4)");
        assert_eq!(
            one(&now, "SELECT timestamp FROM log_entries WHERE id = 1"),
            "Text(\"2026-01-20T10:00:00.000000000Z\")"
        );
        assert_eq!(one(&now, "PRAGMA auto_vacuum"), "Integer(2)");
        let schema = one(&now, "SELECT value FROM _meta WHERE key = 'schema_version'");
        assert!(schema.as_str() > "Text(\"4\")", "{schema}");
        let number: String = schema.chars().filter(char::is_ascii_digit).collect();
        let copy = database::read_only(&home.folder.path().join(format!("logs.db.before-schema-{number}")));
        assert_eq!(one(&copy, "SELECT count(*) FROM log_entries"), "Integer(3)");
        assert_eq!(one(&copy, "SELECT value FROM _meta WHERE key = 'schema_version'"), format!("Text(\"{version}\")"));
        check_integrity(&home.database());
    }
}

/// The original knew a container by its name and how far it had read; ours goes on there.
#[test]
fn reading_goes_on_where_the_original_stopped() {
    let home = Home::new();
    let mut web = home.docker.container("web");
    web.stdout("read by the original");
    let position = std::fs::metadata(web.path()).unwrap();
    web.stdout("not read yet");
    let conn = original(&home.database(), 4);
    insert(&conn, "2026-01-20T10:00:00Z", "web", "stdout", "INFO", "read by the original");
    conn.execute(
        "INSERT INTO cursors (container_id, file_path, position, inode) VALUES ('web', ?1, ?2, ?3)",
        rusqlite::params![web.path().to_str().unwrap(), position.len() as i64, position.ino() as i64],
    )
    .unwrap();
    drop(conn);
    let viewer = start_in(home, &[]);
    viewer.wait_for_message("not read yet");
    web.stdout("written later");
    viewer.wait_for_message("written later");
    let mut messages = viewer.messages(&[]);
    messages.sort();
    assert_eq!(messages, ["not read yet", "read by the original", "written later"]);
}

#[test]
fn odd_rows_are_kept() {
    let home = Home::new();
    let conn = original(&home.database(), 4);
    for (timestamp, stream, level, message) in [
        ("1970-01-01T00:00:00Z", "stdout", "INFO", "no time"),
        ("when?", "stdout", "INFO", "broken time"),
        ("2026-01-20T10:00:00", "stdout", "INFO", "no zone"),
        ("2026-01-20T10:00:00Z", "stdwhat", "INFO", "another stream"),
        ("2026-01-20T10:00:00Z", "stdout", "LOUD", "another level"),
        ("2026-01-20T10:00:00Z", "", "", ""),
    ] {
        insert(&conn, timestamp, "odd container ü", stream, level, message);
    }
    conn.execute("UPDATE log_entries SET message = 'nul ' || char(0) || ' and more' WHERE id = 1", []).unwrap();
    drop(conn);
    let viewer = start_in(home, &[]);
    wait_for("all entries", || (viewer.ask("/api/stats", &[])["total_logs"] == 6).then_some(()));
    let mut messages = viewer.messages(&[("container", "odd container ü")]);
    messages.sort();
    assert_eq!(messages, ["", "another level", "another stream", "broken time", "no zone", "nul \0 and more"]);
}

/// A file of the size the original keeps by default is migrated at once, and a kill in the middle changes nothing.
#[test]
fn a_full_file_migrates_whole_or_not_at_all() {
    const ROWS: i64 = 100_000;
    let home = Home::new();
    let conn = original(&home.database(), 4);
    conn.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO log_entries (timestamp, container, stream, level, message)
         SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 1768900000 + i, 'unixepoch'), 'c' || (i % 7), 'stdout', 'INFO', 'row ' || i || ' of the original' FROM n",
        [ROWS],
    )
    .unwrap();
    drop(conn);
    let mut child = Command::new(binary())
        .env_clear()
        .envs([("API_KEY", KEY), ("PORT", "0"), ("BIND_ADDRESS", "127.0.0.1")])
        .env("DATABASE_PATH", home.database())
        .env("LOG_SOURCES", &home.docker.folder)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the migration to begin", || std::fs::read_dir(home.folder.path()).unwrap().count().ge(&4).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();

    let viewer = start_in(home, &[("MAX_ENTRIES", "1000000")]);
    let stats = viewer.ask("/api/stats", &[]);
    assert_eq!(stats["total_logs"], ROWS);
    assert_eq!(viewer.messages(&[("search", "\"row 77777\"")]), ["row 77777 of the original"]);
    assert!(viewer.peak_memory() < 30_000_000, "{} bytes", viewer.peak_memory());
    check_integrity(&viewer.stop().database());
}

#[test]
fn a_newer_file_and_a_foreign_one_are_refused() {
    for (sql, words) in [
        (
            "CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT); INSERT INTO _meta VALUES ('schema_version', '99')",
            "newer",
        ),
        ("CREATE TABLE theirs (x)", "not a Monlight database"),
    ] {
        let home = Home::new();
        #[expect(clippy::disallowed_methods, reason = "makes a file as another program does")]
        let conn = Connection::open(home.database()).unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let before = std::fs::read(home.database()).unwrap();
        let output = Command::new(binary())
            .env_clear()
            .envs([("API_KEY", KEY), ("PORT", "0"), ("DATABASE_PATH", home.database().to_str().unwrap())])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{said}");
        assert!(std::fs::read(home.database()).unwrap() == before, "the file was changed");
    }
}
