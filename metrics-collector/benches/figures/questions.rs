//! Questions to a database of a month: 2,000 series, half of them histograms.

use std::path::Path;
use std::time::Instant;

use common::clock::{Clock, Timestamp};
use common::testing::figures::{Table, percentile};
use common::testing::{Service, TempDir};
use rusqlite::{Connection, params};

use super::{KEY, start};

const SERIES: i64 = 2000;
const NAMES: i64 = 20;
const HOURS: i64 = 30 * 24;
/// Minutes are looked at in the hour that is not over; there are some more, as there would be.
const MINUTES: i64 = 120;
/// Requests behind each percentile.
const REQUESTS: usize = 200;

/// Adds the figures.
pub(crate) fn measure(binary: &Path, table: &mut Table) {
    let folder = TempDir::new();
    assert!(start(binary, folder.path()).terminate().success());
    fill(&folder);
    let service = start(binary, folder.path());
    for (what, path, goal) in [
        ("30 days of hours, one series", "/api/metrics?name=metric_3&period=30d&labels=n:3", 20.0),
        (
            "30 days of hours, 100 series in one line (agg=p95)",
            "/api/metrics?name=metric_3&period=30d&agg=p95",
            f64::INFINITY,
        ),
        ("2 h of minutes, one series", "/api/metrics?name=metric_3&period=2h&labels=n:3", 20.0),
        ("dashboard, 24 h, 2,000 series", "/api/dashboard?period=24h", 100.0),
        ("names of metrics", "/api/metrics/names", 20.0),
    ] {
        let p99 = took(&service, path, REQUESTS, 99);
        let shown = if goal.is_finite() { format!("under {goal:.0} ms") } else { "-".into() };
        table.add(&format!("{what}, p99"), &shown, format!("{p99:.1} ms"), p99 < goal);
    }
    let peak = service.peak_memory() as f64 / 1e6;
    table.add("peak RSS with these questions", "under 20 MB", format!("{peak:.1} MB"), peak < 20.0);
    assert!(service.terminate().success());
}

/// A percentile of so many answers, ms.
pub(super) fn took(service: &Service, path: &str, requests: usize, rank: usize) -> f64 {
    let client = service.client(KEY);
    let mut took: Vec<f64> = (0..requests)
        .map(|_| {
            let began = Instant::now();
            let answer = client.get(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    percentile(&mut took, rank)
}

fn name(series: i64) -> String {
    match series % NAMES {
        0 => "http_requests_total".into(),
        1 => "http_request_duration_seconds".into(),
        other => format!("metric_{other}"),
    }
}

/// Rollups as the service would have made them; the sketches are those of a few hundred latencies.
fn fill(folder: &TempDir) {
    #[expect(clippy::disallowed_methods, reason = "fills what would take a month")]
    let mut conn = Connection::open(folder.path().join("metrics.db")).expect("a database");
    let sketch = a_sketch();
    let now = Clock::System.now().millis() / 1000;
    let (minute, hour) = (now - now % 60, now - now % 3600);
    let tx = conn.transaction().expect("a transaction");
    let insert = "INSERT INTO series VALUES (?1, ?2, ?3, '', json_object('n', ?1, 'status', '200'), ?4)";
    for series in 1..=SERIES {
        let kind = if series % 2 == 1 { "histogram" } else { "counter" };
        tx.execute(insert, params![series, name(series), kind, hour]).expect("a series");
    }
    fill_tier(&tx, "minutes", "minute_sketches", &sketch, (1..=MINUTES).rev().map(|back| minute - back * 60));
    fill_tier(&tx, "hours", "hour_sketches", &sketch, (1..=HOURS).rev().map(|back| hour - back * 3600));
    tx.execute("INSERT OR REPLACE INTO _meta VALUES ('minutes_closed_until', ?1)", [minute]).expect("a row");
    tx.commit().expect("committed");
}

fn fill_tier(conn: &Connection, table: &str, sketches: &str, sketch: &[u8], buckets: impl Iterator<Item = i64>) {
    let mut row = conn
        .prepare(&format!("INSERT INTO {table} VALUES (?1, ?2, 100, 5.5, 0.01, 0.2, ?3, ?3, ?3)"))
        .expect("a table");
    let mut blob = conn.prepare(&format!("INSERT INTO {sketches} VALUES (?1, ?2, ?3)")).expect("a table");
    for bucket in buckets {
        for series in 1..=SERIES {
            let is_histogram = series % 2 == 1;
            row.execute(params![bucket, series, is_histogram.then_some(0.05)]).expect("a row");
            if is_histogram {
                blob.execute(params![bucket, series, sketch]).expect("a sketch");
            }
        }
    }
}

/// The service's own: it rolls up a minute of latencies.
fn a_sketch() -> Vec<u8> {
    let binary = common::testing::binary("metrics-collector", env!("CARGO_BIN_EXE_metrics-collector"));
    let folder = TempDir::new();
    let database = folder.path().join("metrics.db");
    let variables = [
        ("API_KEY", KEY),
        ("DATABASE_PATH", database.to_str().expect("a readable path")),
        ("RATE_LIMIT", "0"),
        ("AGGREGATION_INTERVAL", "1"),
    ];
    let service = Service::start(&binary, &variables);
    let at = Timestamp::from_millis(Clock::System.now().millis() - 300_000).to_string();
    let items: Vec<_> = (1..=300)
        .map(|number| {
            let value = (f64::from(number) / 50.0).exp() / 1000.0;
            serde_json::json!({"name": "x", "type": "histogram", "value": value, "timestamp": at})
        })
        .collect();
    assert_eq!(service.client(KEY).post_json("/api/metrics", &serde_json::json!(items)).status, 202);
    #[expect(clippy::disallowed_methods, reason = "looks at what the service has made")]
    let conn = Connection::open(&database).expect("a database");
    common::testing::wait_for("a sketch", || {
        conn.query_row("SELECT sketch FROM minute_sketches", [], |row| row.get(0)).ok()
    })
}
