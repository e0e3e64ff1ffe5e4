//! Database files of the original open, whatever version of it wrote them, and nothing in them is lost.

use std::path::Path;

use common::clock::{Clock, Timestamp};
use common::testing::{TempDir, database, wait_for};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::{Collector, database_in, start_here};

/// What the original's migrations did, from the facts of the contract (sections 1.2 and 4.8): each version one step more.
const STEPS: [&str; 6] = [
    "CREATE TABLE metrics_raw (
         id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp DATETIME NOT NULL, name VARCHAR(200) NOT NULL, labels TEXT,
         value REAL NOT NULL, type VARCHAR(20) NOT NULL);",
    "CREATE TABLE metrics_aggregated (
         id INTEGER PRIMARY KEY AUTOINCREMENT, bucket DATETIME NOT NULL, resolution VARCHAR(10) NOT NULL,
         name VARCHAR(200) NOT NULL, labels TEXT, count INTEGER NOT NULL DEFAULT 0, sum REAL NOT NULL DEFAULT 0,
         min REAL NOT NULL DEFAULT 0, max REAL NOT NULL DEFAULT 0, avg REAL NOT NULL DEFAULT 0, p50 REAL, p95 REAL, p99 REAL);",
    "CREATE INDEX idx_raw_timestamp ON metrics_raw(timestamp);
     CREATE INDEX idx_raw_name ON metrics_raw(name);
     CREATE INDEX idx_raw_name_timestamp ON metrics_raw(name, timestamp);
     CREATE INDEX idx_agg_bucket ON metrics_aggregated(bucket);
     CREATE INDEX idx_agg_name_resolution ON metrics_aggregated(name, resolution);
     CREATE INDEX idx_agg_name_resolution_bucket ON metrics_aggregated(name, resolution, bucket);",
    "ALTER TABLE metrics_raw ADD COLUMN project VARCHAR(100);",
    "ALTER TABLE metrics_aggregated ADD COLUMN project VARCHAR(100);",
    "CREATE INDEX idx_raw_project ON metrics_raw(project);
     CREATE INDEX idx_agg_project ON metrics_aggregated(project);",
];

/// A file as the original at this version leaves it.
fn original(path: &Path, version: usize) -> Connection {
    database::original(path, &STEPS[..version])
}

fn ago(seconds: i64) -> String {
    Timestamp::from_millis(Clock::System.now().millis() - seconds * 1000).to_string()
}

fn insert_raw(conn: &Connection, timestamp: &str, name: &str, labels: Option<&str>, value: f64, kind: &str) {
    let sql = "INSERT INTO metrics_raw (timestamp, name, labels, value, type) VALUES (?1, ?2, ?3, ?4, ?5)";
    conn.execute(sql, params![timestamp, name, labels, value, kind]).unwrap();
}

fn insert_rollup(conn: &Connection, bucket: &str, resolution: &str, name: &str, count: i64, p50: Option<f64>) {
    let sql =
        "INSERT INTO metrics_aggregated (bucket, resolution, name, labels, count, sum, min, max, avg, p50, p95, p99)
               VALUES (?1, ?2, ?3, '{\"b\":\"2\",\"a\":\"1\"}', ?4, ?4 * 2.0, 1, 3, 2, ?5, ?5, ?5)";
    conn.execute(sql, params![bucket, resolution, name, count, p50]).unwrap();
}

fn rows(collector: &Collector, query: &str) -> Vec<Value> {
    collector.get(&format!("/api/metrics?{query}"))["data"].as_array().unwrap().clone()
}

