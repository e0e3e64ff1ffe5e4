//! Database files of the original open, whatever version of it wrote them, and nothing in them is lost.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::{Home, check_integrity, read_only, start_in};

/// A file as the original at this schema version leaves it, from the statements of its migrations.
fn original(path: &Path, version: usize) -> Connection {
    #[expect(clippy::disallowed_methods, reason = "makes a file as another program does")]
    let conn = Connection::open(path).unwrap();
    let steps = [
        include_str!("../../migrations/0001_log_entries.sql"),
        include_str!("../../migrations/0002_search.sql"),
        include_str!("../../migrations/0003_cursors.sql"),
        include_str!("../../migrations/0004_indexes.sql"),
    ];
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT)").unwrap();
    for step in &steps[..version] {
        conn.execute_batch(step).unwrap();
    }
    conn.execute("INSERT INTO _meta VALUES ('schema_version', ?1)", [version.to_string()]).unwrap();
    conn
}

#[test]
fn every_version_of_the_original_opens() {
    for version in 1..=4 {
        let home = Home::new();
        let conn = original(&home.database(), version);
        conn.execute_batch(
            "INSERT INTO log_entries (timestamp, container, level, message) VALUES
                 ('2025-06-01T00:00:00Z', 'web-app', 'ERROR', 'first slow query'),
                 ('2025-06-01T00:00:01Z', 'db', 'INFO', 'second line'),
                 ('not a time', 'db', 'INFO', 'third line');",
        )
        .unwrap();
        drop(conn);

        let viewer = start_in(home, &[]);
        assert_eq!(viewer.messages(&[]), ["second line", "first slow query", "third line"], "version {version}");
        assert_eq!(viewer.messages(&[("search", "line")]), ["third line", "second line"]);
        let first = viewer.ask("/api/logs/1", &[]);
        assert_eq!(first["timestamp"], "2025-06-01T00:00:00.000000000Z");
        assert_eq!(viewer.ask("/api/stats", &[])["by_container"], json!({"db": 2, "web-app": 1}));
        let mut container = viewer.docker().container("new");
        container.stdout("and on it goes");
        viewer.wait_for_entries(4);

        let home = viewer.stop();
        check_integrity(&home.database());
        assert!(home.folder.path().join("logs.db.before-schema-5").exists());
        let conn = read_only(&home.database());
        let sql = "SELECT timestamp || ' ' || container || ' ' || stream || ' ' || level FROM log_entries WHERE id = 1";
        let row: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(row, "2025-06-01T00:00:00.000000000Z web-app stdout ERROR");
    }
}