fn read(collector: &Collector, sql: &str) -> Vec<String> {
    let conn = database::read_only(&database_in(&collector.folder));
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_version_of_the_original_opens() {
    for version in 1..=6 {
        let home = TempDir::new();
        let conn = original(&database_in(&home), version);
        let at = ago(300);
        for value in 1..=10 {
            insert_raw(&conn, &at, "lat", Some(r#"{"b":"2","a":"1"}"#), f64::from(value), "histogram");
        }
        insert_raw(&conn, &at, "lat", Some(r#"{"a":"1","b":"2"}"#), 11.0, "histogram");
        insert_raw(
            &conn,
            &at.replace('Z', ".250Z"),
            "vital",
            Some(r#"{"session_id":"s","page":"/","ok":true}"#),
            1.5,
            "histogram",
        );
        insert_raw(&conn, &at, "plain", None, 3.0, "gauge");
        insert_raw(&conn, &at, "odd", Some("[1,2]"), 1.0, "gauge");
        insert_raw(&conn, "garbage", "lost time", None, 7.0, "gauge");
        insert_raw(&conn, "2460000", "lost time", None, 8.0, "gauge");
        if version >= 4 {
            conn.execute("UPDATE metrics_raw SET project = 'shop' WHERE name = 'plain'", []).unwrap();
        }
        let old = ago(5 * 3600);
        let hour = format!("{}:00:00Z", &old[..13]);
        if version >= 2 {
            // Rolled up three times (defect D17); the last time it had seen most.
            for count in [3, 5, 4] {
                insert_rollup(&conn, &hour, "hour", "lat", count, Some(2.0));
            }
            insert_rollup(&conn, &hour, "minute", "orders_total", 2, None);
        }
        drop(conn);

        let collector = start_here(home, &[("AGGREGATION_INTERVAL", "1")]);
        let lat = rows(&collector, "name=lat&period=1h");
        assert_eq!(lat.len(), 1, "{lat:?}");
        assert_eq!(
            (&lat[0]["count"], &lat[0]["p50"], &lat[0]["labels"]),
            (&json!(11), &json!(6.0), &json!({"a": "1", "b": "2"}))
        );
        assert_eq!(rows(&collector, "name=vital&period=1h")[0]["labels"], json!({"ok": true, "page": "/"}));
        assert_eq!(rows(&collector, "name=odd&period=1h")[0]["labels"], json!({"labels": "[1,2]"}));
        let project = if version >= 4 { json!(["shop"]) } else { json!([]) };
        assert_eq!(collector.get("/api/projects")["projects"], project);
        if version >= 2 {
            // The minute of `orders_total` makes its hour be rolled up once more; until then the hour is read from minutes.
            let rolled_up = wait_for("the old hour", || {
                let hours = rows(&collector, "name=lat&period=24h&resolution=hour");
                hours.into_iter().find(|row| row["bucket"] == hour)
            });
            assert_eq!((&rolled_up["count"], &rolled_up["p95"]), (&json!(5), &json!(2.0)));
            let orders = rows(&collector, "name=orders_total&period=24h");
            assert_eq!(
                (&orders[0]["type"], &orders[0]["count"], &orders[0]["p50"]),
                (&json!("counter"), &json!(2), &Value::Null)
            );
        }
        // The values are rolled up in their turn, and queries by hand still work.
        wait_for("minutes", || {
            (!read(&collector, "SELECT name FROM metrics_aggregated WHERE name = 'vital'").is_empty()).then_some(())
        });
        assert_eq!(
            read(&collector, "SELECT labels FROM metrics_raw WHERE name = 'vital'"),
            [r#"{"ok":true,"page":"/","session_id":"s"}"#]
        );
        assert_eq!(
            read(&collector, "SELECT timestamp FROM metrics_raw WHERE name = 'vital'"),
            [at.replace('Z', ".250Z")]
        );
        assert_eq!(read(&collector, "SELECT name FROM unreadable_raw"), ["lost time", "lost time"]);
        assert_eq!(read(&collector, "SELECT value FROM _meta WHERE key = 'schema_version'"), ["7"]);
        let copy = collector.folder.path().join("metrics.db.before-schema-7");
        assert!(copy.exists());
        assert_eq!(
            collector.client().post_json("/api/metrics", &json!([{"name": "lat", "type": "gauge", "value": 1}])).status,
            202
        );
    }
}

/// The original has a row for each visitor; here they are one series.
#[test]
fn rollups_that_differ_in_a_session_become_one() {
    let home = TempDir::new();
    let conn = original(&database_in(&home), 6);
    let bucket = format!("{}:00:00Z", &ago(5 * 3600)[..13]);
    // The last one twice, because the original rolled it up twice.
    for session in (1..=100).chain([100]) {
        let labels = json!({"page": "/", "session_id": session}).to_string();
        let sql = "INSERT INTO metrics_aggregated (bucket, resolution, name, labels, count, sum, min, max, avg, p50, p95, p99)
                   VALUES (?1, 'hour', 'lcp', ?2, 1, ?3, ?3, ?3, ?3, ?3, ?3, ?3)";
        conn.execute(sql, params![bucket, labels, f64::from(session)]).unwrap();
    }
    drop(conn);
    let row = json!({"bucket": bucket, "labels": {"page": "/"}, "type": "histogram", "count": 100, "sum": 5050.0,
        "min": 1.0, "max": 100.0, "avg": 50.5, "p50": 50.0, "p95": 95.0, "p99": 99.0});
    let found = rows(&start_here(home, &[]), "name=lcp&period=24h&resolution=hour");
    assert_eq!(found.len(), 1, "{found:?}");
    for (member, value) in row.as_object().unwrap() {
        assert_eq!(&found[0][member], value, "{member}");
    }
}

/// The original's rollups have no project, its single values have; both are of the same minutes.
#[test]
fn what_is_there_singly_and_rolled_up_counts_once() {
    let home = TempDir::new();
    let conn = original(&database_in(&home), 6);
    let at = ago(600);
    let labels = r#"{"b":"2","a":"1"}"#;
    for (name, projects) in [("one", ["shop", "shop"]), ("two", ["shop", "blog"]), ("none", ["", ""])] {
        for project in projects {
            insert_raw(&conn, &at, name, Some(labels), 1.0, "counter");
            let sql = "UPDATE metrics_raw SET project = nullif(?1, '') WHERE id = last_insert_rowid()";
            conn.execute(sql, [project]).unwrap();
        }
        insert_rollup(&conn, &format!("{}:00Z", &at[..16]), "minute", name, 2, None);
    }
    // Half of the values of this one are deleted already.
    insert_raw(&conn, &at, "half", Some(labels), 1.0, "counter");
    conn.execute("UPDATE metrics_raw SET project = 'shop' WHERE name = 'half'", []).unwrap();
    insert_rollup(&conn, &format!("{}:00Z", &at[..16]), "minute", "half", 2, None);
    drop(conn);

    let collector = start_here(home, &[("AGGREGATION_INTERVAL", "1")]);
    wait_for("rollups", || (collector.get("/health")["rollup_lag_seconds"].as_i64()? < 60).then_some(()));
    wait_for("all minutes", || {
        read(&collector, "SELECT bucket || '' FROM pending WHERE seconds = 60").is_empty().then_some(())
    });
    for name in ["one", "two", "none", "half"] {
        let found = rows(&collector, &format!("name={name}&period=1h&resolution=minute&agg=count"));
        let count: f64 = found.iter().filter_map(|row| row["value"].as_f64()).sum();
        assert!((count - 2.0).abs() < 1e-9, "{name}: {found:?}");
    }
    let of_shop = rows(&collector, "name=one&period=1h&resolution=minute&project=shop");
    assert_eq!(of_shop[0]["count"], 2, "{of_shop:?}");
}

#[test]
fn a_newer_file_is_refused() {
    let home = TempDir::new();
    let conn = original(&database_in(&home), 6);
    conn.execute("UPDATE _meta SET value = '99'", []).unwrap();
    drop(conn);
    let output = std::process::Command::new(super::binary())
        .env_clear()
        .envs([("API_KEY", super::KEY), ("PORT", "0"), ("DATABASE_PATH", database_in(&home).to_str().unwrap())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("newer"));
}
